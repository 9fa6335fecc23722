"""What can go wrong in probes without any error."""

from mutants.mistake import Mistake

HERE = "tests/wiring/test_probe.py::"
CELL = f"{HERE}test_each_cell_by_hand"
CHANCE = f"{HERE}test_chance_by_hand"
DIFFERENCE = f"{HERE}test_each_difference_by_hand"
WHOLE = "tests/probes/test_probe.py::"
STATES = f"{WHOLE}test_of_several_states_the_one_that_is_named_is_probed"
KIND = f"{WHOLE}test_random_weights_are_of_the_given_ones_kind"
SHARE = f"{WHOLE}test_a_share_of_labels_is_that_share"
TABLE = "tests/probes/test_table.py"
INTERIM = (
    "tests/probes/test_interim.py::test_no_more_images_than_it_says_drawn_whatever_their_class"
)

MISTAKES = (
    Mistake(
        "probes/probe.py",
        "colour_histogram(mean, std)]",
        "colour_histogram(std, mean)]",
        "The histogram swaps mean and deviation.",
        (CELL,),
    ),
    Mistake(
        "probes/probe.py",
        "torch.manual_seed(seed)",
        "torch.manual_seed(0)",
        "All random rows are one network.",
        (CELL,),
    ),
    Mistake(
        "probes/probe.py",
        "torch.manual_seed(seed)",
        "torch.manual_seed(seed + 1)",
        "Random rows are of other seeds.",
        (CELL,),
    ),
    Mistake(
        "probes/probe.py",
        "mean, std = reading.mean, reading.std",
        "from fcmae.images import IMAGENET_MEAN as mean, IMAGENET_STD as std",
        "Features are of pixels normalised by ImageNet's statistics.",
        (CELL,),
    ),
    Mistake(
        "probes/probe.py",
        "drawn = share(train, part, seed)",
        "drawn = share(train, part, 0)",
        "All draws of a share are one.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "near = [*scaled[:-1], pairs[-1]]",
        "near = scaled",
        "The histogram is standardised for the neighbours.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "near = [*scaled[:-1], pairs[-1]]",
        "near = pairs",
        "Features of networks are not standardised for the neighbours.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "linear = labelled(scaled[number], kept)",
        "linear = labelled(pairs[number], kept)",
        "The linear probe has features that are not standardised.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "RANDOM: [*range(1, len(pairs) - 1)]",
        "RANDOM: [1]",
        "Only one random network counts.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "WEIGHTS: [0]",
        "WEIGHTS: [1]",
        "The weights' row is of random ones.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "draws[seed % len(draws)].to(device)",
        "draws[0].to(device)",
        "The first draw of a share counts for all.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "return pair.train.rows(kept[pair.train.indices]), pair.val",
        "return pair.train, pair.val",
        "All labels are learnt from, whatever the share.",
        (CELL,),
    ),
    Mistake(
        "probes/rows.py",
        "counts[:5].sum()",
        "counts[:4].sum()",
        "Chance is of four classes.",
        (CHANCE,),
    ),
    Mistake(
        "probes/rows.py",
        "difference(scores[WEIGHTS], scores[control])",
        "difference(scores[control], scores[WEIGHTS])",
        "Differences have the wrong sign.",
        (DIFFERENCE,),
    ),
    Mistake(
        "probes/rows.py",
        "labels = pairs[0].val.labels",
        "labels = pairs[0].val.labels.flip(0)",
        "Answers are compared with other images' labels.",
        (CELL,),
    ),
    Mistake(
        "probes/features.py",
        "encoder.features((images - centre) / scale)[-1]",
        "encoder.features(images / scale)[-1]",
        "Features are of pixels without the mean taken off.",
        (CELL,),
    ),
    Mistake(
        "probes/features.py",
        "encoder.features((images - centre) / scale)[-1]",
        "encoder.features((images - centre) / scale)[-2]",
        "Features are the third stage's.",
        (CELL,),
    ),
    Mistake(
        "probes/features.py",
        "last.float().mean((2, 3))",
        "last.float().amax((2, 3))",
        "Features are the maxima of maps.",
        (CELL,),
    ),
    Mistake(
        "probes/features.py",
        "values = ((features.values - mean) / deviation).float()",
        "deviation, mean = torch.std_mean(features.values.double(), 0, correction=0)\n"
        "        values = ((features.values - mean) / deviation.clamp(min=1e-9)).float()",
        "Val is standardised by its own statistics.",
        (CELL,),
    ),
    Mistake(
        "probes/features.py",
        "return standardised(train), standardised(val)",
        "return standardised(train), val",
        "Val is not standardised.",
        (CELL,),
    ),
    Mistake(
        "probes/knn.py",
        "TEMPERATURE = 0.07",
        "TEMPERATURE = 0.7",
        "Votes of neighbours are too alike.",
        (CELL,),
    ),
    Mistake(
        "probes/knn.py",
        "bank, queries = F.normalize(train.values), F.normalize(val.values)",
        "bank, queries = train.values, val.values / 10",
        "Neighbours by scalar product, not by cosine.",
        (CELL,),
    ),
    Mistake(
        "probes/knn.py",
        "vote = ballot[:, :number].sum(1)",
        "vote = ballot.sum(1)",
        "The largest number of neighbours counts for all.",
        (CELL,),
    ),
    Mistake(
        "probes/linear.py",
        "chosen = min(losses, key",
        "chosen = max(losses, key",
        "The worst penalty is chosen.",
        (CELL,),
    ),
    Mistake(
        "probes/linear.py",
        "return fit(train, num_classes, chosen)",
        "return fit(fitted, num_classes, chosen)",
        "What was held out is not learnt from.",
        (CELL,),
    ),
    Mistake(
        "probes/linear.py",
        "return fit(train, num_classes, chosen)",
        "return fit(train, num_classes, max(strengths))",
        "The strongest penalty is always taken.",
        (CELL,),
    ),
    Mistake(
        "probes/linear.py",
        "loss = strength / 2 * weight.square().sum()",
        "loss = strength * weight.square().sum()",
        "The penalty is twice as strong.",
        (CELL,),
    ),
    Mistake(
        "probes/histogram.py",
        "(counts / pixels.shape[2]).sqrt()",
        "counts / pixels.shape[2]",
        "The histogram has no roots.",
        (CELL,),
    ),
    Mistake(
        "probes/histogram.py",
        "JOINT, SEPARATE = 8, 32",
        "JOINT, SEPARATE = 6, 32",
        "The histogram has six bins a channel.",
        (CELL,),
    ),
    Mistake(
        "probes/histogram.py",
        "high = (centre + REACH * reach).clamp(max=1)",
        "high = torch.ones_like(centre)",
        "The histogram always reaches to white.",
        (CELL,),
    ),
    Mistake(
        "probes/histogram.py",
        "REACH = 3 ",
        "REACH = 2 ",
        "The histogram reaches two deviations.",
        (CELL,),
    ),
    Mistake(
        "probes/comparison.py",
        "images = len(each) + 2",
        "images = len(each)",
        "No images are added to a difference.",
        (DIFFERENCE,),
    ),
    Mistake(
        "probes/comparison.py",
        "ours.deviation**2 + control.deviation**2 + sampling",
        "ours.deviation**2 + sampling",
        "The control's seeds do not widen the spread.",
        (DIFFERENCE,),
    ),
    Mistake(
        "probes/comparison.py",
        "CLEAR = 2 ",
        "CLEAR = 1 ",
        "One deviation is called clear.",
        (DIFFERENCE,),
    ),
    Mistake(
        "probes/probe.py",
        "load_backbone(weights, options.key)",
        "load_backbone(weights)",
        "The probe ignores which state of a file it is asked for.",
        (STATES,),
    ),
    Mistake(
        "probes/probe.py",
        "                    response=backbone.response,\n",
        "",
        "Random weights have GRN, whatever stands in its place in the given ones.",
        (KIND,),
    ),
    Mistake(
        "probes/rows.py",
        "kept[pair.train.indices]",
        "kept[: len(pair.train.indices)]",
        "With an unreadable file, other labels are learnt from than were drawn.",
        (SHARE,),
    ),
    Mistake(
        "probes/table.py",
        "cells = [_percent(column[kind][row]) for column",
        'cells = [_percent(column["top_1"][row]) for column',
        "The table's top-5 is top-1.",
        (TABLE,),
    ),
    Mistake(
        "probes/table.py",
        "± {100 * statistics.stdev(values):.1f}",
        "± {100 * statistics.pstdev(values):.1f}",
        "The table's deviations are too small.",
        (TABLE,),
    ),
    Mistake(
        "probes/interim.py",
        "sorted(epoch_order(len(images), seed=0, epoch=0)[:limit].tolist())",
        "[*range(min(limit, len(images)))]",
        "The probe during a run is on the first images, which are of the first classes.",
        (INTERIM,),
    ),
    Mistake(
        "probes/interim.py",
        "TRAIN, VAL = 2000, 500",
        "TRAIN, VAL = 500, 2000",
        "The probe during a run has few neighbours and many queries.",
        (INTERIM,),
    ),
)
