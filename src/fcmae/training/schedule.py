"""How many steps a run has, and how they fall into epochs."""

from dataclasses import dataclass

STEPS_WANTED = 32  # an epoch's worth, when the batch size is ours to choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What follows from the number of images, the batch size and the epochs."""

    images: int
    batch_size: int
    epochs: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data; what is left over waits for the next epoch's order."""
        return self.images // self.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    @property
    def log_every(self) -> int:
        """Steps between two lines of the metrics: about twenty lines an epoch."""
        return min(max(self.steps_per_epoch // 20, 1), 100)


def default_batch_size(images: int, largest: int) -> int:
    """The largest power of two that leaves 32 steps an epoch, from 16 to `largest`."""
    power = 1 << max(images // STEPS_WANTED, 1).bit_length() - 1
    return min(max(power, 16), largest, images)
