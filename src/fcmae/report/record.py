"""Rows of what was measured, and on what; `results.json` is taken up again by the next call."""

import csv
import io
import json
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from fcmae.storage.atomic import write_text
from fcmae.storage.versions import versions

Row = dict[str, Any]  # JSON-able

SAME = ("machine", "versions", "settings")  # what rows of one file have in common


class Record:
    """The rows measured so far under the same circumstances, in `results.json` and `results.csv`.

    Args:
        folder: where the files are or will be; made if need be.
        run: machine, versions, settings, command and date of this call.
        key: the fields of a row that say what was measured; a row replaces that of the same values.
        same: the fields of `run` that rows measured earlier must agree in.

    Raises:
        ValueError: if the folder's results were measured under other circumstances, or it is none.
    """

    def __init__(
        self, folder: Path, run: Mapping[str, Any], key: Sequence[str], same: Sequence[str] = SAME
    ) -> None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"out {folder} is a file: give a folder")
        self.path, self.key = folder / "results.json", tuple(key)
        self.run: dict[str, Any] = json.loads(json.dumps(run))  # tuples as they are read back
        folder.mkdir(parents=True, exist_ok=True)
        self._rows = self._read({name: self.run[name] for name in same})

    @property
    def rows(self) -> list[Row]:
        """All of them, in the order in which they were first measured."""
        return list(self._rows.values())

    def row(self, key_values: Mapping[str, Any]) -> Row | None:
        """What was measured of these values; None too where it failed, since it may succeed now.

        Args:
            key_values: the fields of `key`; others are of no matter.
        """
        row = self._rows.get(self._name(key_values))
        return None if row is None or "error" in row else row

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row, on the disk too."""
        self._rows[self._name(row)] = json.loads(json.dumps(row))
        write_text(self.path, as_json(self.run, self.rows))
        write_text(self.path.with_suffix(".csv"), as_csv(self.rows))

    def _name(self, row: Mapping[str, Any]) -> str:
        return json.dumps([row[name] for name in self.key])

    def _read(self, circumstances: Mapping[str, Any]) -> dict[str, Row]:
        if not self.path.exists():
            return {}
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            differing = [name for name, value in circumstances.items() if stored[name] != value]
            rows = {self._name(row): row for row in stored["rows"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"out: {self.path} is no result of this command: choose another folder"
            ) from error
        if differing:
            raise ValueError(
                f"out: {self.path} was measured with other {' and '.join(differing)}, which "
                "cannot be compared: choose another folder, or remove this one"
            )
        return rows


def write_rows(path: Path, run: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with machine, versions, command and date to a JSON file, and say so."""
    write_text(path, as_json(run, rows))
    say_written(path)


def say_written(path: Path) -> None:
    """The last line of a command."""
    from rich.console import Console

    Console().print(f"Wrote {path}", soft_wrap=True, highlight=False, markup=False)


def as_json(run: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The text of such a file: what the run has, and under `rows` its rows."""
    return json.dumps({**run, "rows": rows}, indent=1) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Rows as a table: `{"a": {"b": 1}}` is under `a.b`, and a list is JSON in its cell."""
    flat = [dict(_flattened(row)) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row)
    text = io.StringIO()
    table = csv.DictWriter(text, list(names), lineterminator="\n")
    table.writeheader()
    table.writerows(flat)
    return text.getvalue()


def _flattened(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{before}{name}.")
        else:
            yield before + name, json.dumps(value) if isinstance(value, list) else value


def describe_machine(device: torch.device) -> str:
    """One line: the processor or the GPU, and the threads or the memory that it has."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if device.type == "mps":
        return f"{platform.machine()} GPU (mps)"
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'s' if threads > 1 else ''}"


def describe_run(device: torch.device) -> dict[str, object]:
    """Machine, versions, command and date, for the JSON file."""
    program, *arguments = sys.argv
    return {
        "machine": describe_machine(device),
        "versions": {
            **versions("python", "torch", "timm", "fcmae"),
            "system": f"{platform.system()} {platform.release()}",
        },
        "command": shlex.join([Path(program).name, *arguments]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def processor() -> str:
    """Its name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
