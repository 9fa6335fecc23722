"""How large a study is: sizes, lengths and learning rates, as the values of its recipe."""

from dataclasses import dataclass, replace
from typing import Any

from fcmae.errors import unknown
from fcmae.recipes import PRETRAINING

Options = dict[str, Any]  # of `pretrain` or `finetune`
# Of supervised training (Liu et al. 2022, table 5); smaller sizes have Table 2's.
DROP_PATH = {"tiny": 0.1, "base": 0.5, "large": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What every study is made of. A number that is 0 leaves the choice to the paper's tables."""

    size: str  # of the models, such as "base"
    image_size: int  # pixels a side
    stem_stride: int
    num_images: int  # to train on, alike of each class; 0 for all
    num_val_images: int  # to validate on, likewise
    pretraining_epochs: int
    pretraining_batch_size: int
    pretraining_base_learning_rate: float
    contrastive_epochs: int  # of MoCo v3
    contrastive_batch_size: int
    contrastive_base_learning_rate: float
    finetuning_epochs: int
    finetuning_batch_size: int
    finetuning_base_learning_rate: float
    label_share: float  # of the training images, whose labels fine-tuning may see
    patience: int  # epochs without a better accuracy after which fine-tuning stops; 0 for never
    supervised_epochs: int  # of training from scratch, and so on
    supervised_batch_size: int
    supervised_base_learning_rate: float
    supervised_warmup_epochs: float
    supervised_drop_path: bool  # whether larger sizes have `DROP_PATH`
    seeds: int  # so many, from 0

    def pretraining(
        self,
        model: str,
        *,
        response: str = "grn",
        mask_ratio: float = PRETRAINING.mask_ratio,
    ) -> Options:
        """Options of `pretrain`."""
        assignments = _rate(self.pretraining_base_learning_rate)
        if response != "grn":
            assignments += (f"response={response}",)
        return {
            "model": model,
            "epochs": self.pretraining_epochs,
            "image_size": self.image_size,
            "stem_stride": self.stem_stride,
            "mask_ratio": mask_ratio,
            "set": assignments,
            **_chosen(batch_size=self.pretraining_batch_size),
        }

    def contrastive(self, model: str) -> Options:
        """Options of `pretrain` by MoCo v3."""
        return {
            "method": "moco-v3",
            "model": model,
            "epochs": self.contrastive_epochs,
            "image_size": self.image_size,
            "stem_stride": self.stem_stride,
            "set": _rate(self.contrastive_base_learning_rate),
            **_chosen(batch_size=self.contrastive_batch_size),
        }

    def finetuning(self) -> Options:
        """Options of `finetune` from pre-trained weights, which say what model they are of."""
        return {
            "label_share": self.label_share,
            "set": _rate(self.finetuning_base_learning_rate),
            **_chosen(
                epochs=self.finetuning_epochs,
                batch_size=self.finetuning_batch_size,
                patience=self.patience,
            ),
        }

    def supervised(self, model: str) -> Options:
        """Options of `finetune` from scratch."""
        assignments: tuple[str, ...] = ()
        size = model.partition("_")[2]
        if self.supervised_drop_path and size in DROP_PATH:
            assignments += (f"drop_path={DROP_PATH[size]}",)
        if self.supervised_warmup_epochs:
            assignments += (f"warmup_epochs={_shortest(self.supervised_warmup_epochs)}",)
        return {
            "model": model,
            "image_size": self.image_size,
            "stem_stride": self.stem_stride,
            "label_share": self.label_share,
            "set": _rate(self.supervised_base_learning_rate) + assignments,
            **_chosen(
                epochs=self.supervised_epochs,
                batch_size=self.supervised_batch_size,
                patience=self.patience,
            ),
        }


def _rate(value: float) -> tuple[str, ...]:
    return (f"base_learning_rate={_shortest(value)}",) if value else ()


def _shortest(value: float) -> str:
    """All digits that there are, and no others: 20, not 20.0."""
    return repr(float(value)).removesuffix(".0")


def _chosen(**options: int) -> Options:
    return {name: value for name, value in options.items() if value}


# What the appendix says: Base at 224 pixels, 800 epochs of Table 1 (Table 9, figures 3 and 6), then
# the table of the model's size; MoCo v3 by its own recipe. Supervised training is that of ConvNeXt
# V1 (Liu et al. 2022, table 5): 300 epochs, a learning rate of 4e-3 for 4096 images, 20 epochs of
# warm-up. Accuracies are of one seed each.
PAPER = Scale(
    size="base",
    image_size=224,
    stem_stride=4,
    num_images=0,
    num_val_images=0,
    pretraining_epochs=800,
    pretraining_batch_size=4096,
    pretraining_base_learning_rate=0.0,
    contrastive_epochs=300,
    contrastive_batch_size=4096,
    contrastive_base_learning_rate=0.0,
    finetuning_epochs=0,
    finetuning_batch_size=0,
    finetuning_base_learning_rate=0.0,
    label_share=1.0,
    patience=0,
    supervised_epochs=300,
    supervised_batch_size=4096,
    supervised_base_learning_rate=2.5e-4,
    supervised_warmup_epochs=20.0,
    supervised_drop_path=True,
    seeds=1,
)
# Small pictures of few classes, such as CIFAR's: sixteen cells an image, at rates found by trial,
# and as few steps as make a setting about five minutes of one core.
SMALL = Scale(
    size="atto",
    image_size=32,
    stem_stride=1,
    num_images=2000,
    num_val_images=400,
    pretraining_epochs=6,
    pretraining_batch_size=64,
    pretraining_base_learning_rate=2.4e-3,
    contrastive_epochs=3,
    contrastive_batch_size=128,
    contrastive_base_learning_rate=1e-3,
    finetuning_epochs=10,
    finetuning_batch_size=64,
    finetuning_base_learning_rate=8e-4,
    label_share=0.25,
    patience=0,
    supervised_epochs=10,
    supervised_batch_size=64,
    supervised_base_learning_rate=8e-4,
    supervised_warmup_epochs=0.0,
    supervised_drop_path=False,
    seeds=2,
)
SCALES = {"small": SMALL, "paper": PAPER}
# Table 7 and section D have 84.9 for V2 Base, which Table 9 has at 84.6 after 800 epochs: Table 1's
# longer pre-training, it seems.
LONG_SCALES = {"small": SMALL, "paper": replace(PAPER, pretraining_epochs=1600)}


def scale_of(name: str, *, long: bool = False) -> Scale:
    """The scale called so, of the studies with longer pre-training or of the others.

    Raises:
        ValueError: for an unknown name, with the nearest.
    """
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    return (LONG_SCALES if long else SCALES)[name]
