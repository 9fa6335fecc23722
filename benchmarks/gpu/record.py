"""What the parts say, kept as it comes: a JSON file that is whole at any moment, and its page."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fcmae.errors import described
from fcmae.storage.atomic import write_text
from gpu.isolation import Row
from gpu.page import is_failed

PAGE_SECONDS = 2.0  # at least, between two writings of the page
SAME = ("machine", "versions", "commit", "rehearsal")  # what rows of one file have in common

Record = dict[str, Any]  # what the run has, and under `parts` each part with its rows


class Recorder:
    """Writes `PATH.json` at every row, and `PATH.html` at most every other second.

    Parts of an earlier call stay in the file if machine, versions and commit are the same; of a
    part that is done again, the former rows stay until there are as many good ones. A file of
    other circumstances is not lost: it is renamed to `former-...`. What cannot be written, for
    want of space, is said once and tried again at the next row.

    Args:
        path: of both files, without the suffix; the folder must be there.
        run: machine, versions, commit, command and date.
        order: the names of all parts, as they stand in the file.
        write_page: writes the page of a record.

    Raises:
        ValueError: if there is a file of that name that is no record.
    """

    def __init__(
        self,
        path: Path,
        run: Mapping[str, Any],
        order: list[str],
        write_page: Callable[[Path, Record], object],
    ) -> None:
        self.path, self.run = path, dict(run)
        self._order, self._write_page = order, write_page
        self._began, self._shown, self._said = time.monotonic(), -PAGE_SECONDS, False
        self._parts = {part["name"]: part for part in _known(path.with_suffix(".json"), self.run)}
        self._write()

    @property
    def record(self) -> Record:
        """All that is known so far."""
        known = [name for name in self._parts if name not in self._order]  # of another call
        parts = [self._parts[name] for name in (*self._order, *known) if name in self._parts]
        return {**self.run, "seconds": _rounded(time.monotonic() - self._began), "parts": parts}

    def is_done(self, name: str) -> bool:
        """Whether a part is there to its end, and nothing in it failed, disagreed or is missing."""
        part = self._parts.get(name)
        return part is not None and part["finished"] and not any(map(_is_wrong, part["rows"]))

    def begin(self, name: str) -> None:
        """The rows that follow are of this part."""
        assert name in self._order, name
        self._part: Record = {**_NEW, "name": name, "rows": []}
        self._part_began = time.monotonic()
        self._keep_the_better()

    def add(self, row: Row) -> None:
        """Keep a row of the part that began last, on the disk too."""
        self._part["rows"].append(row)
        self._part["seconds"] = _rounded(time.monotonic() - self._part_began)
        self._keep_the_better()

    def finish(self) -> None:
        """The part that began last has no more rows; all of it is written, the page too."""
        self._part["finished"] = True
        self._shown = -PAGE_SECONDS
        self._keep_the_better()

    def has(self, name: str) -> bool:
        """Whether there is anything of a part."""
        return name in self._parts

    def _keep_the_better(self) -> None:
        former = self._parts.get(self._part["name"])
        if former is None or _good(self._part) >= _good(former):
            self._parts[self._part["name"]] = self._part
        self._write()

    def _write(self) -> None:
        try:
            write_text(self.path.with_suffix(".json"), json.dumps(self.record, indent=1) + "\n")
            if time.monotonic() - self._shown >= PAGE_SECONDS:
                self._shown = time.monotonic()
                self._write_page(self.path.with_suffix(".html"), self.record)
        except Exception as error:  # whatever a page makes of odd rows, the others are to come
            if not self._said:
                sys.stderr.write(f"not written: {described(error)}\n")
            self._said = True


def _good(part: Record) -> int:
    return sum(not _is_wrong(row) for row in part["rows"])


def _is_wrong(row: Mapping[str, Any]) -> bool:
    return is_failed(row) or "left_out" in row


def _known(path: Path, run: Mapping[str, Any]) -> list[Record]:
    """The parts of an earlier call under the same circumstances; a file of others is renamed."""
    if not path.exists():
        return []
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        parts: list[Record] = [{**_NEW, **part} for part in stored["parts"]]
        if not all(isinstance(row, dict) for part in parts for row in part["rows"]):
            raise TypeError("rows that are none")
        same = all(stored[name] == run[name] for name in SAME)
        when = "".join(filter(str.isalnum, str(stored["date"])))[:15]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"out: {path} is no record of this command: move it away") from error
    if not same:
        path.rename(path.with_name(f"former-{path.stem}-{when}.json"))
        return []
    return parts


_NEW: Record = {"name": "", "finished": False, "seconds": 0.0}


def _rounded(seconds: float) -> float:
    return round(seconds, 1)
