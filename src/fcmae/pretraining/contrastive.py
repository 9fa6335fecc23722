"""Contrastive pre-training, MoCo v3: its recipe and plan; queries, keys and predictor."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from fcmae.commands.pretrain import Pretrain
from fcmae.images import Batch, Pair
from fcmae.images.fixed_images import Pictures
from fcmae.images.pairs import PairView
from fcmae.models.contrastive import create_contrast, momentum_at
from fcmae.models.encoder import Encoder
from fcmae.models.responses import USUAL
from fcmae.pretraining.plan import Method, Plan
from fcmae.pretraining.reconstructions import diversity_of
from fcmae.recipes import MOCO_V3
from fcmae.sizes import total_stride
from fcmae.training.plan import Lines
from fcmae.training.recipe import Comparison, Rule, shorter_warmup
from fcmae.weights import LoadReport, load_weights

SOURCE = "MoCo v3's recipe"
NO_COLOURS = {
    1: "; brightness and contrast alone are jittered: these images have no colours",
    3: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastiveRecipe:
    """Everything of MoCo v3's recipe that has no option of its own; see `recipes.moco_v3`."""

    base_learning_rate: float
    weight_decay: float
    optimizer_momentum: tuple[float, float]
    warmup_epochs: float
    minimum_learning_rate: float
    decay_exempt: str
    temperature: float
    encoder_momentum: float
    hidden_width: int
    projection_width: int
    frozen_stem: bool
    crop_scale: tuple[float, float]
    horizontal_flip: float
    colour_jitter: tuple[float, float, float, float]
    jitter_probability: float
    grey: float
    blur: tuple[float, float]
    blur_sigma: tuple[float, float]
    solarise: tuple[float, float]
    response: str  # what the encoder's blocks have in GRN's place

    def fitted(self, epochs: int, in_channels: int) -> Self:
        """Fitted to a shorter run, and to images without colours."""
        brightness, contrast, *_ = self.colour_jitter
        jitter = {1: (brightness, contrast, 0.0, 0.0), 3: self.colour_jitter}
        return replace(
            self,
            warmup_epochs=shorter_warmup(self.warmup_epochs, MOCO_V3.training_epochs, epochs),
            decay_exempt="fixed",
            frozen_stem=False,
            colour_jitter=jitter.get(in_channels, (0.0,) * 4),
            grey=self.grey if in_channels == 3 else 0.0,
        )

    def rules(self, in_channels: int) -> tuple[Rule, ...]:
        """What the values of heads and views must be."""

        def probabilities(*values: float) -> bool:
            return all(0 <= value <= 1 for value in values)

        jitter, (low, high) = self.colour_jitter, self.blur_sigma
        known = {1: 2, 3: 4}.get(in_channels, 0)  # of the four changes
        pair = "two probabilities, of the first crop and of the second, like (1.0, 0.1)"
        none = f"images of {in_channels} channels have no such change"
        return (
            ("temperature", self.temperature > 0, "more than 0"),
            ("encoder_momentum", 0 <= self.encoder_momentum <= 1, "from 0 to 1"),
            ("hidden_width", self.hidden_width > 0, "1 or more"),
            ("projection_width", self.projection_width > 0, "1 or more"),
            (
                "colour_jitter",
                min(jitter) >= 0 and jitter[3] <= 0.5,
                "0 or more, and 0.5 at most last",
            ),
            ("colour_jitter", not any(jitter[known:]), f"0 from number {known + 1} on: {none}"),
            ("jitter_probability", probabilities(self.jitter_probability), "a probability"),
            ("grey", probabilities(self.grey), "a probability"),
            ("grey", in_channels == 3 or self.grey == 0, f"0 for images of {in_channels} channels"),
            ("blur", probabilities(*self.blur), pair),
            ("blur_sigma", 0 < low <= high, "two deviations in growing order, like (0.1, 2.0)"),
            ("solarise", probabilities(*self.solarise), pair),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastivePlan(Plan):
    """A plan that knows the loss of guesses."""

    recipe: ContrastiveRecipe

    @property
    def chance(self) -> float:
        """The loss of guesses: 2 temperature ln(batch size), in both directions."""
        return 4 * self.recipe.temperature * math.log(self.batch_size)

    def comparisons(self) -> list[Comparison]:
        """How crops are resized."""
        return [("interpolation", MOCO_V3.interpolation, "bicubic", "as for every other task")]

    def details(self) -> Lines:
        """Views, keys and loss."""
        recipe, (height, width) = self.recipe, self.image_size
        momentum = recipe.encoder_momentum
        no_colours = "; no colours are changed: these images have none"
        left_out = NO_COLOURS.get(self.in_channels, no_colours)
        of_batch = "which second view of a batch's images belongs to a first, and back"
        return [
            ("method", f"MoCo v3: {of_batch}"),
            ("image size", f"two crops of {height} x {width} pixels{left_out}"),
            ("keys", f"follow by a momentum of {momentum:g}, rising to 1 by half a cosine"),
            (
                "loss",
                f"temperature {recipe.temperature:g}; {self.chance:.3g} by chance, for a batch "
                f"size of {self.batch_size}",
            ),
        ]

    def facts(self) -> dict[str, Any]:
        """What guesses score."""
        return {"table": SOURCE, "chance": self.chance}

    def learner(self, pictures: Pictures | None, out: Path) -> "ContrastiveLearner":
        """Queries, keys and predictor."""
        return ContrastiveLearner(self, pictures)


def make_plan(options: Pretrain, common: Mapping[str, Any]) -> ContrastivePlan:
    """The plan of these options; images have whole cells, and batches two images or more."""
    stride, (height, width) = total_stride(options.stem_stride), common["image_size"]
    if any(side < stride or side % stride for side in (height, width)):
        raise ValueError(
            f"image size {height}x{width}: both sides must be multiples of {stride} pixels, 8 "
            "times the stem stride"
        )
    if common["batch_size"] < 2:
        raise ValueError("batch size 1: there is nothing to tell an image from; 2 is the least")
    return ContrastivePlan(**common)


def _published() -> ContrastiveRecipe:
    names = {field.name for field in dataclasses.fields(ContrastiveRecipe)} - {"response"}
    values: dict[str, Any] = {name: getattr(MOCO_V3, name) for name in names}
    values["warmup_epochs"] = float(MOCO_V3.warmup_epochs)
    return ContrastiveRecipe(**values, response=USUAL)


METHOD = Method(
    source=SOURCE,
    batch_size=MOCO_V3.batch_size,
    epochs=(MOCO_V3.training_epochs,),
    image_size=MOCO_V3.image_size,
    precision=MOCO_V3.precision,
    recipe=_published(),
    because={
        "warmup_epochs": "the same share of the epochs",
        "decay_exempt": "biases, norms and GRN's scales are no weights to be kept small",
        "frozen_stem": "that is for ViT's stability",
        "colour_jitter": "of {channels} channels there are no such colours",
        "grey": "of {channels} channels there are no such colours",
        "precision": "it needs no scaling of the loss",
    },
    options=(),
    whole_batches=True,
    template="pretraining/contrastive.html",
    plan=make_plan,
)


class ContrastiveLearner:
    """Queries, keys and predictor.

    Args:
        plan: what to compute.
        pictures: those whose features are looked at; None in processes that write nothing.
    """

    def __init__(self, plan: ContrastivePlan, pictures: Pictures | None) -> None:
        recipe = plan.recipe
        self.plan, self.followers = plan, (self.move_keys,)
        self.view = PairView(
            size=plan.image_size,
            crop_scale=recipe.crop_scale,
            horizontal_flip=recipe.horizontal_flip,
            colour_jitter=recipe.colour_jitter,
            jitter_probability=recipe.jitter_probability,
            grey=recipe.grey,
            blur=recipe.blur,
            blur_sigma=recipe.blur_sigma,
            solarise=recipe.solarise,
            decoding=plan.decoding,
        )
        self.module = create_contrast(
            plan.model,
            in_channels=plan.in_channels,
            stem_stride=plan.stem_stride,
            hidden_width=recipe.hidden_width,
            projection_width=recipe.projection_width,
            temperature=recipe.temperature,
            frozen_stem=recipe.frozen_stem,
            response=recipe.response,
        )
        self.pictures: Tensor | None = None
        if pictures is not None:
            mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (plan.mean, plan.std))
            self.pictures = (torch.stack(pictures.images) - mean) / std  # [B, C, H, W]

    @property
    def encoder(self) -> Encoder:
        """The queries'."""
        return self.module.query.encoder

    def load(self, path: str, key: str | None) -> LoadReport:
        """Begin with an encoder's weights, the keys too."""
        report = load_weights(self.encoder, path, key=key)
        self.module.follow(0.0)
        return report

    def prepare(self, batch: Batch[Pair], *views: Tensor) -> tuple[Tensor, Tensor]:
        """The first and the second view of each image."""
        first, second = views
        return first, second

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """The symmetric loss of two views."""
        loss: Tensor = module(images, other)
        return loss

    def move_keys(self, step: int) -> None:
        """Let the keys follow, by the momentum of the step that comes next."""
        base = self.plan.recipe.encoder_momentum
        self.module.follow(momentum_at(step, base=base, steps=self.plan.steps))

    def observe(self, epoch: int) -> dict[str, Any]:
        """Measure the diversity of the fixed images' features."""
        return {} if self.pictures is None else diversity_of(self.encoder, self.pictures)
