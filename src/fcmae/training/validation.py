"""Validation during a run: metrics by name, which epoch is the best, and whether to stop early."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fcmae.console.screen import say
from fcmae.parallel.processes import is_first
from fcmae.training.journal import AnyJournal


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a validation measured, by name, and which of it decides what is best."""

    values: Mapping[str, float | None]
    deciding: str  # the larger, the better

    @property
    def score(self) -> float:
        """The value that decides."""
        score = self.values[self.deciding]
        assert score is not None
        return score


class Best:
    """The best validation of a run so far.

    Args:
        state: of the task; holds "best", {period's name: its number, deciding metric: value}.
        period: what the run calls the time between two validations, such as "epoch".
        patience: validations without a better one after which to stop; None for never.
    """

    def __init__(self, state: dict[str, Any], period: str, patience: int | None = None) -> None:
        state.setdefault("best", None)
        self.state, self.period, self.patience = state, period, patience

    def is_beaten(self, metrics: Metrics, number: int) -> bool:
        """Whether the validation of this number is better than all before; it is then the best."""
        best = self.state["best"]
        better = best is None or metrics.score > best[metrics.deciding]
        if better:
            self.state["best"] = {self.period: number, metrics.deciding: metrics.score}
        return better

    def stops(self, metrics: Metrics, number: int, step: int, journal: AnyJournal) -> bool:
        """Whether there was no better one for as many validations as patience lasts; notes it."""
        if self.patience is None or number - self.state["best"][self.period] < self.patience:
            return False
        because = f"no better {metrics.deciding} for {self.patience} {self.period}s"
        journal.metrics({"kind": "stop", "step": step, self.period: number, "because": because})
        if is_first():
            say(f"stopped after {self.period} {number}: {because}")
        return True
