"""Recipes: `--set`, checks of their values, and departures from the paper."""

import ast
import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from fcmae.console.screen import say, show_details, shown
from fcmae.errors import unknown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")

ASKED = "asked for"  # the reason for what a user chose
Rule = tuple[str, bool, str]  # a field, whether its value can be used, and what it must be
Comparison = tuple[
    str, object, object, str
]  # a field, the table's value, the run's, and the reason


class Recipe(Protocol):
    """What the recipes of all tasks have; each is a frozen dataclass, in its table's order."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def base_learning_rate(self) -> float:
        """Of a batch of 256 images."""

    @property
    def weight_decay(self) -> float:
        """AdamW's."""

    @property
    def optimizer_momentum(self) -> tuple[float, float]:
        """AdamW's β1 and β2."""

    @property
    def warmup_epochs(self) -> float:
        """Of the linear warm-up."""

    @property
    def minimum_learning_rate(self) -> float:
        """The end of the cosine."""

    @property
    def crop_scale(self) -> tuple[float, float]:
        """The least and the largest share of an image's area in a crop."""

    @property
    def horizontal_flip(self) -> float:
        """Its probability."""

    @property
    def response(self) -> str:
        """What the encoder's blocks have in GRN's place."""


def override(recipe: R, assignments: Iterable[str]) -> R:
    """Apply "field=value" texts, `--set`; a value has the type of the one that it replaces.

    Raises:
        ValueError: for an unknown field (suggests the nearest), one that is set twice, or a value
            of another type.
    """
    changes: dict[str, Any] = {}
    names = [field.name for field in dataclasses.fields(recipe)]
    for text in assignments:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"--set {text!r} is not of the form field=value")
        if name not in names:
            raise unknown("field", name, names)
        if name in changes:
            raise ValueError(f"--set {text}: {name} is set twice; set it once")
        changes[name] = _parse(name, value.strip(), getattr(recipe, name))
    return dataclasses.replace(recipe, **changes)


def _parse(name: str, text: str, before: object) -> object:
    if isinstance(before, str):
        return text
    wanted = f"--set {name}={text}: a value like {before!r} is needed"
    try:
        value = ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(wanted) from None
    if isinstance(before, tuple):
        pair = isinstance(value, tuple | list) and len(value) == len(before)
        if not pair or not all(_is_number(number) for number in value):
            raise ValueError(wanted)
        return tuple(float(number) for number in value)
    if isinstance(before, bool) or isinstance(value, bool):
        if not (isinstance(before, bool) and isinstance(value, bool)):
            raise ValueError(wanted)
        return value
    if isinstance(before, int):
        if not isinstance(value, int):
            raise ValueError(wanted)
        return value
    if not _is_number(value):
        raise ValueError(wanted)
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def shorter_warmup(warmup_epochs: float, of_epochs: int, epochs: int) -> float:
    """Epochs of warm-up: the published ones, or in a shorter run the same share of its epochs."""
    return float(min(warmup_epochs, warmup_epochs / of_epochs * epochs))


def check_recipe(recipe: Recipe, epochs: int, rules: Iterable[Rule]) -> None:
    """Refuse a recipe with a value that cannot be used.

    Args:
        recipe: of any task.
        epochs: of the run.
        rules: for the fields that not all recipes have.
    """
    low, high = recipe.crop_scale
    pair = all(0 <= number < 1 for number in recipe.optimizer_momentum)
    area = "two shares of the area in growing order, like (0.2, 1.0)"
    for field, fine, wanted in (
        ("base_learning_rate", recipe.base_learning_rate > 0, "more than 0"),
        ("weight_decay", recipe.weight_decay >= 0, "0 or more"),
        ("optimizer_momentum", pair, "two numbers from 0 to below 1"),
        ("warmup_epochs", 0 <= recipe.warmup_epochs <= epochs, f"from 0 to the {epochs} epochs"),
        ("minimum_learning_rate", recipe.minimum_learning_rate >= 0, "0 or more"),
        ("crop_scale", 0 < low <= high <= 1, area),
        ("horizontal_flip", 0 <= recipe.horizontal_flip <= 1, "a probability"),
        *rules,
    ):
        if not fine:
            value = getattr(recipe, field)
            raise ValueError(f"{field} {value} is not usable: it must be {wanted}")


@dataclass(frozen=True, slots=True)
class Departure:
    """A field in which the run departs from the paper."""

    field: str
    table: object
    run: object
    because: str


def compare_recipes(
    recipe: Recipe, own: Recipe, published: Recipe, because: Mapping[str, str]
) -> list[Comparison]:
    """Each field as published and as it is.

    Args:
        recipe: of the run.
        own: the recipe before the user's changes.
        published: the recipe of the table.
        because: why fields of `own` are not the published ones.
    """
    compared = []
    for field in dataclasses.fields(recipe):
        name, value = field.name, getattr(recipe, field.name)
        is_own = value == getattr(own, name)
        why = because.get(name, ASKED) if is_own else ASKED
        compared.append((name, getattr(published, name), value, why))
    return compared


def departures(compared: Iterable[Comparison]) -> tuple[Departure, ...]:
    """The comparisons whose two values differ."""
    return tuple(
        Departure(field, table, run, because)
        for field, table, run, because in compared
        if run != table
    )


def announce(
    table: str, departures: Iterable[Departure], details: Iterable[tuple[str, str]]
) -> None:
    """Print the plan and its departures, before anything is done.

    Args:
        table: the paper's, such as "Table 1".
        departures: of the run from that table.
        details: names and values to print.
    """
    show_details(details)
    changed = "; ".join(f"{d.field} {shown(d.table)} -> {shown(d.run)}" for d in departures)
    say(f"{table}; departs in: {changed}" if changed else f"{table}, with no departure")
