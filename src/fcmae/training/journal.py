"""What a run writes as it goes: metrics, timings and TensorBoard's event files.

`metrics.jsonl` holds only what the run computes, so that a run that was killed and resumed writes
the same file, byte for byte, as one that was not. How fast it went is in `timing.jsonl`.
"""

import json
import types
from pathlib import Path
from typing import Any

from fcmae.storage.atomic import write_text

METRICS, TIMING = "metrics.jsonl", "timing.jsonl"


class Journal:
    """Appends to the run's files; on resume, first forgets what came after the checkpoint."""

    def __init__(self, run: Path, resumed_at: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        for name in (METRICS, TIMING):
            forget(run / name, after=resumed_at)
        self.seconds = last_seconds(run / TIMING)  # that the run has taken so far
        self._metrics = (run / METRICS).open("a", buffering=1)
        self._timing = (run / TIMING).open("a", buffering=1)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_at + 1)

    def metrics(self, line: dict[str, Any]) -> None:
        """One line of what was computed; `line` has "kind" and "step"."""
        self._metrics.write(json.dumps(line) + "\n")
        self._scalars(line["kind"], line)

    def timing(self, line: dict[str, Any]) -> None:
        """One line of how long it took; `line` has "step"."""
        self._timing.write(json.dumps(line) + "\n")
        self._scalars("timing", line)

    def _scalars(self, kind: str, line: dict[str, Any]) -> None:
        for name, value in line.items():
            if isinstance(value, int | float) and name != "step":
                self._board.add_scalar(f"{kind}/{name}", value, line["step"])

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._metrics.close()
        self._timing.close()
        self._board.close()


class Silence:
    """The journal of a process that writes nothing."""

    seconds = 0.0

    def metrics(self, line: dict[str, Any]) -> None:
        """Nothing."""

    def timing(self, line: dict[str, Any]) -> None:
        """Nothing."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *_: object) -> None: ...


AnyJournal = Journal | Silence


def forget(path: Path, after: int) -> None:
    """Keep the lines up to step `after`; a torn last line goes too."""
    if path.exists():
        kept = [
            line for line in path.read_text(errors="replace").splitlines() if _step(line) <= after
        ]
        write_text(path, "".join(line + "\n" for line in kept))


def last_seconds(path: Path) -> float:
    """The seconds in the last line of the timings; 0 before there is any."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return float(json.loads(lines[-1]).get("seconds", 0.0)) if lines else 0.0


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")
