"""Words for bad input: the field, the value, and what to do about it."""

import difflib
from collections.abc import Iterable


def unknown(field: str, value: str, known: Iterable[str]) -> ValueError:
    """An error for a `value` of `field` that is not among the `known` ones; names the nearest."""
    names = list(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.4)
    remedy = f"did you mean {near[0]!r}?" if near else f"it may be one of: {', '.join(names)}"
    return ValueError(f"unknown {field} {value!r}: {remedy}")
