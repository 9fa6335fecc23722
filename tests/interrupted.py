"""What a command that keeps what it has done is tested with: its calls are counted, or cut off."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


def calls_of(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | type, name: str
) -> list[tuple[Any, ...]]:
    """The arguments of each call of a module's or class's function from now on."""
    right, calls = getattr(module, name), []

    def spy(*arguments: Any) -> Any:
        calls.append(arguments)
        return right(*arguments)

    monkeypatch.setattr(module, name, spy)
    return calls


def cut_off(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | type, name: str, when: Callable[..., bool]
) -> None:
    """From now on Ctrl-C is pressed in the first call of the function that is as `when` says."""
    right = getattr(module, name)

    def cut(*arguments: Any) -> Any:
        if when(*arguments):
            raise KeyboardInterrupt
        return right(*arguments)

    monkeypatch.setattr(module, name, cut)
