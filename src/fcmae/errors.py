"""Words for bad input: the field, the value, and what to do about it."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


def unknown(field: str, value: str, known: Iterable[str]) -> ValueError:
    """An error for a `value` of `field` that is not among the `known` ones; names the nearest."""
    names = list(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.4)
    remedy = f"did you mean {near[0]!r}?" if near else f"it may be one of: {', '.join(names)}"
    return ValueError(f"unknown {field} {value!r}: {remedy}")


def check_target(field: str, path: Path) -> None:
    """Refuse, before any work is done, a file that could not be written when it is.

    Args:
        field: what the option is called.
        path: the file.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{field}: the folder of {path} does not exist: make it first")
    if path.is_dir():
        raise ValueError(f"{field} {path} is a folder: give a file")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{field} {path} cannot be written there: choose another folder")


def described(error: BaseException, letters: int = 2000) -> str:
    """An error of any kind in words: its class and its message.

    Args:
        error: whatever was raised.
        letters: the most; of more the middle is left out, as what matters is at one end or the
            other.
    """
    name, text = type(error).__name__, str(error).strip()
    words = f"{name}: {text}" if text else name
    if len(words) > letters:
        end = letters // 2
        words = f"{words[: letters - end - 5]} ... {words[-end:]}"
    return words
