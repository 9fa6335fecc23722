"""From images to batches: the same whatever the number of workers, processes or micro-batches."""

import functools
import itertools
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fcmae.images.order import Order
from fcmae.images.pixels import Decoded
from fcmae.images.sets import ImageSet, Target
from fcmae.images.transforms import sample_seed
from fcmae.images.unreadable import TOLERATED, TooManyUnreadable, Unreadable
from fcmae.images.views import View

Example = TypeVar("Example", bound=NamedTuple)
Examples = TypeVar("Examples")
Examples_co = TypeVar("Examples_co", covariant=True)


@dataclass(frozen=True)
class Batch(Generic[Examples_co]):
    """A micro-batch.

    Attributes:
        step: the optimisation step that it belongs to.
        first: position of its first image in the step's global batch.
        examples: what the view made of the images, collated: each field a tensor [n, ...], or a
            list of n.
        indices: the data set's number of each image.
        unreadable: (name, reason) of the files that others had to stand in for.
    """

    step: int
    first: int
    examples: Examples_co
    indices: list[int]
    unreadable: list[tuple[str, str]]

    def pin_memory(self) -> "Batch[Examples_co]":
        """The batch in page-locked memory; the DataLoader calls this."""
        return replace(self, examples=_pinned(self.examples))


def collate(examples: Sequence[Example]) -> Example:
    """Make one of several examples: tensors are stacked, lists are joined."""
    return examples[0]._make(
        torch.stack(column) if isinstance(column[0], Tensor) else [*itertools.chain(*column)]
        for column in zip(*examples, strict=True)
    )


def _pinned(examples: Any) -> Any:
    if isinstance(examples, Tensor):
        return examples.pin_memory()
    if isinstance(examples, list):
        return [_pinned(part) for part in examples]
    return examples if examples is None else examples._make(map(_pinned, examples))


class MicroBatch(NamedTuple):
    """What a worker is asked for."""

    step: int
    first: int
    samples: list[tuple[int, int]]  # epoch, index


@dataclass(frozen=True)
class BatchReader(Dataset[Batch[Example] | ValueError], Generic[Target, Example]):
    """Reads micro-batches. An unreadable file is replaced by the next readable one.

    So which image stands in is a function of the files alone, and a resumed run is exact.
    """

    images: ImageSet[Target]
    view: View[Target, Example]
    channels: int
    seed: int

    def __getitem__(self, request: MicroBatch) -> Batch[Example] | ValueError:
        """Read; an error is returned, for DataLoader would bury its message in a traceback."""
        unreadable: dict[str, str] = {}
        try:
            samples = [self._read(epoch, index, unreadable) for epoch, index in request.samples]
        except ValueError as error:
            return error
        examples = collate([example for example, _ in samples])
        indices = [index for _, index in samples]
        return Batch(request.step, request.first, examples, indices, list(unreadable.items()))

    def _read(self, epoch: int, index: int, unreadable: dict[str, str]) -> tuple[Example, int]:
        length = len(self.images)
        # No run tolerates more, so nobody waits until a million wrong files have been tried.
        attempts = min(length, max(20, int(TOLERATED * length) + 1))
        tried: dict[str, str] = {}
        for candidate in (number % length for number in range(index, index + attempts)):
            drawn = sample_seed(self.seed, epoch, candidate)
            try:
                example = _seen(self.images, candidate, self.channels, self.view, drawn)
            except Unreadable as error:
                tried[self.images.name(candidate)] = error.reason
            else:
                unreadable |= tried
                return example, candidate
        raise TooManyUnreadable(tried, length)


@dataclass(frozen=True)
class PartReader(Dataset[Batch[Example | None] | ValueError], Generic[Target, Example]):
    """Reads runs of images in their own order; an unreadable file is left out."""

    images: ImageSet[Target]
    view: View[Target, Example]
    channels: int

    def __getitem__(self, part: range) -> Batch[Example | None] | ValueError:
        """Read the images of these numbers; an error is returned, as by `BatchReader`."""
        seen, indices, unreadable = [], [], []
        for index in part:
            try:
                seen.append(_seen(self.images, index, self.channels, self.view, 0))
                indices.append(index)
            except Unreadable as error:
                unreadable.append((self.images.name(index), error.reason))
            except ValueError as error:
                return error
        return Batch(0, part.start, collate(seen) if seen else None, indices, unreadable)


def _seen(
    images: ImageSet[Target], index: int, channels: int, view: View[Target, Example], seed: int
) -> Example:
    image: Decoded = images.read(index, channels, functools.partial(view.shrinkage, seed=seed))
    target = images.target(index)
    try:
        return view(image, target, seed)
    except (ValueError, RuntimeError) as error:  # the latter where memory does not suffice
        height, width = image.size
        raise ValueError(f"{images.name(index)}, of {height} x {width} pixels: {error}") from error


def load(
    images: ImageSet[Target],
    order: Order,
    *,
    view: View[Target, Example],
    channels: int,
    seed: int,
    start_step: int,
    stop_step: int,
    micro_batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch[Example]]:
    """Load the micro-batches of the steps from `start_step` up to, not including, `stop_step`.

    Of a step's global batch of G images, process `rank` of `world_size` W gets positions rank·G/W
    up to (rank + 1)·G/W, in micro-batches. What an image looks like is a function of `seed`, the
    epoch and its index alone.

    Args:
        images: where to read.
        order: which images make up which step.
        view: what is made of an image and its target.
        channels: number of channels, C.
        seed: decides what is drawn for each view.
        start_step: first step, counted from 0 over all epochs.
        stop_step: the step to stop before.
        micro_batch_size: images a batch; a step's last may have fewer.
        rank: number of this process.
        world_size: number of processes.
        workers: processes that read ahead; 0 reads in this one.
        pin_memory: page-lock the batches, for CUDA.

    Returns:
        An iterator of batches. Deleting it stops the workers.

    Raises:
        ValueError: for numbers that do not fit together; while iterating, for data of which too
            many files are unreadable.
    """
    if order.length != len(images):
        raise ValueError(f"order is of {order.length} images, and the data set has {len(images)}")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not between 0 and world_size {world_size}")
    if order.batch_size % world_size:
        raise ValueError(
            f"batch_size {order.batch_size} cannot be shared equally by {world_size} processes: "
            f"make it a multiple of {world_size}"
        )
    if micro_batch_size < 1:
        raise ValueError(f"micro_batch_size {micro_batch_size} is not positive")
    if workers < 0:
        raise ValueError(f"workers {workers} is negative: 0 reads in this process")
    share = order.batch_size // world_size
    positions = range(rank * share, (rank + 1) * share)
    requests = _micro_batches(order, range(start_step, stop_step), positions, micro_batch_size)
    reader = BatchReader(images, view, channels, seed)
    return _batches(reader, requests, workers=workers, pin_memory=pin_memory)


def load_in_order(
    images: ImageSet[Target],
    *,
    view: View[Target, Example],
    channels: int,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch[Example | None]]:
    """Load every image once, in order, as evaluation wants it.

    Process `rank` of `world_size` W gets every W-th batch. A file that cannot be read is left out
    of its batch, whose `indices` say which images it has, and named in `unreadable`. Batches
    without any readable image come too: their `examples` are None.

    Args:
        images: where to read.
        view: what is made of an image and its target.
        channels: number of channels, C.
        batch_size: images a batch; the last may have fewer.
        rank: number of this process.
        world_size: number of processes.
        workers: processes that read ahead; 0 reads in this one.
        pin_memory: page-lock the batches, for CUDA.

    Raises:
        ValueError: while iterating, for what is wrong with more than a file.
    """
    starts = range(rank * batch_size, len(images), world_size * batch_size)
    parts = [range(start, min(start + batch_size, len(images))) for start in starts]
    reader = PartReader(images, view, channels)
    return _batches(reader, parts, workers=workers, pin_memory=pin_memory)


def _micro_batches(
    order: Order, steps: range, positions: range, micro_batch_size: int
) -> Iterator[MicroBatch]:
    for step in steps:
        batch = order.batch(step)
        for first in positions[::micro_batch_size]:
            stop = min(first + micro_batch_size, positions.stop)
            yield MicroBatch(step, first, batch[first:stop])


def _batches(
    reader: Dataset[Batch[Examples] | ValueError],
    requests: Iterable[object],
    *,
    workers: int,
    pin_memory: bool,
) -> Iterator[Batch[Examples]]:
    loader = DataLoader(
        reader,
        batch_size=None,  # an item is a batch already
        sampler=requests,
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_read_on,
        generator=torch.Generator(),  # or it would advance the global one
    )
    return _checked(iter(loader))


def _checked(batches: Iterable[Batch[Examples] | ValueError]) -> Iterator[Batch[Examples]]:
    for batch in batches:
        if isinstance(batch, ValueError):
            raise batch
        yield batch


def _as_it_is(item: Any) -> Any:
    return item


def _read_on(_worker: int) -> None:
    # Ctrl-C, and the SIGTERM of torchrun or a scheduler, reach the whole group of processes, but
    # the run decides when it stops and still needs batches until then. A second SIGTERM is its own.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
