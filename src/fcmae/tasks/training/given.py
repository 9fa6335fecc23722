"""Which options a caller wrote out: a resumed run must tell them from those left alone."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def with_given(task: Callable[P, T]) -> Callable[P, T]:
    """Let `task` know the names of its options that were written out, as its option `given`.

    `given` is not shown in the signature, so neither the command line nor a person can set it.
    """

    @functools.wraps(task)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        return task(*arguments, **(options | {"given": frozenset(options)}))  # type: ignore[arg-type]

    signature = inspect.signature(task)
    shown = [option for name, option in signature.parameters.items() if name != "given"]
    call.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return call
