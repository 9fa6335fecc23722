"""Files that cannot be read: named and counted; too many of them stop a run."""

from collections.abc import Iterable
from pathlib import Path

TOLERATED = 0.05  # share of a data set's files that may be unreadable
SHOWN = 20  # names that an error lists


class Unreadable(Exception):
    """An image file that cannot be read, and why, in a few words.

    Attributes:
        path: the file.
        reason: for a person to read: "empty file", "5 channels, 3 wanted", ...
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(str(path), reason)  # both in args: so that it can be pickled
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class TooManyUnreadable(ValueError):
    """So many files cannot be read that something else must be wrong.

    Attributes:
        reasons: by name of the file, all that are known.
    """

    def __init__(self, reasons: dict[str, str], total: int) -> None:
        super().__init__(reasons, total)  # both in args: so that it can be pickled
        self.reasons, self.total = reasons, total

    def __str__(self) -> str:
        listed = [f"  {name}: {reason}" for name, reason in list(self.reasons.items())[:SHOWN]]
        if len(self.reasons) > SHOWN:
            listed.append(f"  and {len(self.reasons) - SHOWN} more")
        return (
            f"data: {len(self.reasons)} of {self.total} files are unreadable, more than "
            f"{TOLERATED:.0%}: repair or remove them, or correct the number of channels\n"
        ) + "\n".join(listed)


class Unreadables:
    """The distinct unreadable files of a run, as far as it has met them.

    Args:
        total: number of images in the data set.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, unreadable: Iterable[tuple[str, str]]) -> None:
        """Take note of the (name, reason) pairs of a batch.

        Raises:
            TooManyUnreadable: once more than 5 % of the data set's files are unreadable.
        """
        self._reasons.update(unreadable)
        if len(self._reasons) > TOLERATED * self.total:
            raise TooManyUnreadable(self._reasons, self.total)

    def state(self) -> list[list[str]]:
        """The [name, reason] pairs, for a checkpoint (JSON)."""
        return [[name, reason] for name, reason in self._reasons.items()]

    def restore(self, state: list[list[str]]) -> None:
        """Go on from what `state` returned."""
        self._reasons = dict(state)
