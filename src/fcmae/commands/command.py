"""A command: its options, a frozen dataclass, and the function with the same keywords.

What does the work is imported when the function is called: help and errors in options come at once.
"""

import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options of every command share: which of them a caller wrote out."""

    given: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)
    # The names of those that a caller wrote out, rather than left at their defaults.

    def as_dict(self) -> dict[str, Any]:
        """Names and values, for JSON."""
        return {name: getattr(self, name) for name in names_of(type(self))}

    def updated(self, changes: Mapping[str, Any]) -> Self:
        """These with other values; which of them a caller wrote out stays known."""
        changed = dataclasses.replace(self, **changes)
        object.__setattr__(changed, "given", self.given)
        return changed

    def completed(self, stored: Mapping[str, Any]) -> Self:
        """What a caller wrote out, and for the rest what was stored as JSON, where it was."""
        kept = [name for name in names_of(type(self)) if name in stored and name not in self.given]
        values = {name: stored[name] for name in kept}
        return self.updated(
            {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        )


def command(
    options: Callable[P, Options], home: str, result: Callable[..., R] | None = None
) -> Callable[P, R]:
    """A function with the keywords of `options`, which it hands as one value to what does the work.

    Args:
        options: a dataclass; its docstring and those of its bases document the options.
        home: where the work is done, as "module:function".
        result: what the function returns; None for nothing.
    """
    assert isinstance(options, type)

    def call(*positional: P.args, **given: P.kwargs) -> R:
        chosen = options(*positional, **given)
        object.__setattr__(chosen, "given", frozenset(given))
        module, _, name = home.partition(":")
        returned: R = getattr(importlib.import_module(module), name)(chosen)
        return returned

    functools.update_wrapper(call, options, updated=())
    words = re.sub("(?<=[a-z])(?=[A-Z])", "_", options.__name__)
    call.__name__ = call.__qualname__ = words.lower()
    call.__doc__ = documentation(options)
    signature = inspect.signature(options)
    call.__signature__ = signature.replace(return_annotation=result)  # type: ignore[attr-defined]
    return call


def names_of(options: type[Options]) -> list[str]:
    """The names of the options that can be given."""
    return [option.name for option in dataclasses.fields(options) if option.init]


def documentation(options: type) -> str:
    """The docstring, with what its bases say of the options that they share."""
    opening, args, rest = (inspect.getdoc(options) or "").partition("Args:\n")
    shared = [
        (inspect.getdoc(base) or "").partition("Args:\n")[2].rstrip()
        for base in reversed(options.__mro__[1:])
        if issubclass(base, Options) and base is not Options
    ]
    return opening + args + "".join(f"{text}\n" for text in shared) + rest
