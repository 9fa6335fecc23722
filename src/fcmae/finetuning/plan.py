"""From options to a plan of fine-tuning: the table's column, fitted to few images; departures."""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

from fcmae.commands.finetune import Finetune
from fcmae.images.statistics import Statistics
from fcmae.images.views import check_decoding
from fcmae.models.responses import USUAL, check_response
from fcmae.optim import layer_ids, scaled_learning_rate
from fcmae.recipes import FINETUNING, layer_decay_kind
from fcmae.recipes.finetune import Finetune as Column
from fcmae.recipes.lookup import finetune_table
from fcmae.training import plan as training_plan
from fcmae.training.plan import check_length, choose_batch_size
from fcmae.training.recipe import (
    ASKED,
    Comparison,
    Departure,
    check_recipe,
    compare_recipes,
    departures,
    override,
    shorter_warmup,
)
from fcmae.training.start import SCRATCH, Facts

FEW = 50_000  # images; the tables are made for 1.28 million
EPOCHS_OF_FEW = 100
WARMUP_OF_FEW = 0.05  # share of the epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything of Tables 2-6, and of what they leave out, that has no option of its own."""

    base_learning_rate: float
    learning_rate_scaling: str  # "linear" with the batch size, or "square-root"
    weight_decay: float
    optimizer_momentum: tuple[float, float]
    layer_decay: float  # 1 for none
    layer_decay_kind: str  # "layer" or "group"
    warmup_epochs: float
    minimum_learning_rate: float
    rand_augment: tuple[float, float]  # magnitude and its deviation; magnitude 0 for none
    random_erasing: float
    crop_scale: tuple[float, float]
    horizontal_flip: float
    label_smoothing: float
    mixup: float  # 0 for none
    cutmix: float  # 0 for none
    drop_path: float
    head_init: float
    ema: float  # 0 for none
    ema_warmup: bool
    response: str  # what the blocks have in GRN's place


class FirstWeights(NamedTuple):
    """What a run takes from the weights that it starts with."""

    model: str
    in_channels: int
    stem_stride: int
    response: str
    image_size: tuple[int, int]
    statistics: Statistics | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuningPlan(training_plan.Plan):
    """Everything that decides the bits of a fine-tuning run on one device."""

    val_images: int
    classes: tuple[str, ...]
    stage: str
    table: str
    label_share: float
    patience: int | None  # epochs without a better accuracy, after which the run stops
    recipe: Recipe

    @property
    def learning_rate(self) -> float:
        """The peak, of the head: base x batch size / 256, or with roots of both sizes."""
        batch, table = float(self.batch_size), finetune_table(self.model, self.stage)
        if self.recipe.learning_rate_scaling == "square-root":
            batch = math.sqrt(batch * table[0][table[1]].batch_size)
        return scaled_learning_rate(self.recipe.base_learning_rate, batch)


def make_plan(
    options: Finetune, first: FirstWeights, facts: Facts, val_images: int, classes: tuple[str, ...]
) -> FinetuningPlan:
    """Check the options, fill in what was left open and list the departures from the table."""
    table, letter = finetune_table(first.model, options.stage)
    column, few, epochs = table[letter], facts.images <= FEW, options.epochs
    if epochs is None:
        epochs = min(column.training_epochs, EPOCHS_OF_FEW) if few else column.training_epochs
    check_length(epochs, options.seed)
    if options.patience is not None and options.patience < 1:
        raise ValueError(f"patience {options.patience}: at least 1 epoch is needed")
    own = default_recipe(first, column, epochs, few=few, scratch=facts.init == SCRATCH)
    recipe = override(own, options.set)
    _check(recipe, epochs, first.model, first.in_channels)
    check_response(first.model, recipe.response)
    batch_size, largest = options.batch_size, column.batch_size
    plan = FinetuningPlan(
        **facts._asdict(),
        val_images=val_images,
        classes=classes,
        model=first.model,
        in_channels=first.in_channels,
        stem_stride=first.stem_stride,
        image_size=first.image_size,
        stage=options.stage,
        table=table.source,
        batch_size=choose_batch_size(batch_size, facts.images, facts.data, largest),
        epochs=epochs,
        label_share=options.label_share,
        patience=options.patience,
        seed=options.seed,
        decoding=check_decoding(options.decoding),
        recipe=recipe,
    )
    plan.check_learning_rate()
    return dataclasses.replace(plan, departures=compare(plan, column, own, options))


def published_recipe(model: str, column: Column) -> Recipe:
    """A column of the tables, with what the tables leave out."""
    return Recipe(
        base_learning_rate=column.base_learning_rate,
        learning_rate_scaling="linear",
        weight_decay=column.weight_decay,
        optimizer_momentum=column.optimizer_momentum,
        layer_decay=column.layer_wise_lr_decay,
        layer_decay_kind=layer_decay_kind(model),
        warmup_epochs=float(column.warmup_epochs or 0),
        minimum_learning_rate=FINETUNING.minimum_learning_rate,
        rand_augment=(float(column.augmentation[1]), column.augmentation[2]),
        random_erasing=FINETUNING.random_erasing,
        crop_scale=FINETUNING.crop_scale,
        horizontal_flip=FINETUNING.horizontal_flip,
        label_smoothing=column.label_smoothing,
        mixup=column.mixup or 0.0,
        cutmix=column.cutmix or 0.0,
        drop_path=column.drop_path,
        head_init=column.head_init,
        ema=column.ema or 0.0,
        ema_warmup=FINETUNING.ema_warmup,
        response=USUAL,
    )


def default_recipe(
    first: FirstWeights, column: Column, epochs: int, *, few: bool, scratch: bool
) -> Recipe:
    """The published one, fitted to a shorter run, to few images, and to the first weights."""
    recipe = published_recipe(first.model, column)
    warmup = shorter_warmup(recipe.warmup_epochs, column.training_epochs, epochs)
    recipe = dataclasses.replace(recipe, warmup_epochs=warmup, response=first.response)
    if few:
        recipe = dataclasses.replace(
            recipe,
            learning_rate_scaling="square-root",
            warmup_epochs=max(warmup, WARMUP_OF_FEW * epochs),
            ema_warmup=True,
        )
    if scratch:
        recipe = dataclasses.replace(recipe, layer_decay=1.0)
    if first.in_channels not in (1, 3):
        recipe = dataclasses.replace(recipe, rand_augment=(0.0, 0.0))
    return recipe


def compare(
    plan: FinetuningPlan, column: Column, own: Recipe, options: Finetune
) -> tuple[Departure, ...]:
    """Every field in which the plan departs from the table or the authors' code; the reason."""
    few, size = f"few images: {plan.images}", (FINETUNING.image_size,) * 2
    init = SCRATCH if plan.init == SCRATCH else "FCMAE"

    def because(option: str, otherwise: str) -> str:
        return ASKED if option in options.given else otherwise

    statistics = because("statistics", "those of the weights, or no three channels")
    precision = because("precision", "needs no scaling of the loss, and resumes to the bit")
    compared: list[Comparison] = [
        ("init", "FCMAE", init, "no init was given"),
        ("batch_size", column.batch_size, plan.batch_size, because("batch_size", few)),
        ("training_epochs", column.training_epochs, plan.epochs, because("epochs", few)),
        ("image_size", size, plan.image_size, because("image_size", "that of the weights")),
        ("in_channels", 3, plan.in_channels, because("in_channels", "those of the weights")),
        ("stem_stride", 4, plan.stem_stride, because("stem_stride", "that of the weights")),
        ("statistics", "imagenet", plan.statistics, statistics),
        ("label_share", 1.0, plan.label_share, ASKED),
        ("patience", None, plan.patience, ASKED),
        ("precision", FINETUNING.precision, plan.precision, precision),
    ]
    reasons = {
        "learning_rate_scaling": f"{few}, in small batches",
        "warmup_epochs": few if plan.images <= FEW else "the same share of the epochs",
        "ema_warmup": f"{few}: an average over 10,000 steps would be of the start",
        "response": "that of the weights",
        "layer_decay": "no layer has learned anything yet",
        "rand_augment": f"it knows 1 or 3 channels, not {plan.in_channels}",
    }
    published = published_recipe(plan.model, column)
    return departures([*compared, *compare_recipes(plan.recipe, own, published, reasons)])


def _check(recipe: Recipe, epochs: int, model: str, in_channels: int) -> None:
    magnitude, deviation = recipe.rand_augment
    left_out = recipe.rand_augment == (0, 0)
    scaling, share = ("linear", "square-root"), "from 0 to below 1"
    rules = (
        ("learning_rate_scaling", recipe.learning_rate_scaling in scaling, " or ".join(scaling)),
        ("layer_decay", 0 < recipe.layer_decay <= 1, "more than 0 and at most 1"),
        (
            "rand_augment",
            left_out or (magnitude in range(1, 11) and 0 <= deviation <= 10),
            "a whole magnitude from 0 to 10 and its deviation, like (9, 0.5); (0, 0) for none",
        ),
        (
            "rand_augment",
            left_out or in_channels in (1, 3),
            f"(0, 0): it cannot be had for {in_channels} channels",
        ),
        ("random_erasing", 0 <= recipe.random_erasing <= 1, "a probability"),
        ("label_smoothing", 0 <= recipe.label_smoothing < 1, share),
        ("mixup", recipe.mixup >= 0, "0 or more"),
        ("cutmix", recipe.cutmix >= 0, "0 or more"),
        ("drop_path", 0 <= recipe.drop_path < 1, share),
        ("head_init", recipe.head_init > 0, "more than 0"),
        ("ema", 0 <= recipe.ema < 1, share),
    )
    check_recipe(recipe, epochs, rules)
    layer_ids(model, recipe.layer_decay_kind)  # refuses a kind that this model cannot have
