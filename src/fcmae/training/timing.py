"""How long steps take."""

import time
from typing import Any

from fcmae.images.views import EXACT
from fcmae.report.run import SLOW
from fcmae.training.devices import Place
from fcmae.training.engine import Step


class Timing:
    """The steps between two lines of `timing.jsonl`."""

    def __init__(self) -> None:
        self.steps, self.seconds, self.waiting = 0, 0.0, 0.0

    def add(self, step: Step) -> None:
        """Count a step."""
        self.steps += 1
        self.seconds += step.seconds
        self.waiting += step.waiting

    def line(self, step: Step, batch_size: int, started: float, place: Place) -> dict[str, Any]:
        """What to write after `step`; begins anew."""
        line = {
            "step": step.number,
            "images_per_second": self.steps * batch_size / self.seconds,
            "waiting": self.waiting / self.seconds,
            "seconds": time.monotonic() - started,
            "peak_memory": place.peak_memory(),
        }
        self.steps, self.seconds, self.waiting = 0, 0.0, 0.0
        return line


class Waits:
    """How much of its time a run spends waiting for images, epoch by epoch."""

    def __init__(self) -> None:
        self.seconds, self.waiting, self.warned = 0.0, 0.0, False

    def add(self, step: Step) -> None:
        """Count a step."""
        self.seconds += step.seconds
        self.waiting += step.waiting

    def share(self) -> float:
        """Of the time since it was asked last; begins anew."""
        share = self.waiting / self.seconds if self.seconds else 0.0
        self.seconds = self.waiting = 0.0
        return share

    def remedy(self, share: float, workers: int, decoding: str) -> str | None:
        """What to do about such a share, once a run; None where there is no need."""
        if share < SLOW or self.warned:
            return None
        self.warned = True
        exact = "; a run with --decoding fast reads large photographs sooner"
        return (
            "waiting for images slows this run down: with more --workers (it has "
            f"{workers}), where there are cores for them, it would be faster; so it would with "
            f"smaller image files{exact if decoding == EXACT else ''}"
        )
