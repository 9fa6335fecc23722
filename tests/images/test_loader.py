import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Iterable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fcmae.images.folders import FileSource, open_images
from fcmae.images.jpeg import import_simplejpeg
from fcmae.images.loader import Batch, BatchReader, MicroBatch, collate, load, load_in_order
from fcmae.images.order import Order
from fcmae.images.pixels import Decoded, Shrinkage, whole
from fcmae.images.segmentation import SegmentationView
from fcmae.images.sets import EncodedSet, ImageSet, Labelled
from fcmae.images.transforms import centre_crop
from fcmae.images.unreadable import Unreadable, Unreadables
from fcmae.images.views import (
    AugmentedView,
    EvaluationView,
    Pair,
    RandomView,
    Unlabelled,
)

# Python 3.12 warns when a process with threads forks; DataLoader's way on Linux until Python 3.14.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

LENGTH = 30


def folder_set(paths: Iterable[Path], root: Path) -> EncodedSet:
    return EncodedSet(FileSource(sorted(paths), root))


@pytest.fixture
def images(tmp_path: Path) -> EncodedSet:
    random = np.random.default_rng(0)
    for number in range(LENGTH):
        shape = (5 + number % 7, 6 + number % 5, 2)
        np.save(tmp_path / f"{number:02d}.npy", random.integers(0, 256, shape, dtype=np.uint8))
    return folder_set(tmp_path.iterdir(), tmp_path)


def batches(images: ImageSet[Any], batch_size: int = 12, **options: Any) -> Iterator[Batch[Any]]:
    defaults = {"seed": 1, "start_step": 0, "stop_step": 5, "micro_batch_size": batch_size}
    order = Order(len(images), batch_size, seed=1)
    return load(images, order, **({"view": RandomView((9, 7)), "channels": 2} | defaults | options))


def joined(loaded: Iterator[Batch[Any]]) -> dict[int, tuple[Tensor, list[int]]]:
    """The global batch of each step, put together by position."""
    steps: dict[int, list[Batch[Any]]] = {}
    for batch in loaded:
        steps.setdefault(batch.step, []).append(batch)
    result = {}
    for step, parts in steps.items():
        parts.sort(key=lambda batch: batch.first)
        ends = np.cumsum([len(part.examples.image) for part in parts])
        assert [part.first for part in parts] == [0, *ends[:-1]]
        indices = [index for part in parts for index in part.indices]
        result[step] = (torch.cat([part.examples.image for part in parts]), indices)
    return result


def assert_same(left: Iterator[Batch[Any]], right: Iterator[Batch[Any]]) -> None:
    first, second = joined(left), joined(right)
    assert first.keys() == second.keys()
    for step in first:
        assert first[step][1] == second[step][1]
        assert torch.equal(first[step][0], second[step][0])


def test_a_batch(images: EncodedSet) -> None:
    batch = next(batches(images, batch_size=1))
    assert batch.examples.image.shape == (1, 2, 9, 7)
    assert batch.examples.image.dtype == torch.float32
    assert 0 <= batch.examples.image.min() < batch.examples.image.max() <= 1
    assert (batch.step, batch.first, batch.unreadable) == (0, 0, [])


def test_batches_do_not_depend_on_workers(images: EncodedSet) -> None:
    assert_same(batches(images, workers=2, micro_batch_size=5), batches(images))


def test_batches_do_not_depend_on_micro_batches(images: EncodedSet) -> None:
    sizes = [
        len(batch.examples.image) for batch in batches(images, micro_batch_size=5, stop_step=1)
    ]
    assert sizes == [5, 5, 2]
    assert_same(batches(images, micro_batch_size=5), batches(images))


def test_batches_do_not_depend_on_processes(images: EncodedSet) -> None:
    ranks = [
        batch
        for rank in range(3)
        for batch in batches(images, rank=rank, world_size=3, micro_batch_size=3)
    ]
    assert {len(batch.examples.image) for batch in ranks} == {3, 1}
    assert_same(iter(ranks), batches(images))


def test_a_resumed_run_sees_what_an_uninterrupted_one_does(images: EncodedSet) -> None:
    whole = joined(batches(images))
    resumed = joined(batches(images, start_step=3))
    assert list(resumed) == [3, 4]
    assert all(torch.equal(resumed[step][0], whole[step][0]) for step in resumed)


def test_crops_change_with_epoch_and_seed(images: EncodedSet) -> None:
    def crop_of_7(epoch: int, seed: int) -> Tensor:
        reader = BatchReader(images, RandomView((9, 7)), 2, seed)
        batch = reader[MicroBatch(0, 0, [(epoch, 7)])]
        assert isinstance(batch, Batch)
        return batch.examples.image

    assert torch.equal(crop_of_7(0, 0), crop_of_7(0, 0))
    assert not torch.equal(crop_of_7(0, 0), crop_of_7(1, 0))
    assert not torch.equal(crop_of_7(0, 0), crop_of_7(0, 1))


def test_centred_crops_are_the_same_in_every_epoch(images: EncodedSet) -> None:
    seen: dict[int, Tensor] = {}
    for batch in batches(images, view=EvaluationView((9, 7), centre_crop)):
        for index, image in zip(batch.indices, batch.examples.image, strict=True):
            assert torch.equal(seen.setdefault(index, image), image)


def test_the_global_generator_is_left_alone(images: EncodedSet) -> None:
    before = torch.get_rng_state()
    list(batches(images))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_stands_in_for_an_unreadable_file_looks_as_itself(images: EncodedSet) -> None:
    (images.source.root / "01.npy").write_bytes(b"")
    reader = BatchReader(images, RandomView((9, 7)), 2, seed=1)
    stands_in, itself = (reader[MicroBatch(0, 0, [(4, index)])] for index in (1, 2))
    assert isinstance(stands_in, Batch)
    assert isinstance(itself, Batch)
    assert torch.equal(stands_in.examples.image, itself.examples.image)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_file_is_replaced_by_the_next_readable_one(
    images: EncodedSet, workers: int
) -> None:
    before = joined(batches(images, stop_step=2))
    for number in (29, 0, 10):
        (images.source.root / f"{number:02d}.npy").write_bytes(b"")
    replaced = {29: 1, 0: 1, 10: 11}
    unreadable = set()
    after: dict[int, list[int]] = {0: [], 1: []}
    for batch in batches(images, stop_step=2, workers=workers, micro_batch_size=4):
        after[batch.step] += batch.indices
        unreadable |= set(batch.unreadable)
    for step, (_, indices) in before.items():
        assert after[step] == [replaced.get(index, index) for index in indices]
    met = {index for _, indices in before.values() for index in indices}
    assert {name for name, _ in unreadable} >= {f"{index:02d}.npy" for index in {0, 10, 29} & met}
    assert {why for _, why in unreadable} == {"empty file"}
    with pytest.raises(ValueError, match="of 30 files are unreadable"):
        Unreadables(LENGTH).add(unreadable)


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_readable_ends_in_words(images: EncodedSet, workers: int) -> None:
    for path in images.source.root.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"^data: 20 of 30 files are unreadable") as caught:
        next(batches(images, workers=workers))
    assert "Traceback" not in str(caught.value)


class SignalProbe:
    """An image set of which a pixel says whether its process ignores Ctrl-C."""

    def __len__(self) -> int:
        return 2

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return Decoded(
            torch.full((channels, 2, 2), float(ignored and torch.get_num_threads() == 1))
        )

    def target(self, index: int) -> None:
        return None

    def name(self, index: int) -> str:
        return str(index)


def test_workers_leave_ctrl_c_to_the_main_process() -> None:
    options = {
        "view": RandomView((2, 2)),
        "channels": 1,
        "seed": 0,
        "start_step": 0,
        "stop_step": 1,
    }
    order = Order(2, 2, seed=0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it behind "&"
    try:
        there = next(load(SignalProbe(), order, micro_batch_size=2, workers=1, **options))
        here = next(load(SignalProbe(), order, micro_batch_size=2, **options))
    finally:
        signal.signal(signal.SIGINT, before)
    assert there.examples.image.all()
    assert not here.examples.image.any()


def test_workers_read_on_when_the_whole_group_is_told_to_stop(images: EncodedSet) -> None:
    options = {
        "view": RandomView((9, 7)),
        "channels": 2,
        "seed": 0,
        "start_step": 0,
        "stop_step": 12,
    }
    before = set(multiprocessing.active_children())
    batches = load(images, Order(LENGTH, 10, seed=0), micro_batch_size=2, workers=1, **options)
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - before
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, number)
    assert len(list(batches)) == 12 * 5 - 1
    assert worker not in multiprocessing.active_children()


def test_workers_can_be_spawned(images: EncodedSet) -> None:
    reader = BatchReader(images, RandomView((9, 7)), 2, 0)
    request = MicroBatch(0, 0, [(0, 1), (0, 2)])
    batch = pickle.loads(pickle.dumps(reader))[pickle.loads(pickle.dumps(request))]
    assert torch.equal(
        pickle.loads(pickle.dumps(batch)).examples.image, reader[request].examples.image
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"world_size": 5}, "batch_size 12 cannot be shared equally by 5"),
        ({"rank": 2, "world_size": 2}, "rank 2"),
        ({"micro_batch_size": 0}, "micro_batch_size 0"),
        ({"workers": -1}, "workers -1"),
    ],
)
def test_numbers_that_do_not_fit(images: EncodedSet, options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        batches(images, **options)


def test_an_order_of_another_data_set(images: EncodedSet) -> None:
    with pytest.raises(ValueError, match="order is of 31 images, and the data set has 30"):
        load(
            images,
            Order(31, 4, seed=0),
            view=RandomView((9, 7)),
            channels=2,
            seed=0,
            start_step=0,
            stop_step=1,
            micro_batch_size=4,
        )


def test_real_photographs(real_images: Path) -> None:
    pictures = open_images(real_images / "val")
    order = Order(len(pictures), 8, seed=0)
    batch = next(
        load(
            pictures,
            order,
            view=RandomView((96, 128)),
            channels=3,
            seed=0,
            start_step=0,
            stop_step=1,
            micro_batch_size=8,
        )
    )
    assert batch.examples.image.shape == (8, 3, 96, 128)
    assert 0.2 < batch.examples.image.mean() < 0.7


# Fast decoding


@pytest.fixture
def photographs(tmp_path: Path) -> EncodedSet:
    """Large JPEGs with something to see, one upside down, one cut off, and a PNG."""
    y, x = np.mgrid[:211, :302]
    for number in range(6):
        waves = [127 + 120 * np.sin(x / (9 + c + number) + y / (7 + number)) for c in range(3)]
        picture = Image.fromarray(np.stack(waves, -1).astype(np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 3 if number == 1 else 1
        picture.save(tmp_path / f"{number}.{'png' if number == 2 else 'jpg'}", exif=exif)
    damaged = tmp_path / "3.jpg"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    return folder_set(tmp_path.iterdir(), tmp_path)


FAST = RandomView((32, 32), decoding="fast")


def test_fast_batches_are_nearly_the_exact_ones(photographs: EncodedSet) -> None:
    fast, exact = (
        joined(batches(photographs, 6, view=view, channels=3))
        for view in (FAST, RandomView((32, 32)))
    )
    for step, (images, indices) in exact.items():
        assert indices == fast[step][1]
        assert not torch.equal(images, fast[step][0])
        assert (images - fast[step][0]).abs().mean() < 1 / 255
        png = indices.index(2)
        assert torch.equal(images[png], fast[step][0][png])


def test_fast_batches_depend_on_nothing_but_the_step(photographs: EncodedSet) -> None:
    options = {"view": FAST, "channels": 3}
    whole = joined(batches(photographs, 6, **options))
    parts = batches(photographs, 6, workers=1, micro_batch_size=4, start_step=2, **options)
    for step, (images, _) in joined(parts).items():
        assert torch.equal(images, whole[step][0])


@pytest.mark.parametrize("decoding", ["fast", "exact"])
def test_a_damaged_file_has_the_same_reason_however_it_is_read(
    photographs: EncodedSet, decoding: str
) -> None:
    view = RandomView((32, 32), decoding=decoding)
    reader = BatchReader(photographs, view, 3, seed=0)
    batch = reader[MicroBatch(0, 0, [(0, 3)])]
    assert isinstance(batch, Batch)
    assert batch.indices == [4]
    assert [(name, "truncated" in why) for name, why in batch.unreadable] == [("3.jpg", True)]


def _read_all(folder: Path, packages: Path, workers: int, way: str) -> None:
    """In a process of its own: read batches where simplejpeg is `packages/simplejpeg.py`."""
    with (packages / "said").open("w") as said:
        os.dup2(said.fileno(), 2)
    sys.path.insert(0, str(packages))
    sys.modules.pop("simplejpeg", None)
    multiprocessing.set_start_method(way, force=True)
    images = open_images(folder)
    options = {"channels": 3, "workers": workers}
    steps = {"seed": 0, "start_step": 0, "stop_step": 1, "micro_batch_size": 2}
    view = RandomView((8, 8), decoding="fast")
    batches = list(load(images, Order(len(images), 5, seed=0), view=view, **steps, **options))
    if way == "fork":
        batches += load_in_order(images, view=EvaluationView((8, 8)), batch_size=2, **options)
    assert {len(batch.examples.image) - len(batch.unreadable) for batch in batches} == {1, 2}


@pytest.mark.parametrize(("workers", "way"), [(0, "fork"), (2, "fork"), (2, "spawn")])
def test_a_missing_simplejpeg_is_said_once_whatever_the_workers(
    photographs: EncodedSet,
    tmp_path_factory: pytest.TempPathFactory,
    processes: ForkServerContext,
    workers: int,
    way: str,
) -> None:
    folder = tmp_path_factory.mktemp("packages")  # not among the photographs
    (folder / "simplejpeg.py").write_text("raise ImportError('not here')")
    (photographs.source.root / "3.jpg").unlink()  # the damaged one
    reader = processes.Process(
        target=_read_all, args=(photographs.source.root, folder, workers, way)
    )
    reader.start()
    reader.join()
    said = (folder / "said").read_text()
    assert reader.exitcode == 0, said
    assert said.count("simplejpeg") == 2, said  # its name, and what to install
    assert "simplejpeg cannot be imported (not here), so Pillow reads JPEGs" in said


def test_where_there_are_no_jpegs_simplejpeg_is_not_missed(
    images: EncodedSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    import_simplejpeg.cache_clear()
    try:
        next(batches(folder_set([images.source.root / "01.npy"] * 12, images.source.root)))
        assert not caplog.records
        folder_set([images.source.root / "a.JPEG"], images.source.root)
        assert len(caplog.records) == 1
    finally:
        import_simplejpeg.cache_clear()


# In order, for evaluation


@pytest.mark.parametrize(("world_size", "workers"), [(1, 0), (1, 2), (3, 0)])
def test_every_image_comes_once_in_order(images: EncodedSet, world_size: int, workers: int) -> None:
    options = {"view": EvaluationView((9, 7)), "channels": 2, "workers": workers}
    parts = [
        list(load_in_order(images, batch_size=4, rank=rank, world_size=world_size, **options))
        for rank in range(world_size)
    ]
    indices = [index for part in parts for batch in part for index in batch.indices]
    assert sorted(indices) == list(range(LENGTH))
    assert all(part == sorted(part, key=lambda batch: batch.first) for part in parts)
    assert [len(batch.indices) for batch in parts[0]][:2] == [4, 4]
    assert parts[0][0].examples.image.shape == (4, 2, 9, 7)


def test_what_cannot_be_read_is_left_out_and_named(images: EncodedSet) -> None:
    for number in (1, 4, 5, 6, 7):
        (images.source.root / f"{number:02d}.npy").write_bytes(b"")
    first, second, *_ = load_in_order(images, view=EvaluationView((9, 7)), channels=2, batch_size=4)
    assert first.indices == [0, 2, 3]
    assert len(first.examples.image) == 3
    assert first.unreadable == [("01.npy", "empty file")]
    assert (second.indices, second.examples, len(second.unreadable)) == ([], None, 4)


class Greedy:
    """A view that wants more memory than there is for images six pixels high."""

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        return 1

    def __call__(self, image: Decoded, target: object, seed: int) -> Unlabelled:
        return Unlabelled(torch.empty(1 << 59 if image.size[0] == 6 else 1))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_seen_is_named_without_a_traceback(
    images: EncodedSet, workers: int
) -> None:
    found = load_in_order(images, view=Greedy(), channels=2, batch_size=30, workers=workers)
    with pytest.raises(ValueError, match=r"^01\.npy, of 6 x 7 pixels: .*memory"):
        next(found)
    trained = batches(images, view=Greedy(), micro_batch_size=12, workers=workers)
    with pytest.raises(ValueError, match=r"^\d\d\.npy, of 6 x \d+ pixels: .*memory"):
        list(trained)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_fits_no_image_ends_in_words_without_a_traceback(workers: int) -> None:
    pytest.importorskip("skimage")
    found = load_in_order(
        open_images("sample"),
        view=EvaluationView((8, 8), centre_crop),
        channels=4,
        batch_size=2,
        workers=workers,
    )
    with pytest.raises(ValueError, match=r"^channels 4: the sample set has 1 or 3$"):
        next(found)


# Examples and their targets


def labelled(images: EncodedSet) -> Labelled:
    """Each image's class is the remainder of its number."""
    return Labelled(images, tuple(index % 3 for index in range(len(images))), ("a", "b", "c"))


CLASSES = AugmentedView((9, 7), (0.3, 1.0), 0.5, None, (0.5, 0.5))


@pytest.mark.parametrize("workers", [0, 2])
def test_labels_come_with_their_images(images: EncodedSet, workers: int) -> None:
    (images.source.root / "10.npy").write_bytes(b"")
    found = batches(labelled(images), view=CLASSES, micro_batch_size=5, workers=workers)
    for batch in found:
        assert batch.examples.label.dtype == torch.int64
        assert batch.examples.label.tolist() == [index % 3 for index in batch.indices]
        assert len(batch.examples.image) == len(batch.indices)


def test_labels_of_a_part_are_those_of_its_images(images: EncodedSet) -> None:
    part = labelled(images).subset(range(1, LENGTH, 2))
    for batch in batches(part, 5, view=CLASSES, micro_batch_size=3):
        assert batch.examples.label.tolist() == [(2 * index + 1) % 3 for index in batch.indices]


class Boxes(NamedTuple):
    """As an example of detection would be."""

    image: Tensor
    boxes: list[Tensor]  # [k, 4] of each image, k its own


class BoxView:
    """As many boxes as the target says, each that of the whole view."""

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        return 1

    def __call__(self, image: Decoded, target: int, seed: int) -> Boxes:
        boxes = torch.tensor([0, 0, *image.size]).expand(target, 4)
        return Boxes(torch.full((1, 2, 2), float(target)), [boxes])


def test_what_is_ragged_is_listed_image_by_image(images: EncodedSet) -> None:
    for batch in batches(labelled(images), view=BoxView(), micro_batch_size=5, workers=1):
        counts = [index % 3 for index in batch.indices]
        assert [tuple(boxes.shape) for boxes in batch.examples.boxes] == [(k, 4) for k in counts]
        assert batch.examples.image[:, 0, 0, 0].tolist() == counts
        assert isinstance(batch.examples, Boxes)


def test_pairs_come_as_two_tensors() -> None:
    pairs = [Pair(torch.full((1, 2), float(i)), torch.full((1, 2), float(-i))) for i in range(3)]
    first, second = collate(pairs)
    assert first.shape == second.shape == (3, 1, 2)
    assert torch.equal(first, -second)


class Maps:
    """Images of odd sizes with a label map each: that of their first channel."""

    def __init__(self, images: EncodedSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return self.images.name(index)

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        return self.images.read(index, channels, shrinkage)

    def target(self, index: int) -> Tensor:
        if index == 3:
            raise Unreadable("3.png", "missing")
        return self.images.read(index, 2).pixels[0] % 5


def test_label_maps_come_cropped_whatever_the_micro_batches(images: EncodedSet) -> None:
    view = SegmentationView((9, 7), (0.5, 1.5), 0.5, (0.5, 0.5))
    maps = {}
    for micro_batch_size in (12, 5, 1):
        found = batches(Maps(images), view=view, micro_batch_size=micro_batch_size, stop_step=2)
        loaded = list(found)
        maps[micro_batch_size] = torch.cat([batch.examples.label_map for batch in loaded])
        assert {name for batch in loaded for name, _ in batch.unreadable} <= {"03.npy"}
        assert 3 not in {index for batch in loaded for index in batch.indices}
    assert maps[12].shape == (24, 9, 7)
    assert all(torch.equal(maps[12], other) for other in maps.values())


def test_an_image_without_its_target_is_unreadable(images: EncodedSet) -> None:
    view = SegmentationView((9, 7), (0.5, 1.0), 0.5, (0.5, 0.5))
    first, *_ = load_in_order(Maps(images), view=view, channels=2, batch_size=5)
    assert first.unreadable == [("03.npy", "missing")]
    assert first.indices == [0, 1, 2, 4]
    assert first.examples is not None
    assert first.examples.label_map.shape == (4, 9, 7)


def test_everything_of_a_batch_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Tensor] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor + 1)
    examples = Boxes(torch.zeros(2, 1), [torch.zeros(1, 4), torch.zeros(3, 4)])
    batch = Batch(0, 0, examples, [0, 1], []).pin_memory()
    assert len(pinned) == 3
    assert batch.examples.image.tolist() == [[1], [1]]
    assert [boxes.sum().item() for boxes in batch.examples.boxes] == [4, 12]
    empty: Batch[Boxes | None] = Batch(0, 0, None, [], [("a", "missing")])
    assert empty.pin_memory() == empty
