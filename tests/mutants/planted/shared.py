"""What can go wrong in what trainings of every kind share without any error."""

from mutants.mistake import Mistake

HERE = "tests/wiring/test_shared_options.py::"
FINETUNING = "tests/wiring/test_finetuning_fields.py::"
SETS = "tests/images/test_sets.py"
LOADER = "tests/images/test_loader.py::test_what_stands_in_for_an_unreadable_file_looks_as_itself"
PAIRS = "tests/images/test_pairs.py::test_fast_views_shrink_as_far_as_both_crops_allow"
PRECISION_KEPT = f"{HERE}test_a_run_goes_on_in_the_precision_that_it_began_with"
PRECISION = f"{HERE}test_steps_are_computed_in_the_precision_that_is_asked_for"
KEY = f"{HERE}test_the_key_chooses_the_first_weights"
RECOMPUTED = f"{HERE}test_blocks_are_recomputed_where_that_is_asked_for"
COMPILED = f"{HERE}test_blocks_are_compiled_where_that_is_asked_for"
SIZE = f"{HERE}test_size_and_statistics_are_those_of_the_first_weights_unless_others_are_asked_for"
BEGINS = f"{HERE}test_before_its_first_checkpoint_a_run_begins_from_its_first_weights_again"
DATA = f"{HERE}test_other_images_are_another_plan"
RUNNING = f"{HERE}test_running_statistics_are_not_moved_a_second_time"
INSIDE = f"{HERE}test_a_run_inside_its_data_is_refused"
GREY = f"{FINETUNING}test_grey_images_are_augmented_too"
PATCHES = f"{HERE}test_looks_mask_whole_patches"
STATISTICS = f"{HERE}test_looks_move_no_running_statistics"
LOOKS = f"{HERE}test_looks_come_ever_less_often"
OLD = f"{FINETUNING}test_no_picture_of_an_earlier_best_epoch_stays"
MEASURED = f"{HERE}test_what_was_measured_when_a_run_began_is_kept"
TRAINED = f"{HERE}test_everything_is_trained_but_keys"
EPOCHS = f"{HERE}test_each_method_has_its_own_number_of_epochs"

MISTAKES = (
    Mistake(
        "images/sets.py",
        "return self._images.read(self._indices[index], channels, shrinkage)",
        "return self._images.read(self._indices[0], channels, shrinkage)",
        "With a share of the labels, training sees other images than the labels are of.",
        (SETS,),
    ),
    Mistake(
        "images/sets.py",
        "labels = tuple(self.labels[index] for index in indices)",
        "labels = self.labels[: len(indices)]",
        "With a share of the labels, images have the labels of others.",
        (SETS,),
    ),
    Mistake(
        "images/sets.py",
        "number(len(indices)), mix(seed, label)",
        "number(len(indices)), seed",
        "A share of the labels draws the same places in every class.",
        (SETS,),
    ),
    Mistake(
        "images/loader.py",
        "drawn = sample_seed(self.seed, epoch, candidate)",
        "drawn = sample_seed(self.seed, epoch, index)",
        ("What stands in for an unreadable image is cropped as that would be, not as itself."),
        (LOADER,),
    ),
    Mistake(
        "images/pairs.py",
        (
            "windows = [random_window(height, width, self.crop_scale, _dice(seed, "
            "i)) for i in (0, 1)]"
        ),
        (
            "windows = [random_window(height, width, self.crop_scale, _dice(seed, "
            "0)) for i in (0, 1)]"
        ),
        "How much a pair's image is shrunk is decided by its first crop alone.",
        (PAIRS,),
    ),
    Mistake(
        "finetuning/first_weights.py",
        "found = load_backbone(str(options.init), options.key)",
        "found = load_backbone(str(options.init), None)",
        "What the first weights are of is read without the key.",
        (KEY,),
    ),
    Mistake(
        "finetuning/task.py",
        "        model.checkpoint_blocks = batching.checkpoint_blocks\n",
        "",
        "The option --checkpoint-blocks is ignored in fine-tuning.",
        (RECOMPUTED,),
    ),
    Mistake(
        "finetuning/task.py",
        ("        if batching.compile_blocks:\n            compile_blocks(model)\n"),
        "",
        "The option --compile is ignored in fine-tuning.",
        (COMPILED,),
    ),
    Mistake(
        "finetuning/run.py",
        "opened.facts([images, val], ",
        "opened.facts([images], ",
        "A run may be resumed with other validation images.",
        (DATA,),
    ),
    Mistake(
        "finetuning/first_weights.py",
        "size, statistics = said.image_size, None",
        "size, statistics = (said.image_size[1], said.image_size[0]), None",
        "First weights' height and width are taken the wrong way round.",
        (SIZE,),
    ),
    Mistake(
        "training/start.py",
        (
            '        if resumed is None or "precision" in options.given:\n'
            "            precision = choose_precision(options.precision, device)\n"
            "        else:\n"
            '            precision = resumed.plan["precision"]\n'
        ),
        "        precision = choose_precision(options.precision, device)\n",
        "A resumed run's precision is chosen anew for the hardware.",
        (PRECISION_KEPT,),
    ),
    Mistake(
        "finetuning/task.py",
        '            if int(path.name.partition(".")[0]) >= len(summary["mistakes"]):',
        '            if int(path.name.partition(".")[0]) > len(summary["mistakes"]):',
        "One picture of an earlier best epoch's mistakes stays.",
        (OLD,),
    ),
    Mistake(
        "finetuning/task.py",
        '("RandAug", int(magnitude), deviation) if magnitude else None',
        (
            '("RandAug", int(magnitude), deviation) '
            "if magnitude and self.plan.in_channels == 3 else None"
        ),
        "Images of one channel are not augmented, whatever the recipe says.",
        (GREY,),
    ),
    Mistake(
        "pretraining/masked.py",
        "return load_weights(self.module, path, key=key)",
        "return load_weights(self.module, path)",
        "The key of the first weights is ignored in masked pre-training.",
        (KEY,),
    ),
    Mistake(
        "pretraining/contrastive.py",
        "report = load_weights(self.encoder, path, key=key)",
        "report = load_weights(self.encoder, path)",
        "The key of the first weights is ignored in MoCo v3.",
        (KEY,),
    ),
    Mistake(
        "pretraining/task.py",
        "        learner.encoder.checkpoint_blocks = batching.checkpoint_blocks\n",
        "",
        "The option --checkpoint-blocks is ignored in pre-training.",
        (RECOMPUTED,),
    ),
    Mistake(
        "pretraining/task.py",
        ("        if batching.compile_blocks:\n            compile_blocks(self.trained)\n"),
        "",
        "The option --compile is ignored in pre-training.",
        (COMPILED,),
    ),
    Mistake(
        "pretraining/masked.py",
        (
            "                mask_ratio=plan.mask_ratio,\n"
            "                patch_size=plan.patch_size,\n"
        ),
        (
            "                mask_ratio=plan.mask_ratio,\n"
            "                patch_size=self.module.encoder.stride,\n"
        ),
        "Looks mask patches of the total stride's side.",
        (PATCHES,),
    ),
    Mistake(
        "pretraining/reconstructions.py",
        "with torch.no_grad(), evaluating(encoder):",
        "with torch.no_grad():",
        "A look in MoCo v3 moves running statistics.",
        (STATISTICS,),
    ),
    Mistake(
        "pretraining/reconstructions.py",
        "with torch.no_grad(), evaluating(model):",
        "with torch.no_grad():",
        "A look moves running statistics.",
        (STATISTICS,),
    ),
    Mistake(
        "training/start.py",
        "begins = self.resumed is None or not self.resumed.has_checkpoint",
        "begins = self.resumed is None",
        ("A pre-training resumed before its first checkpoint begins without its first weights."),
        (BEGINS,),
    ),
    Mistake(
        "training/start.py",
        "names=digest_of_names(part.name(i) for part in parts for i in range(len(part))),",
        "names=digest_of_names(part.name(0) for part in parts),",
        "A run may be resumed on other images.",
        (DATA,),
    ),
    Mistake(
        "training/trainer.py",
        (
            "        with self.runtime.autocast():\n"
            "            return self.task.loss(module, images, other)"
        ),
        "        return self.task.loss(module, images, other)",
        "Training is in single precision, whatever is asked for.",
        (PRECISION,),
    ),
    Mistake(
        "pretraining/task.py",
        "        observes = epoch in epochs_to_observe(plan.epochs)\n",
        "        observes = epoch == plan.epochs\n",
        "Masked pre-training looks before the first and after the last epoch alone.",
        (LOOKS,),
    ),
    Mistake(
        "training/start.py",
        (
            '    if plan.recipe.response == "batch":\n'
            "        _check_batch_statistics(resumed, options)\n"
        ),
        "",
        (
            "A run with BatchNorm in GRN's place may be resumed with other "
            "micro-batches, or with recomputed blocks."
        ),
        (RUNNING,),
    ),
    Mistake(
        "training/start.py",
        "    refuse_inside(out, str(options.data))\n",
        "",
        "A run's folder may lie among its images.",
        (INSIDE,),
    ),
    Mistake(
        "training/start.py",
        'if resumed is not None and "statistics" not in options.given:',
        'if resumed is not None and "statistics" in options.given:',
        "Statistics are measured again when a run is resumed.",
        (MEASURED,),
    ),
    Mistake(
        "pretraining/run.py",
        "epochs = method.epochs[0] if options.epochs is None",
        "epochs = 800 if options.epochs is None",
        "Every method has the epochs of masked pre-training.",
        (EPOCHS,),
    ),
    Mistake(
        "models/decoder.py",
        "nn.init.normal_(self.mask_token, std=0.02)",
        "nn.init.normal_(self.mask_token, std=0.02).requires_grad_(False)",
        "The mask token is not trained.",
        (TRAINED,),
    ),
)
