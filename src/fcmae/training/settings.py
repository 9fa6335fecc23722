"""`--set field=value`: the recipe's rarer fields, typed by the value that they replace."""

import ast
import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from fcmae.errors import unknown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


def override(recipe: R, assignments: Iterable[str]) -> R:
    """Apply "field=value" texts.

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
