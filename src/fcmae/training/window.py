"""Consecutive steps: their mean loss, and how long they took."""

from fcmae.images.views import EXACT
from fcmae.report.run import SLOW
from fcmae.training.engine import Step


class Window:
    """Steps since a line of the metrics was written.

    Args:
        loss: their sum so far, as a checkpoint has it.
        steps: their number, likewise. The time is that of this process alone.
    """

    def __init__(self, loss: float = 0.0, steps: int = 0) -> None:
        self.loss, self.steps = loss, steps
        self.timed, self.seconds, self.waiting = 0, 0.0, 0.0

    def add(self, step: Step) -> None:
        """Count a step."""
        self.loss += step.loss
        self.steps += 1
        self.timed += 1
        self.seconds += step.seconds
        self.waiting += step.waiting

    @property
    def mean_loss(self) -> float:
        """Over all its steps."""
        return self.loss / self.steps

    @property
    def waited(self) -> float:
        """The share of the time that was spent waiting for images."""
        return self.waiting / self.seconds if self.seconds else 0.0

    def images_per_second(self, batch_size: int) -> float:
        """Images of the whole batch, in this process's time."""
        return self.timed * batch_size / self.seconds

    def state(self) -> tuple[float, int]:
        """What a checkpoint keeps."""
        return self.loss, self.steps


def remedy(waited: float, workers: int, decoding: str) -> str | None:
    """Advice for a run that spends this share of its time waiting; None where it needs none."""
    if waited < SLOW:
        return None
    exact = "; a run with --decoding fast reads large photographs sooner"
    return (
        "waiting for images slows this run down: with more --workers (it has "
        f"{workers}), where there are cores for them, it would be faster; so it would with "
        f"smaller image files{exact if decoding == EXACT else ''}"
    )
