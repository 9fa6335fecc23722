"""Which images make up which batch: a function of the seed and the step alone."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def mix(*numbers: int) -> int:
    """Mix integers into one of 63 bits, the same everywhere and always (BLAKE2b)."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def epoch_order(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of `range(length)` for an epoch.

    It sorts the raw stream of PCG64, which NumPy promises never to change (it does not promise
    that of its or torch's ready-made permutations), so that a run can be resumed by any version.

    Returns:
        int64 [length].
    """
    keys = np.random.PCG64(mix(seed, epoch)).random_raw(length)  # uint64 [length]
    return np.argsort(keys, kind="stable").astype(np.int64, copy=False)


class Order:
    """The global batches of a run.

    An epoch's incomplete last batch is dropped, as in the paper's code.

    Args:
        length: number of images in the data set.
        batch_size: images a step, over all processes and micro-batches.
        seed: decides every epoch's permutation.

    Raises:
        ValueError: if there are fewer images than a batch takes.
    """

    def __init__(self, length: int, batch_size: int, seed: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} is not positive")
        if batch_size > length:
            raise ValueError(
                f"batch_size {batch_size} is larger than the {length} images of the data set: "
                f"lower it to {length} or less, or add images"
            )
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self._epoch = -1
        self._permutation = np.empty(0, dtype=np.int64)

    @property
    def steps_per_epoch(self) -> int:
        """Number of complete batches in an epoch."""
        return self.length // self.batch_size

    def batch(self, step: int) -> list[tuple[int, int]]:
        """The (epoch, index) of each image in the global batch of a step, counted from 0."""
        epoch, within = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, epoch_order(self.length, self.seed, epoch)
        first = within * self.batch_size
        indices = self._permutation[first : first + self.batch_size].tolist()
        return [(epoch, index) for index in indices]
