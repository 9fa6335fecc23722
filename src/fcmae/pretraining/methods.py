"""The ways to pre-train an encoder: what each needs, says and trains, beyond what both do."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from fcmae.errors import unknown
from fcmae.pretraining import contrastive_plan, plan
from fcmae.pretraining.contrastive_plan import ContrastivePlan
from fcmae.pretraining.plan import Plan
from fcmae.recipes import MOCO_V3, TABLE_1
from fcmae.training.task import Task
from fcmae.weights import LoadReport

MASKING = ("patch_size", "mask_ratio")  # the options that only masked pre-training has
OF_MOCO_V3 = "MoCo v3's recipe"


class EncoderTask(Task, Protocol):
    """A task that may begin with an encoder's weights."""

    def load(self, path: str, key: str | None) -> LoadReport:
        """Put them in place."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to pre-train an encoder.

    Attributes:
        recipe: what a run is compared with.
        epochs: of a run, unless others are asked for.
        options: of `pretrain`, that it alone has.
        whole_batches: whether the loss compares images, so that a batch cannot be cut up.
        settle: makes the plan.
        task: makes what is trained.
        details: what is said of its plan alone.
        facts: what `config.json` says of its plan alone.
    """

    recipe: str
    epochs: int
    options: tuple[str, ...]
    whole_batches: bool
    settle: Callable[..., Plan | ContrastivePlan]
    task: Callable[..., EncoderTask]
    details: Callable[[Any], list[tuple[str, str]]]
    facts: Callable[[Any], dict[str, Any]]


def method_of(name: str, given: Collection[str]) -> Method:
    """The method of this name.

    Raises:
        ValueError: for an unknown name, and where options were given that mean nothing for it.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    method = METHODS[name]()
    for option in MASKING:
        if option in given and option not in method.options:
            raise ValueError(
                f"{option} means nothing for method {name}, which masks nothing: leave it out"
            )
    return method


def _fcmae() -> Method:
    from fcmae.pretraining.task import PretrainingTask

    return Method(
        recipe=TABLE_1.source,
        epochs=plan.PAPER.training_epochs[0],
        options=MASKING,
        whole_batches=False,
        settle=plan.settle,
        task=PretrainingTask,
        details=_masked_details,
        facts=_masked_facts,
    )


def _moco_v3() -> Method:
    from fcmae.pretraining.contrastive_task import (
        ContrastiveTask,  # torchvision takes a second to import
    )

    return Method(
        recipe=OF_MOCO_V3,
        epochs=MOCO_V3.training_epochs,
        options=(),
        whole_batches=True,
        settle=contrastive_plan.settle,
        task=ContrastiveTask,
        details=_contrastive_details,
        facts=_contrastive_facts,
    )


METHODS = {"fcmae": _fcmae, "moco-v3": _moco_v3}


def _masked_details(plan: Plan) -> list[tuple[str, str]]:
    height, width = plan.image_size
    return [
        ("image size", f"{height} x {width} pixels, patches of {plan.patch_size}"),
        (
            "mask",
            f"{plan.patches - plan.visible_patches} of {plan.patches} patches "
            f"({plan.real_mask_ratio:.1%} for a ratio of {plan.mask_ratio:g})",
        ),
    ]


def _masked_facts(plan: Plan) -> dict[str, Any]:
    return {
        "patch_size": plan.patch_size,
        "mask_ratio": plan.mask_ratio,
        "real_mask_ratio": plan.real_mask_ratio,
    }


def _contrastive_details(plan: ContrastivePlan) -> list[tuple[str, str]]:
    recipe, (height, width) = plan.recipe, plan.image_size
    colours = {1: "; brightness and contrast alone are jittered: these images have no colours"}
    left_out = colours.get(plan.in_channels, "; no colours are changed: these images have none")
    return [
        ("method", "MoCo v3: which second view of a batch's images belongs to a first, and back"),
        (
            "image size",
            f"two crops of {height} x {width} pixels{'' if plan.in_channels == 3 else left_out}",
        ),
        (
            "keys",
            f"follow by a momentum of {recipe.encoder_momentum:g}, rising to 1 by half a cosine",
        ),
        (
            "loss",
            f"temperature {recipe.temperature:g}; {plan.chance:.3g} by chance, for a batch size of "
            f"{plan.batch_size}",
        ),
    ]


def _contrastive_facts(plan: ContrastivePlan) -> dict[str, Any]:
    return {"table": OF_MOCO_V3, "chance": plan.chance}
