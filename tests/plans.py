"""Plans of pre-training without images: what was asked for, and what would be found of the data."""

from collections.abc import Collection
from typing import Any, TypeVar

from fcmae.commands.command import Options
from fcmae.commands.pretrain import Pretrain
from fcmae.pretraining.methods import method_of
from fcmae.pretraining.plan import Plan, make_plan
from fcmae.storage.digest import digest_of_names
from fcmae.training.start import Facts

# What `fcmae pretrain` asks for on the paper's data when no option is given, whatever the method.
PAPER: dict[str, Any] = {
    "data": "/data/imagenet",
    "init": "scratch",
    "images": 1_281_167,
    "names": ["a.png", "b.png"],
    "model": "convnextv2_atto",
    "in_channels": 3,
    "stem_stride": 4,
    "image_size": (224, 224),
    "batch_size": None,
    "seed": 0,
    "precision": "fp32",
    "decoding": "fast",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "assignments": (),
    "given": (),
}

Chosen = TypeVar("Chosen", bound=Options)


def as_given(options: Chosen, given: Collection[str]) -> Chosen:
    """These options as if a caller had written out some of them."""
    object.__setattr__(options, "given", frozenset(given))
    return options


def facts_of(values: dict[str, Any]) -> Facts:
    """Those among some values, which keep the others and where the data are."""
    values["names"] = digest_of_names(values["names"])
    found = {name: values.pop(name) for name in Facts._fields if name != "data"}
    return Facts(data=values["data"], **found)


def pretraining_plan(
    *,
    method: str = "fcmae",
    image_size: tuple[int, int],
    assignments: tuple[str, ...] = (),
    given: Collection[str] = (),
    **values: Any,
) -> Plan:
    """Of options and facts alike."""
    facts = facts_of(values)
    size = "x".join(str(side) for side in image_size)
    options = Pretrain(out="run", method=method, image_size=size, set=assignments, **values)
    return make_plan(method_of(method, ()), as_given(options, given), facts)
