"""Masked pre-training, FCMAE: its recipe (Table 1) and plan, and the autoencoder with its masks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from fcmae.commands.pretrain import Pretrain
from fcmae.images import Batch, RandomView, Unlabelled, sample_seed
from fcmae.images.fixed_images import Pictures
from fcmae.models.autoencoder import Output, create_autoencoder
from fcmae.models.encoder import Encoder
from fcmae.models.masks import check_patch_size, num_visible, patch_grid, random_mask
from fcmae.models.responses import USUAL
from fcmae.pretraining.plan import Method, Plan
from fcmae.pretraining.reconstructions import Reconstructions
from fcmae.recipes import PRETRAINING, TABLE_1
from fcmae.sizes import total_stride
from fcmae.training.plan import Lines
from fcmae.training.recipe import ASKED, Comparison, Rule, shorter_warmup
from fcmae.training.task import Follower
from fcmae.weights import LoadReport, load_weights

TABLE = TABLE_1["A"]  # the table has one column for all sizes
MASKS = 1 << 40  # sets the masks' seeds apart from the crops', whose index is that of an image


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedRecipe:
    """Everything of Table 1, and of what it leaves out, that has no option of its own."""

    base_learning_rate: float
    weight_decay: float
    optimizer_momentum: tuple[float, float]
    warmup_epochs: float
    minimum_learning_rate: float
    decay_exempt: str
    norm_pix: bool
    decoder_width: int
    decoder_depth: int
    crop_scale: tuple[float, float]
    horizontal_flip: float
    response: str  # what the encoder's blocks have in GRN's place

    def fitted(self, epochs: int, in_channels: int) -> Self:
        """A shorter run warms up for the same share of its epochs."""
        warmup = shorter_warmup(self.warmup_epochs, TABLE.training_epochs[0], epochs)
        return replace(self, warmup_epochs=warmup, decay_exempt="fixed")

    def rules(self, in_channels: int) -> tuple[Rule, ...]:
        """What the decoder's sizes must be."""
        return (
            ("decoder_width", self.decoder_width > 0, "1 or more"),
            ("decoder_depth", self.decoder_depth > 0, "1 or more"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedPlan(Plan):
    """What is masked, beside what every plan has."""

    patch_size: int
    mask_ratio: float
    visible_patches: int
    patches: int
    recipe: MaskedRecipe

    @property
    def real_mask_ratio(self) -> float:
        """The share of patches that is masked once their number is whole."""
        return 1 - self.visible_patches / self.patches

    def comparisons(self) -> list[Comparison]:
        """Size and number of the masked patches."""
        return [
            ("mask_size", PRETRAINING.mask_size, self.patch_size, ASKED),
            ("mask_ratio", PRETRAINING.mask_ratio, self.mask_ratio, ASKED),
        ]

    def details(self) -> Lines:
        """Images and mask."""
        height, width = self.image_size
        return [
            ("image size", f"{height} x {width} pixels, patches of {self.patch_size}"),
            (
                "mask",
                f"{self.patches - self.visible_patches} of {self.patches} patches "
                f"({self.real_mask_ratio:.1%} for a ratio of {self.mask_ratio:g})",
            ),
        ]

    def facts(self) -> dict[str, Any]:
        """What is masked."""
        return {
            "patch_size": self.patch_size,
            "mask_ratio": self.mask_ratio,
            "real_mask_ratio": self.real_mask_ratio,
        }

    def learner(self, pictures: Pictures | None, out: Path) -> "MaskedAutoencoder":
        """An autoencoder."""
        return MaskedAutoencoder(self, pictures, out)


def make_plan(options: Pretrain, common: Mapping[str, Any]) -> MaskedPlan:
    """The plan of these options; masks must hide some patches and leave some visible."""
    patch_size = check_patch_size(options.patch_size, total_stride(options.stem_stride))
    height, width = common["image_size"]
    rows, columns = patch_grid(height, width, patch_size)
    return MaskedPlan(
        **common,
        patch_size=patch_size,
        mask_ratio=options.mask_ratio,
        visible_patches=num_visible(rows * columns, options.mask_ratio),
        patches=rows * columns,
    )


METHOD = Method(
    source=TABLE_1.source,
    batch_size=TABLE.batch_size,
    epochs=TABLE.training_epochs,
    image_size=PRETRAINING.image_size,
    precision=PRETRAINING.precision,
    recipe=MaskedRecipe(
        base_learning_rate=TABLE.base_learning_rate,
        weight_decay=TABLE.weight_decay,
        optimizer_momentum=TABLE.optimizer_momentum,
        warmup_epochs=float(TABLE.warmup_epochs),
        minimum_learning_rate=PRETRAINING.minimum_learning_rate,
        decay_exempt=PRETRAINING.decay_exempt,
        norm_pix=PRETRAINING.norm_pix,
        decoder_width=PRETRAINING.decoder_width,
        decoder_depth=PRETRAINING.decoder_depth,
        crop_scale=PRETRAINING.crop_scale,
        horizontal_flip=PRETRAINING.horizontal_flip,
        response=USUAL,
    ),
    because={
        "warmup_epochs": "the same share of the epochs",
        "decay_exempt": "GRN's scales and the mask token are no weights to be kept small",
        "precision": "the hardware has it, and is faster",
    },
    options=("patch_size", "mask_ratio"),
    whole_batches=False,
    template="pretraining/masked.html",
    plan=make_plan,
)


class MaskedAutoencoder:
    """An autoencoder, its masks, and the reconstructions of the fixed images.

    Args:
        plan: what to compute.
        pictures: the fixed images; None in processes that write nothing.
        out: the run folder.
    """

    followers: tuple[Follower, ...] = ()

    def __init__(self, plan: MaskedPlan, pictures: Pictures | None, out: Path) -> None:
        recipe = plan.recipe
        self.plan = plan
        self.view = RandomView(
            plan.image_size, recipe.crop_scale, recipe.horizontal_flip, plan.decoding
        )
        self.module = create_autoencoder(
            plan.model,
            in_channels=plan.in_channels,
            patch_size=plan.patch_size,
            stem_stride=plan.stem_stride,
            decoder_width=recipe.decoder_width,
            decoder_depth=recipe.decoder_depth,
            norm_pix=recipe.norm_pix,
            response=recipe.response,
        )
        self.masks: tuple[int, Tensor] | None = None  # of the step being computed
        self.reconstructions = None
        if pictures is not None:
            self.reconstructions = Reconstructions(
                out,
                pictures,
                mean=plan.mean,
                std=plan.std,
                mask_ratio=plan.mask_ratio,
                patch_size=plan.patch_size,
            )

    @property
    def encoder(self) -> Encoder:
        """The autoencoder's."""
        return self.module.encoder

    def load(self, path: str, key: str | None) -> LoadReport:
        """Begin with an encoder's weights; the decoder stays fresh."""
        return load_weights(self.module, path, key=key)

    def prepare(self, batch: Batch[Unlabelled], *views: Tensor) -> tuple[Tensor, Tensor]:
        """Images and their masks."""
        (pixels,) = views
        mask = self.step_masks(batch.step)[batch.first : batch.first + len(pixels)]
        return pixels, mask.to(pixels.device, non_blocking=True)

    def step_masks(self, step: int) -> Tensor:
        """Masks of a step's whole global batch, a function of seed and step: bool [G, h, w]."""
        if self.masks is None or self.masks[0] != step:
            plan, grid = self.plan, patch_grid(*self.plan.image_size, self.plan.patch_size)
            generator = torch.Generator().manual_seed(sample_seed(plan.seed, step, MASKS))
            mask = random_mask(plan.batch_size, grid, plan.mask_ratio, generator)
            self.masks = (step, mask)
        return self.masks[1]

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """The reconstruction loss of images under masks."""
        output: Output = module(images, other)
        return output.loss

    def observe(self, epoch: int) -> dict[str, Any]:
        """Reconstruct the fixed images, and measure the diversity of their features."""
        if self.reconstructions is None:
            return {}
        return self.reconstructions.observe(self.module, epoch)
