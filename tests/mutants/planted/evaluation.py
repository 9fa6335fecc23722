"""What can go wrong in validation and evaluation without any error."""

from mutants.mistake import Mistake

HERE = "tests/wiring/test_evaluation.py::"
BY_HAND = f"{HERE}test_every_number_by_hand"
MOST_CONFIDENT = f"{HERE}test_the_mistakes_are_the_most_confident_ones_in_order"
PICTURES = f"{HERE}test_the_pictures_of_the_mistakes_are_theirs"
BEST = f"{HERE}test_the_best_epoch_is_that_of_the_weights_that_are_kept"
LAST = f"{HERE}test_what_the_last_epoch_is_said_to_be_is_what_its_weights_are"
CLASSES = f"{HERE}test_data_may_lack_classes_and_have_another_size"
STATISTICS = f"{HERE}test_the_statistics_are_of_the_training_images"
INTERIM = f"{HERE}test_the_interim_probe_by_hand"
VALIDATION = "tests/finetuning/test_validation.py::"
LEFT_OUT = f"{VALIDATION}test_unreadable_images_are_left_out_and_named"
EVALUATE = "tests/inference/test_evaluate.py::"
PRECISION = f"{EVALUATE}test_all_compute_in_the_precision_that_is_asked_for"
KEY = f"{EVALUATE}test_all_take_the_weights_that_the_key_says"

MISTAKES = (
    Mistake(
        "inference/loop.py",
        "from fcmae.images import EvaluationView, ImageSet, View, load_in_order",
        "from fcmae.images import EvaluationView as Seen, ImageSet, View, centre_crop\n"
        "from fcmae.images import load_in_order\n"
        "EvaluationView = lambda size: Seen(size, centre_crop)",
        "Validation and evaluation see the largest centred crop.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/classification.py",
        "(self.ranks < 5)",
        "(self.ranks < 4)",
        "Validation and evaluation count among four.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/classification.py",
        "_rows(logits, labels[output.indices])",
        "_rows(logits, labels.roll(1)[output.indices])",
        "Labels are shifted by an image.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/classification.py",
        "[classifier(pixels) for classifier in classifiers]",
        "[classifiers[0](pixels) for _ in classifiers]",
        "The average is validated by the model.",
        (BY_HAND,),
    ),
    Mistake(
        "finetuning/validation.py",
        "argsort(descending=True, stable=True)",
        "argsort(stable=True)",
        "The least confident mistakes are kept.",
        (MOST_CONFIDENT,),
    ),
    Mistake(
        "finetuning/validation.py",
        "matrix[label][predicted] = count",
        "matrix[predicted][label] = count",
        "Validation's confusion matrix is transposed.",
        (BY_HAND,),
    ),
    Mistake(
        "finetuning/validation.py",
        '"predicted": images.classes[int(found.predicted[i])]',
        '"predicted": images.classes[int(found.labels[i])]',
        "A mistake names its own class as what it was taken for.",
        (MOST_CONFIDENT,),
    ),
    Mistake(
        "finetuning/validation.py",
        '"index": int(found.indices[i])',
        '"index": int(found.indices[i - 1])',
        "Mistakes show another image's picture.",
        (PICTURES,),
    ),
    Mistake(
        "finetuning/validation.py",
        "with evaluating(*models):",
        "with evaluating():",
        "Validation is of models that still drop what training drops.",
        (f"{VALIDATION}test_models_are_evaluated_in_evaluation_mode_and_put_back",),
    ),
    Mistake(
        "inference/classification.py",
        "indices, labels[indices], predicted",
        "indices, labels[: len(indices)], predicted",
        "With an unreadable file, validation's labels are those of the first images.",
        (LEFT_OUT,),
    ),
    Mistake(
        "finetuning/validation.py",
        '"name": images.name(int(found.indices[i])),',
        '"name": images.name(i),',
        "With an unreadable file, mistakes bear the name of another image.",
        (LEFT_OUT,),
    ),
    Mistake(
        "inference/classification.py",
        "if num_classes > 5 else None",
        "if num_classes > 4 else None",
        "Of five classes, validation says a top-5 of 1.",
        (f"{VALIDATION}test_each_model_has_its_own_predictions",),
    ),
    Mistake(
        "finetuning/task.py",
        '"unreadable": list(unreadable.items())',
        '"unreadable": []',
        "No unreadable file is named in validation.json.",
        (
            "tests/finetuning/test_run.py::"
            "test_files_that_cannot_be_read_are_named_and_mistakes_that_are_gone_have_no_picture",
        ),
    ),
    Mistake(
        "finetuning/task.py",
        "summary = validations[-1].summary()",
        "summary = validations[0].summary()",
        "What validation.json says is of the model, not of the average.",
        (BY_HAND,),
    ),
    Mistake(
        "finetuning/task.py",
        "average = measured[1].values if self.average else None",
        "average = measured[0].values if self.average else None",
        "The average's numbers are the model's.",
        (BEST,),
    ),
    Mistake(
        "finetuning/task.py",
        'step, "epoch": epoch, **measured[0].values}',
        'step, "epoch": epoch, **measured[-1].values}',
        "The model's numbers are the average's.",
        (LAST,),
    ),
    Mistake(
        "finetuning/task.py",
        "            std=self.plan.std,\n            batch_size=self.batching.micro_batch_size,",
        "            std=self.plan.mean,\n            batch_size=self.batching.micro_batch_size,",
        "Validation divides by the mean.",
        (BY_HAND,),
    ),
    Mistake(
        "finetuning/task.py",
        "models = [self.trained] + ([self.average.module] if self.average else [])",
        "models = ([self.average.module] if self.average else []) + [self.trained]",
        "Model and average are confused.",
        (BY_HAND,),
    ),
    Mistake(
        "training/plan.py",
        '"mean": self.mean,\n            "std": self.std,',
        '"mean": self.std,\n            "std": self.mean,',
        "Weights say mean and deviation the wrong way round.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/classification.py",
        "logits.argmax(1)",
        "logits.argmin(1)",
        "The prediction is the least likely class.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/classification.py",
        "confidences = logits.softmax(1).amax(1)",
        "confidences = logits.softmax(1).gather(1, labels[:, None])[:, 0]",
        "Confidence is that of the image's own class.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/classification.py",
        "self.ranks < 5",
        "self.ranks <= 5",
        "Evaluation counts among six.",
        (CLASSES,),
    ),
    Mistake(
        "inference/evaluate.py",
        "return [number[name] for name in ours], theirs",
        "return [number[name] for name in reversed(ours)], theirs",
        "Evaluation's classes are counted in reverse.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/evaluate.py",
        "return [number[name] for name in ours], theirs",
        "return list(range(len(ours))), theirs",
        "The data's classes are taken for the weights' first ones.",
        (CLASSES,),
    ),
    Mistake(
        "inference/loop.py",
        "forward((pixels - mean) / std)",
        "forward(pixels - mean)",
        "Evaluation's pixels are not divided by the deviation.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/loop.py",
        "forward((pixels - mean) / std)",
        "forward((pixels - std) / mean)",
        "Evaluation swaps mean and deviation.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/loop.py",
        "view=EvaluationView(preprocessing.size)",
        "view=EvaluationView(preprocessing.size[::-1])",
        "Evaluation swaps height and width.",
        (BY_HAND,),
    ),
    Mistake(
        "inference/loop.py",
        "with torch.no_grad(), runtime.autocast():",
        "with torch.no_grad():",
        "Evaluate, predict, embed and validation ignore the precision.",
        (PRECISION, f"{VALIDATION}test_models_compute_in_the_precision_of_the_run"),
    ),
    Mistake(
        "inference/evaluate.py",
        "load_classifier(options.weights, options.key)",
        "load_classifier(options.weights)",
        "Evaluate ignores the key of the weights.",
        (f"{KEY}[evaluate]",),
    ),
    Mistake(
        "inference/evaluate.py",
        "most = max(mistakes, ",
        "most = min(mistakes, ",
        "A class is said to be most often mistaken for what it is least.",
        (f"{EVALUATE}test_the_json_is_the_evaluation",),
    ),
    Mistake(
        "inference/predict.py",
        "load_classifier(options.weights, options.key)",
        "load_classifier(options.weights)",
        "Predict ignores the key of the weights.",
        (f"{KEY}[predict]",),
    ),
    Mistake(
        "inference/embed.py",
        "load_backbone(options.weights, options.key)",
        "load_backbone(options.weights)",
        "Embed ignores the key of the weights.",
        (f"{KEY}[embed]",),
    ),
    Mistake(
        "inference/embed.py",
        "        unreadable |= part.unreadable\n",
        "        unreadable = part.unreadable\n",
        "Only the last part's unreadable files are named.",
        ("tests/inference/test_embed.py::test_it_goes_on_where_it_was",),
    ),
    Mistake(
        "inference/classification.py",
        "bins: int = 15",
        "bins: int = 10",
        "Calibration over ten bins.",
        (BY_HAND,),
    ),
    Mistake(
        "images/transforms.py",
        "CROP_RATIO = 224 / 256",
        "CROP_RATIO = 1.0",
        "The evaluation crop has no margin.",
        (BY_HAND,),
    ),
    Mistake(
        "images/transforms.py",
        "top, left = round((resized[0] - height) / 2), round((resized[1] - width) / 2)",
        "top, left = 0, 0",
        "The evaluation crop is the corner.",
        (BY_HAND,),
    ),
    Mistake(
        "images/transforms.py",
        "(rows, rows * wide // high)",
        "(rows, columns)",
        "The evaluation crop squashes images.",
        (BY_HAND,),
    ),
    Mistake(
        "images/statistics.py",
        "planes = [channel.double() / white for channel in image]",
        "planes = [channel.double() / white for channel in image.flip(0)]",
        "Statistics are of the channels in reverse.",
        (STATISTICS,),
    ),
    Mistake(
        "pretraining/interim_probe.py",
        "        mean=plan.mean,\n        std=plan.std,",
        "        mean=(0.485, 0.456, 0.406),\n        std=(0.229, 0.224, 0.225),",
        "The interim probe has ImageNet's statistics.",
        (INTERIM,),
    ),
    Mistake(
        "pretraining/interim_probe.py",
        "mean=self.mean,\n                std=self.std,",
        "mean=self.std,\n                std=self.mean,",
        "The interim probe swaps mean and deviation.",
        (INTERIM,),
    ),
    Mistake(
        "pretraining/interim_probe.py",
        "image_size=plan.image_size,\n        mean",
        "image_size=plan.image_size[::-1],\n        mean",
        "The interim probe swaps height and width.",
        (INTERIM,),
    ),
    Mistake(
        "pretraining/interim_probe.py",
        "preprocessing, runtime, K)",
        "preprocessing, runtime, 10)",
        "The interim probe asks ten neighbours.",
        (INTERIM,),
    ),
    Mistake(
        "probes/knn.py",
        "neighbours, queries = standardise(*sides)",
        "neighbours, queries = sides",
        "The interim probe does not standardise.",
        (INTERIM,),
    ),
    Mistake(
        "probes/knn.py",
        "found.top_5.double().mean()",
        "found.top_1.double().mean()",
        "The interim probe's top-5 is its top-1.",
        (INTERIM,),
    ),
    Mistake(
        "pretraining/task.py",
        "self.probe.measure(self.learner.encoder, self.runtime)",
        'self.probe.measure(getattr(self.trained, "key", self.learner).encoder, self.runtime)',
        "The keys' encoder is probed.",
        (INTERIM,),
    ),
)
