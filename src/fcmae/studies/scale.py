"""How large a study is: sizes, lengths and learning rates, as the values of its recipe."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fcmae import recipes
from fcmae.errors import unknown
from fcmae.sizes import size_of, total_stride

Keywords = dict[str, Any]  # options of `pretrain` or `finetune`
# The parts of a scale, as its fields begin. Pre-training, of either kind, is on all images and has
# no table by size that its numbers could be left to.
PRETRAINING, CONTRASTIVE = "pretraining", "contrastive"
FINETUNING, SUPERVISED = "finetuning", "supervised"
NO_TABLE = (PRETRAINING, CONTRASTIVE)
# Of supervised training (Liu et al. 2022, table 5); smaller sizes have Table 2's.
DROP_PATH = {"tiny": 0.1, "base": 0.5, "large": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What every study is made of. A number that is 0 leaves the choice to the paper's tables.

    The defaults are what the appendix says: Base at 224 pixels, 800 epochs of Table 1 (Table 9,
    figures 3 and 6), then the table of the model's size; MoCo v3 by its own recipe. Supervised
    training is that of ConvNeXt V1 (Liu et al. 2022, table 5): 300 epochs, a learning rate of 4e-3
    for 4096 images, 20 epochs of warm-up. Accuracies are of one seed each.
    """

    size: str = "base"  # of the models
    image_size: int = 224  # pixels a side
    stem_stride: int = 4
    num_images: int = 0  # to train on, alike of each class; 0 for all
    num_val_images: int = 0  # to validate on, likewise
    pretraining_epochs: int = 800
    pretraining_batch_size: int = 4096
    pretraining_base_learning_rate: float = 0.0
    contrastive_epochs: int = 300  # of MoCo v3
    contrastive_batch_size: int = 4096
    contrastive_base_learning_rate: float = 0.0
    finetuning_epochs: int = 0
    finetuning_batch_size: int = 0
    finetuning_base_learning_rate: float = 0.0
    label_share: float = 1.0  # of the training images, whose labels fine-tuning may see
    patience: int = 0  # epochs without a better accuracy after which fine-tuning stops; 0 for never
    supervised_epochs: int = 300  # of training from scratch, and so on
    supervised_batch_size: int = 4096
    supervised_base_learning_rate: float = 2.5e-4
    supervised_warmup_epochs: float = 20.0
    supervised_drop_path: bool = True  # whether larger sizes have `DROP_PATH`
    seeds: int = 1  # so many, from 0

    def pretraining(
        self,
        model: str,
        *,
        response: str = "grn",
        mask_ratio: float = recipes.PRETRAINING.mask_ratio,
    ) -> Keywords:
        """Options of `pretrain`."""
        assignments = () if response == "grn" else (f"response={response}",)
        masked = {"mask_ratio": mask_ratio}
        return self._model(model) | masked | self._training(PRETRAINING, *assignments)

    def contrastive(self, model: str) -> Keywords:
        """Options of `pretrain` by MoCo v3."""
        return self._model(model) | {"method": "moco-v3"} | self._training(CONTRASTIVE)

    def finetuning(self) -> Keywords:
        """Options of `finetune` from pre-trained weights, which say what model they are of."""
        return self._labelled() | self._training(FINETUNING)

    def supervised(self, model: str) -> Keywords:
        """Options of `finetune` from scratch."""
        assignments = []
        size = model.partition("_")[2]
        if self.supervised_drop_path and size in DROP_PATH:
            assignments.append(f"drop_path={DROP_PATH[size]}")
        if self.supervised_warmup_epochs:
            assignments.append(f"warmup_epochs={_shortest(self.supervised_warmup_epochs)}")
        training = self._training(SUPERVISED, *assignments)
        return self._model(model) | self._labelled() | training

    def _model(self, name: str) -> Keywords:
        return {"model": name, "image_size": self.image_size, "stem_stride": self.stem_stride}

    def _labelled(self) -> Keywords:
        patience = {"patience": self.patience} if self.patience else {}
        return {"label_share": self.label_share, **patience}

    def _training(self, part: str, *assignments: str) -> Keywords:
        """Of what there is for each part; a number that is 0 is left out."""
        numbers = {name: getattr(self, f"{part}_{name}") for name in ("epochs", "batch_size")}
        rate = getattr(self, f"{part}_base_learning_rate")
        rates = (f"base_learning_rate={_shortest(rate)}",) if rate else ()
        chosen = {name: number for name, number in numbers.items() if number}
        return {**chosen, "set": (*rates, *assignments)}


def _shortest(value: float) -> str:
    """All digits that there are, and no others: 20, not 20.0."""
    return repr(float(value)).removesuffix(".0")


PAPER = Scale()
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


def check(scale: Scale, parts: Sequence[str]) -> None:
    """Refuse numbers that no run could have, before the first is trained."""
    for name, value in asdict(scale).items():
        if not isinstance(value, str) and value < 0:
            raise ValueError(f"{name} {value} is not usable: it must be 0 or more")
    for name in ("seeds", *(f"{part}_epochs" for part in parts if part in NO_TABLE)):
        if getattr(scale, name) < 1:
            raise ValueError(f"{name} 0 is not usable: it must be 1 or more")
    size_of(f"convnextv2_{scale.size}")
    stride = total_stride(scale.stem_stride)
    if scale.image_size < stride or scale.image_size % stride:
        raise ValueError(
            f"image_size {scale.image_size} is not usable: a multiple of {stride} is needed, 8 "
            "times the stem stride"
        )
