"""What can go wrong in masked pre-training without any error."""

from mutants.mistake import Mistake

FIELDS = ("tests/wiring/test_masked_fields.py",)
BY_HAND = ("tests/wiring/test_by_hand.py",)
DRAWS = ("tests/wiring/test_draws.py",)
METHOD, TASK = "pretraining/masked.py", "pretraining/task.py"

MISTAKES = (
    Mistake(
        file="models/loss.py",
        words="return (cells - mean) / (variance + EPSILON).sqrt()",
        replacement="return (cells - mean) / (variance.sqrt() + EPSILON)",
        meaning="The small number is added to the deviation of a cell, not to its variance.",
        tests=("tests/models/test_loss.py",),
    ),
    Mistake(
        file="models/loss.py",
        words="cells.permute(0, 2, 4, 3, 5, 1)",
        replacement="cells.permute(0, 2, 4, 5, 3, 1)",
        meaning="The values of a cell run over columns before rows.",
        tests=("tests/models/test_loss.py",),
    ),
    Mistake(
        METHOD,
        "sample_seed(plan.seed, step, MASKS)",
        "sample_seed(plan.seed, 0, MASKS)",
        "Every step has the same masks.",
        DRAWS,
    ),
    Mistake(
        METHOD,
        "sample_seed(plan.seed, step, MASKS)",
        "sample_seed(0, step, MASKS)",
        "Every seed has the same masks.",
        BY_HAND,
    ),
    Mistake(
        METHOD,
        "if self.masks is None or self.masks[0] != step:",
        "if self.masks is None:",
        "The first step's masks are kept for all others.",
        DRAWS,
    ),
    Mistake(
        METHOD,
        "[batch.first : batch.first + len(pixels)]",
        "[: len(pixels)]",
        "Every micro-batch has the masks of the first.",
        BY_HAND,
    ),
    Mistake(
        METHOD,
        "mask = random_mask(plan.batch_size, grid, plan.mask_ratio, generator)",
        "mask = random_mask(plan.batch_size, grid, 0.6, generator)",
        "The mask ratio is always the paper's.",
        FIELDS,
    ),
    Mistake(
        TASK,
        "(view - self.mean) / self.std for view in views",
        "(view - self.mean) / self.std / self.std for view in views",
        "Images are divided by the deviation twice.",
        FIELDS,
    ),
    Mistake(
        TASK,
        "(view - self.mean) / self.std for view in views",
        "view / self.std for view in views",
        "The mean is not subtracted.",
        FIELDS,
    ),
    Mistake(
        TASK,
        "self.std = torch.tensor(plan.std, device=runtime.device).view(-1, 1, 1)",
        "self.std = torch.tensor(plan.std, device=runtime.device).mean().view(1, 1, 1)",
        "All channels are divided by their mean deviation.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "plan.image_size, recipe.crop_scale, recipe.horizontal_flip, plan.decoding",
        "plan.image_size, (0.2, 1.0), recipe.horizontal_flip, plan.decoding",
        "Crops are always as the authors' code has them.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "plan.image_size, recipe.crop_scale, recipe.horizontal_flip, plan.decoding",
        "plan.image_size, recipe.crop_scale, 0.5, plan.decoding",
        "Flips are always half of the time.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "plan.image_size, recipe.crop_scale, recipe.horizontal_flip, plan.decoding",
        "plan.image_size, recipe.crop_scale, recipe.horizontal_flip",
        "Fast decoding is never used.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "            decoder_width=recipe.decoder_width,\n",
        "",
        "The decoder has always the paper's width.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "            decoder_depth=recipe.decoder_depth,\n",
        "",
        "The decoder has always one block.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "            norm_pix=recipe.norm_pix,\n",
        "",
        "Targets are always normalised.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "            response=recipe.response,\n",
        "",
        "The encoder has always GRN.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "            patch_size=plan.patch_size,\n            stem_stride",
        "            stem_stride",
        "What is masked together has always the total stride's side.",
        FIELDS,
    ),
    Mistake(
        TASK,
        "self.trained, recipe.weight_decay, exempt=recipe.decay_exempt",
        "self.trained, 0.05, exempt=recipe.decay_exempt",
        "Weight decay is always the paper's.",
        FIELDS,
    ),
    Mistake(
        "training/trainer.py",
        "adamw(task.groups, task.plan.recipe.optimizer_momentum, device)",
        "adamw(task.groups, (0.9, 0.999), device)",
        "The optimiser has PyTorch's momenta.",
        FIELDS,
    ),
    Mistake(
        METHOD,
        "return load_weights(self.module, path, key=key)",
        "load_weights(self.module, path, key=key)\n"
        "        self.module.decoder.load_state_dict({\n"
        "            name: 0 * value for name, value in self.module.decoder.state_dict().items()\n"
        "        })\n"
        "        return load_weights(self.module, path, key=key)",
        "With first weights for the encoder, the decoder begins at zero.",
        FIELDS,
    ),
    Mistake(
        "training/plan.py",
        "return scaled_learning_rate(self.recipe.base_learning_rate, self.batch_size)",
        "return self.recipe.base_learning_rate",
        "The rate is not scaled by the batch size.",
        FIELDS,
    ),
    Mistake(
        "pretraining/plan.py",
        "override(own, options.set)",
        "override(own, ())",
        "What is given by --set is ignored.",
        FIELDS,
    ),
    Mistake(
        "training/start.py",
        "choose_statistics(options.statistics, channels, parts[0])",
        'choose_statistics("auto", channels, parts[0])',
        "The kind of statistics that was asked for is ignored.",
        FIELDS,
    ),
    Mistake(
        "models/autoencoder.py",
        "prediction = self.decoder.predict(decoded[cells])",
        "prediction = self.decoder.predict(decoded[cells].detach())",
        "No gradient passes the last layer.",
        BY_HAND,
    ),
    Mistake(
        "images/transforms.py",
        "return mix(seed, epoch, index)",
        "return mix(seed, 0, index)",
        "An image looks the same in every epoch.",
        DRAWS,
    ),
    Mistake(
        "images/loader.py",
        "drawn = sample_seed(self.seed, epoch, candidate)",
        "drawn = sample_seed(self.seed, epoch, 0)",
        "All images of an epoch have the same crop and flip.",
        DRAWS,
    ),
    Mistake(
        "images/order.py",
        "keys = np.random.PCG64(mix(seed, epoch)).random_raw(length)",
        "keys = np.random.PCG64(mix(seed, 0)).random_raw(length)",
        "Every epoch has the same order.",
        BY_HAND,
    ),
)
