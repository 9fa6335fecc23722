"""What the parts say, kept as it comes: a JSON file that is whole at any moment, and its page."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fcmae.checkpoint import write_text
from fcmae.gpu.isolation import Row

PAGE_SECONDS = 2.0  # at least, between two writings of the page

Record = dict[str, Any]  # what the run has, and under `parts` each part with its rows


class Recorder:
    """Writes `PATH.json` at every row, and `PATH.html` at most every other second.

    Args:
        path: of both files, without the suffix; the folder must be there.
        run: machine, versions, command and date.
        write_page: writes the page of a record.
    """

    def __init__(
        self, path: Path, run: Mapping[str, Any], write_page: Callable[[Path, Record], object]
    ) -> None:
        self.path, self.run, self.parts = path, dict(run), list[Row]()
        self._write_page, self._began, self._shown = write_page, time.monotonic(), -PAGE_SECONDS
        self._write()

    @property
    def record(self) -> Record:
        """All that is known so far."""
        return {**self.run, "seconds": self._seconds(), "parts": self.parts}

    def begin(self, name: str) -> None:
        """The rows that follow are of this part."""
        self.parts.append({"name": name, "seconds": 0.0, "rows": []})
        self._part_began = time.monotonic()
        self._write()

    def add(self, row: Row) -> None:
        """Keep a row of the part that began last, on the disk too."""
        self.parts[-1]["rows"].append(row)
        self.parts[-1]["seconds"] = round(time.monotonic() - self._part_began, 1)
        self._write()

    def end(self) -> None:
        """Write all of it, the page too."""
        self._shown = -PAGE_SECONDS
        self._write()

    def _write(self) -> None:
        write_text(self.path.with_suffix(".json"), json.dumps(self.record, indent=1) + "\n")
        if time.monotonic() - self._shown >= PAGE_SECONDS:
            self._write_page(self.path.with_suffix(".html"), self.record)
            self._shown = time.monotonic()

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)
