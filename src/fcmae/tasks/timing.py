"""How long steps take."""

import time
from typing import Any

from fcmae.devices import Place
from fcmae.engine import Step


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
