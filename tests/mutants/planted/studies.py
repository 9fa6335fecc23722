"""What can go wrong in the studies without any error."""

from mutants.mistake import Mistake

SCALE, SETTINGS = (f"tests/wiring/studies/test_{name}.py" for name in ("scale", "settings"))
TOY = "tests/wiring/test_reconstruction.py"
MASK_RATIO = f"{SETTINGS}::test_mask_ratio_compares_what_is_masked"
GRN = f"{SETTINGS}::test_grn_compares_models_that_differ_in_their_response"
CONTRASTIVE = f"{SETTINGS}::test_contrastive_compares_what_comes_before_fine_tuning"
FIELD = f"{SCALE}::test_every_field_of_the_scale_is_found_in_what_is_trained"
DROP_PATH = f"{SCALE}::test_larger_sizes_have_a_drop_path_of_supervised_training"
SIZES = f"{SETTINGS}::test_scaling_trains_every_size_that_is_named"
ZERO = f"{SCALE}::test_a_field_of_0_leaves_the_choice_to_the_tables"
SEED = f"{SETTINGS}::test_a_seed_decides_weights_order_views_masks_and_labels"
SEEDS = f"{SETTINGS}::test_a_scale_says_how_many_seeds_there_are"
SPLITS = f"{SCALE}::test_what_is_trained_on_lies_in_train_and_what_is_validated_on_in_val"
SCALING = f"{SETTINGS}::test_scaling_compares_v1_and_v2_from_scratch_and_pretrained"
NORMALIZATION = f"{SETTINGS}::test_normalization_compares_models_that_differ_in_their_response"
DIVERSITY = (
    "tests/studies/test_normalization.py::test_the_measure_is_that_of_whole_images_drawn_from_val"
)
RUNNER = "tests/studies/test_runner.py::"
OPTIONS = "tests/studies/test_setting.py::test_no_option_of_a_scale_may_be_another"
MADE_UP_FOR = f"{RUNNER}test_one_of_the_two_trainings_may_be_left_out_and_made_up_for"
DRAWS = "tests/studies/test_subset.py::test_each_class_and_split_has_a_draw_of_its_own"
LONGER = (
    "tests/studies/test_scaling.py::"
    "test_of_the_papers_scale_this_study_and_section_d_have_the_longer_pretraining"
)
TIME = (
    "tests/studies/test_contrastive.py::"
    "test_the_table_has_the_papers_numbers_beside_ours_and_the_time_of_a_seed"
)
SPARSE = "tests/benchmarks/test_sparse_efficiency.py::test_the_study_is_measured_and_drawn"
TOY_MASKS = (
    f"{TOY}::test_masks_differ_by_image_step_seed_and_size_and_are_the_same_for_all_encoders"
)
TOY_FIELD = f"{TOY}::test_every_field_of_the_recipe_is_found_in_what_is_trained"
TOY_DECAY = f"{TOY}::test_matrices_alone_decay_and_all_is_trained"
TOY_IMAGES = f"{TOY}::test_images_are_seen_whole_and_standardised_and_masked_pixels_not_at_all"
TOY_SEED = f"{TOY}::test_a_seed_decides_weights_order_and_views"
TOY_LOSS = f"{TOY}::test_the_loss_is_that_of_masked_pixels_alone"
TOY_NAMES = f"{TOY}::test_each_encoder_is_what_its_name_says"
TOY_BY_HAND = f"{TOY}::test_training_is_that_of_plain_torch"
TOY_OPTIONS = f"{TOY}::test_options_take_the_place_of_the_scales_fields"

MISTAKES = (
    Mistake(
        "studies/scale.py",
        'masked = {"mask_ratio": mask_ratio}',
        'masked = {"mask_ratio": recipes.PRETRAINING.mask_ratio}',
        "A study's pre-training ignores the mask ratio that it is asked for.",
        (MASK_RATIO,),
    ),
    Mistake(
        "studies/scale.py",
        'assignments = () if response == "grn" else (f"response={response}",)',
        "assignments: tuple[str, ...] = ()",
        "A study's response is not handed on to its pre-training.",
        (GRN,),
    ),
    Mistake(
        "studies/scale.py",
        '{"method": "moco-v3"}',
        '{"method": "fcmae"}',
        "The contrastive setting is pre-trained by masking.",
        (CONTRASTIVE,),
    ),
    Mistake(
        "studies/scale.py",
        "self._training(CONTRASTIVE)",
        "self._training(PRETRAINING)",
        "MoCo v3 trains for the epochs, by the batches and rate of masked pre-training.",
        (FIELD,),
    ),
    Mistake(
        "studies/scale.py",
        "training = self._training(SUPERVISED, *assignments)",
        "training = self._training(FINETUNING, *assignments)",
        "Training from scratch has the epochs, batches and rate of fine-tuning.",
        (FIELD,),
    ),
    Mistake(
        "studies/scale.py",
        'numbers = {name: getattr(self, f"{part}_{name}") for name in ("epochs", "batch_size")}',
        'numbers = {"epochs": getattr(self, f"{part}_epochs"), "batch_size": 4}',
        "Every part has batches of four.",
        (FIELD,),
    ),
    Mistake(
        "studies/scale.py",
        'rate = getattr(self, f"{part}_base_learning_rate")',
        "rate = self.supervised_base_learning_rate",
        "Every part has the rate of training from scratch.",
        (FIELD,),
    ),
    Mistake(
        "studies/scale.py",
        "if self.supervised_warmup_epochs:",
        "if False:",
        "The warm-up of training from scratch is ignored.",
        (FIELD,),
    ),
    Mistake(
        "studies/scale.py",
        'DROP_PATH = {"tiny": 0.1, "base": 0.5, "large": 0.5}',
        'DROP_PATH = {"tiny": 0.1, "base": 0.5}',
        "Large has no drop path of supervised training.",
        (DROP_PATH,),
    ),
    Mistake(
        "studies/scale.py",
        'size = model.partition("_")[2]',
        "size = self.size",
        "All sizes have the drop path of the scale's size.",
        (SIZES,),
    ),
    Mistake(
        "studies/scale.py",
        "if self.supervised_drop_path and size in DROP_PATH:",
        "if size in DROP_PATH:",
        "The drop path of supervised training cannot be left out.",
        (DROP_PATH,),
    ),
    Mistake(
        "studies/scale.py",
        'patience = {"patience": self.patience} if self.patience else {}',
        "patience: dict[str, int] = {}",
        "Training on labels has no patience.",
        (FIELD,),
    ),
    Mistake(
        "studies/scale.py",
        "chosen = {name: number for name, number in numbers.items() if number}",
        "chosen = {name: number or 1 for name, number in numbers.items()}",
        "A field of 0 is 1, not left to the tables.",
        (ZERO,),
    ),
    Mistake(
        "studies/scale.py",
        'rates = (f"base_learning_rate={_shortest(rate)}",) if rate else ()',
        'rates = (f"base_learning_rate={rate:.1g}",) if rate else ()',
        "Learning rates are rounded to one digit.",
        (FIELD,),
    ),
    Mistake(
        "studies/scale.py",
        '"label_share": self.label_share',
        '"label_share": 1.0',
        "Training sees all labels.",
        (FIELD,),
    ),
    Mistake(
        "studies/setting.py",
        'shared, doing = {**shared, "init": str(folder / PRETRAIN)}, "fine-tuning"',
        'doing = "fine-tuning"',
        "Fine-tuning does not begin with the pre-trained weights.",
        (FIELD,),
    ),
    Mistake(
        "studies/runner.py",
        'shared | {"seed": seed},',
        'shared | {"seed": 0},',
        "All settings have the same seed.",
        (SEED,),
    ),
    Mistake(
        "studies/setting.py",
        '"data": f"{shared[\'data\']}/train"',
        '"data": f"{shared[\'data\']}"',
        "Pre-training sees the images of val.",
        (FIELD,),
    ),
    Mistake(
        "studies/runner.py",
        "train=numbers[0], val=numbers[1])",
        "train=numbers[1], val=numbers[1])",
        "The number of images to validate on decides how many are trained on.",
        (FIELD,),
    ),
    Mistake(
        "studies/runner.py",
        "tuple(range(chosen.seeds))",
        "tuple(range(min(chosen.seeds, 2)))",
        "More than two seeds are not trained.",
        (SEEDS,),
    ),
    Mistake(
        "studies/runner.py",
        'return part_of(data, out / "images", train=numbers[0], val=numbers[1]), record',
        "return data, record",
        "A study trains on all images whatever the scale says.",
        (FIELD,),
    ),
    Mistake(
        "studies/subset.py",
        'numbers = {"train": train, "val": val}',
        'numbers = {"train": val, "val": train}',
        "The numbers of images are those of the other split.",
        (FIELD,),
    ),
    Mistake(
        "studies/subset.py",
        "out / split / part.name(index): (data / split / part.name(index)).absolute()",
        'out / split / part.name(index): (data / "train" / part.name(index)).absolute()',
        "Validation images are links to images of train.",
        (SPLITS,),
    ),
    Mistake(
        "studies/grn.py",
        "scale.pretraining(model, response=response)",
        "scale.pretraining(model)",
        "Table 9's cases all have GRN.",
        (GRN,),
    ),
    Mistake(
        "studies/grn.py",
        '("convnext", "grn") if case == "base"',
        '("convnextv2", "none") if case == "base"',
        "Table 9's base is V2.",
        (GRN,),
    ),
    Mistake(
        "studies/runner.py",
        "for seed in seeds for name",
        "for seed in seeds[:1] for name",
        "All is trained with the first seed alone.",
        (SEEDS,),
    ),
    Mistake(
        "studies/contrastive.py",
        "scale.contrastive(model), scale.finetuning()",
        "scale.pretraining(model), scale.finetuning()",
        "The setting of MoCo v3 is that of FCMAE.",
        (FIELD,),
    ),
    Mistake(
        "studies/contrastive.py",
        "None, scale.supervised(model)",
        'None, scale.supervised(model.replace("v2", ""))',
        "The supervised setting of the contrastive study is of V1.",
        (CONTRASTIVE,),
    ),
    Mistake(
        "studies/scaling.py",
        "scale.pretraining(model)",
        'scale.pretraining(f"convnextv2_{size}")',
        "V1 is pre-trained as V2.",
        (SCALING,),
    ),
    Mistake(
        "studies/scaling.py",
        "scale.supervised(model)",
        'scale.supervised(f"{FAMILIES[family]}_{scale.size}")',
        "Training from scratch is of the scale's size, whatever sizes are named.",
        (SIZES,),
    ),
    Mistake(
        "studies/normalization.py",
        "scale.pretraining(model, response=response)",
        "scale.pretraining(model)",
        "Figure 6's settings all have GRN.",
        (NORMALIZATION,),
    ),
    Mistake(
        "studies/mask_ratio.py",
        "scale.pretraining(model, mask_ratio=ratio)",
        "scale.pretraining(model)",
        "Figure 3's settings all have the usual mask ratio.",
        (MASK_RATIO,),
    ),
    Mistake(
        "models/responses.py",
        '"aggregate": AggregateResponse,',
        '"aggregate": ScaleResponse,',
        "Table 9's case (b) is case (a).",
        (GRN,),
    ),
    Mistake(
        "models/responses.py",
        "exact / (exact.mean(3, keepdim=True) + EPSILON)",
        "exact / (exact.abs().mean(3, keepdim=True) + EPSILON)",
        "Table 9's case (c) divides by the mean of absolute values.",
        (GRN,),
    ),
    Mistake(
        "finetuning/run.py",
        "share(train_images, options.label_share, options.seed)",
        "share(train_images, options.label_share, 0)",
        "All seeds see the same labels.",
        (SEED,),
    ),
    Mistake(
        "training/validation.py",
        "< self.patience:",
        "<= self.patience:",
        "Fine-tuning stops an epoch later than its patience says.",
        (FIELD,),
    ),
    Mistake(
        "models/autoencoder.py",
        "stem_stride=stem_stride, response=response\n",
        "stem_stride=stem_stride\n",
        "The response does not reach the encoder that is pre-trained.",
        (FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "sample_seed(setting.seed, batch.step, MASKS)",
        "sample_seed(setting.seed, 0, MASKS)",
        "The toy study's masks are the same for all steps.",
        (TOY_MASKS,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "sample_seed(setting.seed, batch.step, MASKS)",
        "sample_seed(0, batch.step, MASKS)",
        "The toy study's masks are the same for all seeds.",
        (TOY_MASKS,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "grid, recipe.mask_ratio, generator, runtime.device)",
        "grid, 0.5, generator, runtime.device)",
        "The toy study's mask ratio is fixed.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "adamw(groups, recipe.optimizer_momentum, runtime.device)",
        "adamw(groups, (0.9, 0.95), runtime.device)",
        "The toy study's momentum is ignored.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "parameter_groups(model, recipe.weight_decay)",
        "parameter_groups(model, 0.05)",
        "The toy study's weight decay is ignored.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "parameter_groups(model, recipe.weight_decay)",
        'parameter_groups(model, recipe.weight_decay, exempt="paper-code")',
        "The toy study's GRN decays.",
        (TOY_DECAY,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "warmup_steps=warmup)",
        "warmup_steps=0)",
        "The toy study's warm-up is ignored.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "recipe.base_learning_rates[setting.encoder]",
        'recipe.base_learning_rates["convnext"]',
        "Every encoder of the toy study has the rate of the first.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "scaled_learning_rate(base, recipe.batch_size)",
        "scaled_learning_rate(base, 64)",
        "The toy study's rate does not follow the batch.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "WHOLE = (1.0, 1.0)",
        "WHOLE = (0.2, 1.0)",
        "The toy study's images are cropped.",
        (TOY_IMAGES,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "torch.manual_seed(setting.seed)",
        "torch.manual_seed(0)",
        "The toy study's first weights are the same for all seeds.",
        (TOY_SEED,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "Order(len(data.train), recipe.batch_size, setting.seed)",
        "Order(len(data.train), recipe.batch_size, 0)",
        "The toy study's order is the same for all seeds.",
        (TOY_SEED,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "        seed=setting.seed,\n",
        "        seed=0,\n",
        "The toy study's flips are the same for all seeds.",
        (TOY_SEED,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "patch_grid(side, side, setting.mask_size)",
        "patch_grid(side, side, recipe.mask_sizes[0])",
        "All of the toy study's settings have the first mask size.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "images = data.standardised(batch.examples.image.to(runtime.device, non_blocking=True))",
        "images = batch.examples.image.to(runtime.device, non_blocking=True)",
        "The toy study trains on pixels that are not standardised.",
        (TOY_IMAGES,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "return self.recipe.epochs * (len(self.train) // self.recipe.batch_size)",
        "return self.recipe.epochs * len(self.train) // self.recipe.batch_size",
        "The toy study counts parts of batches.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/model.py",
        "return errors[pixels(mask, images).expand_as(errors)]",
        "return errors.flatten()",
        "The toy study's loss is of all pixels.",
        (TOY_LOSS,),
    ),
    Mistake(
        "studies/reconstruction/model.py",
        "seen = images.masked_fill(hidden, 0)",
        "seen = images",
        "The toy study's encoder sees what is masked.",
        (TOY_IMAGES,),
    ),
    Mistake(
        "studies/reconstruction/model.py",
        "Block(width, response=response)",
        "Block(width)",
        "The toy study's ConvNeXt has GRN.",
        (TOY_NAMES,),
    ),
    Mistake(
        "studies/reconstruction/model.py",
        "frequencies = 10000 **",
        "frequencies = 100 **",
        "The codes of places have other frequencies.",
        (TOY_BY_HAND,),
    ),
    Mistake(
        "studies/reconstruction/model.py",
        "self.head(self.norm(self.encode(images, mask)))",
        "self.head(self.encode(images, mask))",
        "The toy study's last norm is left out.",
        (TOY_BY_HAND,),
    ),
    Mistake(
        "studies/reconstruction/evaluation.py",
        "(data.recipe.neighbours,)",
        "(20,)",
        "The toy study's neighbours are always 20.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/evaluation.py",
        "random_mask(number, grid, recipe.mask_ratio, generator)",
        "random_mask(number, grid, 0.5, generator)",
        "The toy study measures errors at another mask ratio.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/evaluation.py",
        "_features(model, data.val, data, runtime)",
        "_features(model, data.train, data, runtime)",
        "The toy study's accuracies are of images that are trained on.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "val = part(val, recipe.num_val_images)",
        "val = part(val, recipe.num_images)",
        "The toy study measures on as many images as it trains on.",
        (TOY_FIELD,),
    ),
    Mistake(
        "studies/reconstruction/training.py",
        "channel_statistics(train, CHANNELS)",
        "channel_statistics(val, CHANNELS)",
        "The toy study standardises by the images that it measures on.",
        (TOY_IMAGES,),
    ),
    Mistake(
        "studies/reconstruction/runner.py",
        'NUMBERS = ("epochs", "num_images", "batch_size", "image_size")',
        'NUMBERS = ("epochs", "num_images", "batch_size")',
        "The toy study's option image_size is ignored.",
        (TOY_OPTIONS,),
    ),
    Mistake(
        "studies/diversity.py",
        "means = distances.mean(0).tolist()",
        "means = batches[-1].values.double().mean(0).tolist()",
        "The diversity of figure 6 is of the last batch alone.",
        (DIVERSITY,),
    ),
    Mistake(
        "studies/diversity.py",
        "IMAGES, AT_A_TIME = 1000, 50",
        "IMAGES, AT_A_TIME = 100, 50",
        "Figure 6 is of a hundred images.",
        (DIVERSITY,),
    ),
    Mistake(
        "studies/diversity.py",
        "val.subset(draw(len(val), IMAGES))",
        "val.subset(range(min(IMAGES, len(val))))",
        "Figure 6 is of the first images, which are of the first classes.",
        (DIVERSITY,),
    ),
    Mistake(
        "studies/setting.py",
        'WHERE = {"data", "init", "device", "workers"}',
        'WHERE = {"data", "init", "device", "workers", "set"}',
        "A study goes on with runs that have other rates or responses.",
        (OPTIONS,),
    ),
    Mistake(
        "studies/runner.py",
        "row |= measure(runs / PRETRAIN, data)",
        'row |= measure(runs / ("finetune" if setting.finetuning else PRETRAIN), data)',
        "What is measured is fine-tuned weights, where there are some.",
        (MADE_UP_FOR,),
    ),
    Mistake(
        "images/sets.py",
        "drawn = draw(len(indices), number(len(indices)), mix(seed, label))",
        "drawn = range(min(number(len(indices)), len(indices)))",
        "A part of the images is the first ones of each class.",
        (DRAWS,),
    ),
    Mistake(
        "images/sets.py",
        "mix(seed, label)",
        "mix(seed)",
        "The parts of all classes lie at the same places.",
        (DRAWS,),
    ),
    Mistake(
        "images/sets.py",
        "mix(seed, label)",
        "mix(label)",
        "The parts of train and val lie at the same places.",
        (DRAWS,),
    ),
    Mistake(
        "studies/scaling.py",
        "    long=True,\n",
        "",
        "Table 7's pre-training has 800 epochs.",
        (LONGER,),
    ),
    Mistake(
        "studies/contrastive.py",
        "    long=True,\n",
        "",
        "Section D's FCMAE is pre-trained for 800 epochs.",
        (LONGER,),
    ),
    Mistake(
        "studies/contrastive.py",
        'duration(mean(results.values(label, lambda row: row["seconds"])) or 0.0)',
        'duration(sum(results.values(label, lambda row: row["seconds"])))',
        "The time of a seed is that of all seeds.",
        (TIME,),
    ),
    Mistake(
        "benchmarks/sparse_efficiency.py",
        "cases = [Case(model, 224, batch, 0.6, precision)",
        "cases = [Case(model, 224, batch, 0.5, precision)",
        "Figure 1 is of another mask ratio than its page says.",
        (SPARSE,),
    ),
)
