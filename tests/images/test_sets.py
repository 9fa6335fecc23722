"""Parts of image sets keep images, names and targets together, and are drawn the same each time."""

import io
import pickle
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from PIL import Image
from small_pictures import write_pictures

from fcmae.images.decode import decode
from fcmae.images.folders import open_labelled, open_splits
from fcmae.images.order import epoch_order
from fcmae.images.pixels import Shrunk
from fcmae.images.sets import EncodedSet, Labelled, Subset, draw, share
from fcmae.images.unreadable import Unreadable


class Memory:
    """Encoded images that lie in no file; the last is missing."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents = contents

    def __len__(self) -> int:
        return len(self.contents) + 1

    def name(self, index: int) -> str:
        return f"{index:03d}"

    def location(self, index: int) -> str:
        return f"memory/{index:03d}"

    def open(self, index: int) -> BinaryIO:
        if index == len(self.contents):
            raise FileNotFoundError
        return io.BytesIO(self.contents[index])


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "bmp", "tiff", "npy"])
def test_an_image_is_the_same_from_bytes_and_from_a_file(
    tmp_path: Path, picture: Image.Image, kind: str
) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, np.asarray(picture))
    else:
        picture.save(path)
    images = EncodedSet(Memory([path.read_bytes()]))
    assert torch.equal(images.read(0, 3).pixels, decode(path, 3))
    assert torch.equal(images.read(0, 1).pixels, decode(path, 1))


def test_deep_tiffs_are_the_same_from_bytes_and_from_a_file(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(0).integers(0, 65536, (13, 9, 14), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", compression="zlib")
    images = EncodedSet(Memory([(tmp_path / "a.tif").read_bytes()]))
    assert torch.equal(images.read(0, 13).pixels, decode(tmp_path / "a.tif", 13))


def test_a_jpeg_is_shrunk_from_bytes_too(picture: Image.Image) -> None:
    decoded = EncodedSet(Memory([encoded(picture, "jpeg")])).read(0, 3, lambda *_: 2)
    assert decoded.shrunk == Shrunk(2, 70, 50)
    assert decoded.pixels.shape == (3, 35, 25)
    assert decoded.size == (70, 50)


def test_what_is_wrong_is_said_of_the_place_where_it_lies(picture: Image.Image) -> None:
    images = EncodedSet(Memory([b"", encoded(picture, "png")[:300], b"<html>"]))
    reasons = []
    for index in range(len(images)):
        with pytest.raises(Unreadable) as caught:
            images.read(index, 3)
        assert caught.value.path == Path("memory", images.name(index))
        reasons.append(caught.value.reason)
    assert reasons[0] == "empty file"
    assert "truncated" in reasons[1]
    assert reasons[2].startswith("not a JPEG")
    assert reasons[3] == "missing"


# Parts


def test_a_subset_is_images_names_and_targets_in_its_own_order(data: Path) -> None:
    images = open_labelled(data)
    for part in (Subset(images, [22, 3, 3]), images.subset([22, 3, 3])):
        assert len(part) == 3
        for index, original in enumerate((22, 3, 3)):
            assert part.name(index) == images.name(original)
            assert part.target(index) == images.target(original)
            seen, whole = part.read(index, 1), images.read(original, 1)
            assert torch.equal(seen.pixels, whole.pixels)


def test_a_subset_asks_for_shrinkage(picture: Image.Image) -> None:
    images = Subset(EncodedSet(Memory([encoded(picture, "jpeg")])), [0])
    assert images.read(0, 3, lambda *_: 2).shrunk is not None
    labelled = Labelled(images, (0,), ("a", "b"))
    assert labelled.read(0, 3, lambda *_: 2).shrunk is not None


def test_a_subset_of_a_subset(data: Path) -> None:
    images = open_labelled(data)
    part = images.subset(range(5, 30)).subset([2, 20])
    assert [part.name(index) for index in range(2)] == [images.name(7), images.name(25)]
    assert part.labels == (images.labels[7], images.labels[25])
    assert pickle.loads(pickle.dumps(part)).name(1) == part.name(1)


def test_a_draw_is_the_head_of_an_order_sorted() -> None:
    assert draw(100, 7) == sorted(epoch_order(100, 0, 0)[:7].tolist())
    assert draw(100, 7, seed=3) == sorted(epoch_order(100, 3, 0)[:7].tolist())
    assert draw(100, 7) != draw(100, 7, seed=3)
    assert draw(5, 7) == [0, 1, 2, 3, 4]
    assert set(draw(100, 7)) < set(draw(100, 20))


# Shares


@pytest.mark.parametrize(
    ("part", "counts"), [(1.0, [1, 20, 10]), (0.5, [1, 10, 5]), (0.1, [1, 2, 1]), (1e-9, [1, 1, 1])]
)
def test_every_class_keeps_its_share(data: Path, part: float, counts: list[int]) -> None:
    assert share(open_labelled(data), part, seed=0).counts() == counts


def test_a_share_is_a_function_of_the_seed(data: Path) -> None:
    images = open_labelled(data)

    def names(part: float, seed: int) -> set[str]:
        kept = share(images, part, seed)
        return {kept.name(index) for index in range(len(kept))}

    assert names(0.3, 1) == names(0.3, 1) != names(0.3, 2)
    assert names(0.1, 1) < names(0.5, 1)  # more labels of the same draw, not others


def test_a_share_keeps_labels_and_images_together(data: Path) -> None:
    kept = share(open_labelled(data), 0.3, seed=3)
    for index, label in enumerate(kept.labels):
        assert kept.name(index).startswith(kept.classes[label])
        image = decode(data / "train" / kept.name(index), 1)
        assert torch.equal(kept.read(index, 1).pixels, image)
        assert kept.target(index) == label


def test_each_class_draws_its_own_share(tmp_path: Path) -> None:
    for name in "abcdef":
        write_pictures(tmp_path / "train" / name, *(f"{i:02d}.png" for i in range(20)))
    kept = share(open_labelled(tmp_path), 0.25, seed=0)
    files = [Path(kept.name(index)).name for index in range(len(kept))]
    assert len({tuple(files[5 * label : 5 * label + 5]) for label in range(6)}) == 6


@pytest.mark.parametrize("part", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_of_nothing_is_refused(data: Path, part: float) -> None:
    with pytest.raises(ValueError, match="label share"):
        share(open_labelled(data), part, seed=0)


def test_the_sample_set_has_classes_of_its_own() -> None:
    pytest.importorskip("skimage")
    train, val = open_splits("sample")
    assert isinstance(train, Labelled)
    assert train.classes == val.classes
    assert set(train.counts()) == {64}
    assert share(train, 0.25, seed=0).counts() == [16] * 16
