"""Plans of pre-training without images: what was asked for, and what would be found of the data."""

from collections.abc import Collection
from typing import Any, TypeVar

from fcmae.commands.command import Options
from fcmae.commands.pretrain import Pretrain
from fcmae.pretraining.methods import method_of
from fcmae.pretraining.plan import Plan, make_plan
from fcmae.storage.digest import digest_of_names
from fcmae.training.start import Facts

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
