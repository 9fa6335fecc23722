"""From options to a plan of fine-tuning: the table's column, small data's needs, departures."""

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fcmae.images import IMAGENET_MEAN, IMAGENET_STD
from fcmae.models.responses import USUAL, check_response
from fcmae.optim import layer_ids
from fcmae.recipes import FINETUNING, layer_decay_kind
from fcmae.recipes.finetune import Finetune
from fcmae.recipes.lookup import finetune_table
from fcmae.training.checks import check_peak, check_recipe, check_run, settle_batch_size
from fcmae.training.departures import Departure, departures
from fcmae.training.schedule import Schedule
from fcmae.training.settings import override

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


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuningPlan(Schedule):
    """Everything that decides the bits of a fine-tuning run on one device."""

    data: str
    names: str  # digest of the images' names, in order
    val_images: int
    classes: tuple[str, ...]
    init: str  # what the weights are at first: a path, or "scratch"
    model: str
    in_channels: int
    stem_stride: int
    image_size: tuple[int, int]
    stage: str
    table: str
    label_share: float
    patience: int | None  # epochs without a better accuracy, after which the run stops
    seed: int
    precision: str
    decoding: str  # of what is trained on: "fast" or "exact"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    recipe: Recipe
    departures: tuple[Departure, ...]

    @property
    def warmup_steps(self) -> int:
        """Steps of the linear warm-up."""
        return round(self.recipe.warmup_epochs * self.steps_per_epoch)

    @property
    def learning_rate(self) -> float:
        """The peak, of the head: base x batch size / 256, or the same with batches' roots."""
        batch, table = self.batch_size, finetune_table(self.model, self.stage)
        if self.recipe.learning_rate_scaling == "square-root":
            batch_of_table = table[0][table[1]].batch_size
            return self.recipe.base_learning_rate * math.sqrt(batch * batch_of_table) / 256
        return self.recipe.base_learning_rate * batch / 256

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def settle(
    *,
    model: str,
    stage: str,
    data: str,
    images: int,
    batch_size: int | None,
    epochs: int | None,
    init: str,
    response: str = USUAL,
    in_channels: int,
    seed: int,
    patience: int | None,
    assignments: tuple[str, ...],
    given: Collection[str],
    **facts: Any,
) -> FinetuningPlan:
    """Check the options, fill in what was left open and list the departures from the table.

    `response` is what the weights have in GRN's place.
    """
    table, letter = finetune_table(model, stage)
    column, few = table[letter], images <= FEW
    if epochs is None:
        epochs = min(column.training_epochs, EPOCHS_OF_FEW) if few else column.training_epochs
    check_run(epochs, seed)
    if patience is not None and patience < 1:
        raise ValueError(f"patience {patience}: at least 1 epoch is needed")
    default = default_recipe(model, column, epochs, few=few, scratch=init == "scratch")
    default = dataclasses.replace(default, response=response)
    if in_channels not in (1, 3):
        default = dataclasses.replace(default, rand_augment=(0.0, 0.0))
    recipe = override(default, assignments)
    _check(recipe, epochs, model, in_channels)
    check_response(model, recipe.response)
    plan = FinetuningPlan(
        model=model,
        stage=stage,
        table=table.source,
        images=images,
        batch_size=settle_batch_size(batch_size, images, data, column.batch_size),
        epochs=epochs,
        data=data,
        init=init,
        in_channels=in_channels,
        seed=seed,
        patience=patience,
        recipe=recipe,
        departures=(),
        **facts,
    )
    check_peak(plan.learning_rate, recipe.minimum_learning_rate)
    return dataclasses.replace(plan, departures=compare_with_paper(plan, column, default, given))


def published_recipe(model: str, column: Finetune) -> Recipe:
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
    model: str, column: Finetune, epochs: int, *, few: bool, scratch: bool
) -> Recipe:
    """The published one, fitted to a shorter run, to few images, and to fresh weights."""
    recipe = published_recipe(model, column)
    share = (column.warmup_epochs or 0) / column.training_epochs
    recipe = dataclasses.replace(recipe, warmup_epochs=min(recipe.warmup_epochs, share * epochs))
    if few:
        recipe = dataclasses.replace(
            recipe,
            learning_rate_scaling="square-root",
            warmup_epochs=max(recipe.warmup_epochs, WARMUP_OF_FEW * epochs),
            ema_warmup=True,
        )
    return dataclasses.replace(recipe, layer_decay=1.0) if scratch else recipe


def compare_with_paper(
    plan: FinetuningPlan, column: Finetune, default: Recipe, given: Collection[str]
) -> tuple[Departure, ...]:
    """Every field in which the plan is not the table's or the authors' code's, with the reason."""
    asked, few = "asked for", f"few images: {plan.images}"
    imagenet = (plan.mean, plan.std) == (IMAGENET_MEAN, IMAGENET_STD)
    size = (FINETUNING.image_size,) * 2

    def because(option: str, otherwise: str) -> str:
        return asked if option in given else otherwise

    compared: list[tuple[str, object, object, str]] = [
        ("init", "FCMAE", "scratch" if plan.init == "scratch" else "FCMAE", "no init was given"),
        ("batch_size", column.batch_size, plan.batch_size, because("batch_size", few)),
        ("training_epochs", column.training_epochs, plan.epochs, because("epochs", few)),
        ("image_size", size, plan.image_size, because("image_size", "that of the weights")),
        ("in_channels", 3, plan.in_channels, because("in_channels", "those of the weights")),
        ("stem_stride", 4, plan.stem_stride, because("stem_stride", "that of the weights")),
        (
            "statistics",
            "imagenet",
            "imagenet" if imagenet else "data",
            because("statistics", "those of the weights, or no three channels"),
        ),
        ("label_share", 1.0, plan.label_share, asked),
        ("patience", None, plan.patience, asked),
        (
            "precision",
            FINETUNING.precision,
            plan.precision,
            because("precision", "needs no scaling of the loss, and resumes to the bit"),
        ),
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
    for field in dataclasses.fields(plan.recipe):
        value = getattr(plan.recipe, field.name)
        own = value == getattr(default, field.name)
        why = reasons.get(field.name, asked) if own else asked
        compared.append((field.name, getattr(published, field.name), value, why))
    return departures(compared)


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
