"""`results.json` of a sweep: written case by case, and taken up again by the next call."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcmae.benchmarks.workload import Case
from fcmae.checkpoint import write_text

NAME = "results.json"
SAME = ("machine", "versions", "settings")  # what rows of one file have in common


class Record:
    """The rows measured so far under the same circumstances.

    Args:
        folder: where `results.json` is or will be; made if need be.
        run: machine, versions, settings, command and date of this call.

    Raises:
        ValueError: if the folder's results were measured under other circumstances.
    """

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.path = folder / NAME
        self.run: dict[str, Any] = json.loads(json.dumps(run))  # tuples as they are read back
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: dict[Case, dict[str, Any]] = {}
        for row in self._read():
            self.rows[Case(**{name: row[name] for name in Case.__dataclass_fields__})] = row

    def row(self, case: Case) -> dict[str, Any] | None:
        """What was measured of `case`; None too where it failed, since it may succeed now."""
        row = self.rows.get(case)
        return None if row is None or "error" in row else row

    def add(self, case: Case, row: dict[str, Any]) -> None:
        """Keep a row, on the disk too."""
        assert asdict(case).items() <= row.items()
        self.rows[case] = row
        rows = list(self.rows.values())
        write_text(self.path, json.dumps({**self.run, "rows": rows}, indent=1) + "\n")

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            differing = [name for name in SAME if stored[name] != self.run[name]]
            rows: list[dict[str, Any]] = stored["rows"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"out: {self.path} is no result of this benchmark: choose another folder"
            ) from error
        if differing:
            raise ValueError(
                f"out: {self.path} was measured with other {' and '.join(differing)}, which "
                "cannot be compared: choose another folder, or remove this one"
            )
        return rows
