"""What libjpeg-turbo gives by way of simplejpeg is what Pillow gives, whole and shrunk."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from fcmae.images.decode import decode
from fcmae.images.folders import FileSource, list_images
from fcmae.images.jpeg import FACTORS, import_simplejpeg, read_jpeg
from fcmae.images.pixels import Decoded, Shrinkage, Shrunk
from fcmae.images.sets import EncodedSet
from fcmae.images.unreadable import Unreadable

Y, X = np.mgrid[:97, :131]
WAVES = [127 + 120 * np.sin(X / (5 + c) + Y / (9 - c)) for c in range(3)]
PICTURE = Image.fromarray(np.stack(WAVES, -1).astype(np.uint8))


def save(path: Path, image: Image.Image = PICTURE, **options: object) -> Path:
    image.save(path, "JPEG", **options)
    return path


def decode_shrunk(path: Path, channels: int, shrinkage: Shrinkage) -> Decoded:
    return EncodedSet(FileSource([path], Path())).read(0, channels, shrinkage)


def by_pillow(path: Path, factor: int) -> np.ndarray:
    with Image.open(path) as image:
        if factor > 1:
            image.draft(None, (image.width // factor, image.height // factor))
        values = np.array(image)
    return values if values.ndim == 3 else values[..., None]


@contextmanager
def without_simplejpeg() -> Iterator[pytest.MonkeyPatch]:
    """As where it is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "simplejpeg", None)
        import_simplejpeg.cache_clear()
        try:
            yield patch
        finally:
            import_simplejpeg.cache_clear()


def read_both_ways(path: Path, factor: int) -> tuple[Tensor, Shrunk | None]:
    """What is read with simplejpeg, once it is known that without it the same is read."""
    assert import_simplejpeg() is simplejpeg
    image, shrunk = decode_shrunk(path, 3, lambda *_: factor)
    with without_simplejpeg():
        alone, shrunk_alone = decode_shrunk(path, 3, lambda *_: factor)
    assert shrunk_alone == shrunk
    assert torch.equal(alone, image)
    return image, shrunk


every_factor = pytest.mark.parametrize("factor", FACTORS)
every_kind = pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2, "quality": 30},
        {"progressive": True},
        {"keep_rgb": True},
        {"optimize": True, "restart_marker_rows": 2},
    ],
)
every_mode = pytest.mark.parametrize("mode", ["RGB", "L"])


@every_factor
@every_kind
@every_mode
def test_pixels_are_those_of_pillow(
    tmp_path: Path, factor: int, options: dict[str, object], mode: str
) -> None:
    path = save(tmp_path / "a.jpg", PICTURE.convert(mode), **options)
    with path.open("rb") as file, Image.open(file) as header:
        pixels = read_jpeg(file, header, 1, lambda *_: factor)
    assert pixels is not None
    np.testing.assert_array_equal(pixels.values, by_pillow(path, factor))


def test_real_photographs_are_those_of_pillow(real_images: Path) -> None:
    for path in list_images(real_images / "val")[::40]:
        for factor in FACTORS:
            with path.open("rb") as file, Image.open(file) as header:
                pixels = read_jpeg(file, header, 1, lambda *_, factor=factor: factor)
            assert pixels is not None
            np.testing.assert_array_equal(pixels.values, by_pillow(path, factor))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (9, 5), (16, 8)])
def test_tiny_pictures_are_whole_whatever_is_allowed(tmp_path: Path, size: tuple[int, int]) -> None:
    path = save(tmp_path / "a.jpg", PICTURE.resize(size))
    assert decode(path, 3).shape == (3, size[1], size[0])
    image, shrunk = decode_shrunk(path, 3, lambda *_: 2)
    if min(size) < 8:
        assert shrunk is None
        assert torch.equal(image, decode(path, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_every_orientation_is_upright_and_knows_its_edges(
    tmp_path: Path, orientation: int, factor: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    whole = decode(path, 3).float()
    asked = []
    image, shrunk = decode_shrunk(path, 3, lambda *size: asked.append(size) or factor)
    assert shrunk is not None
    assert asked == [tuple(whole.shape[1:])] == [shrunk[1:3]]
    # Means of the whole pixels that each pixel stands for, leaving out those at the edges.
    padded = torch.zeros(3, *(factor * side for side in image.shape[1:]))
    rows, columns = whole.shape[1:]
    padded[:, shrunk.top : shrunk.top + rows, shrunk.left : shrunk.left + columns] = whole
    means = torch.nn.functional.avg_pool2d(padded, factor)[:, 1:-1, 1:-1]
    assert (means - image[:, 1:-1, 1:-1]).abs().mean() < 1


def test_what_is_no_plain_jpeg_comes_whole(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    save(tmp_path / "b.jpg", PICTURE.convert("CMYK"))
    np.save(tmp_path / "c.npy", np.asarray(PICTURE))
    for path in sorted(tmp_path.iterdir()):
        image, shrunk = decode_shrunk(path, 3, lambda *_: 2)
        assert shrunk is None
        assert torch.equal(image, decode(path, 3))


def test_channels_follow_the_same_rule(tmp_path: Path) -> None:
    image, shrunk = decode_shrunk(save(tmp_path / "a.jpg"), 1, lambda *_: 2)
    assert (image.shape, shrunk) == ((1, 49, 66), Shrunk(2, 97, 131))
    grey, _ = decode_shrunk(save(tmp_path / "b.jpg", PICTURE.convert("L")), 3, lambda *_: 4)
    assert grey.shape == (3, 25, 33)


def test_several_images_in_one_file_give_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    PICTURE.save(path, "MPO", save_all=True, append_images=[PICTURE.rotate(180)])
    with Image.open(path) as image:
        expected = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert torch.equal(decode(path, 3), expected)


def test_damage_that_pillow_overlooks_is_still_overlooked(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "JPEG", restart_marker_rows=1)
    data = buffer.getvalue()
    marker = data.rindex(b"\xff\xd3")
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:marker] + b"\xff\xd5" + data[marker + 2 :])
    with pytest.raises(ValueError, match="marker"):  # decoded, but with a warning
        simplejpeg.decode_jpeg(path.read_bytes())
    for factor in FACTORS:
        expected = torch.from_numpy(by_pillow(path, factor)).permute(2, 0, 1)
        image, shrunk = read_both_ways(path, factor)
        assert torch.equal(image, expected)
        assert shrunk == (None if factor == 1 else Shrunk(factor, 97, 131))


# Without simplejpeg


@every_factor
@every_kind
@every_mode
def test_pixels_are_the_same_without_simplejpeg(
    tmp_path: Path, factor: int, options: dict[str, object], mode: str
) -> None:
    path = save(tmp_path / "a.jpg", PICTURE.convert(mode), **options)
    _, shrunk = read_both_ways(path, factor)
    assert shrunk == (None if factor == 1 else Shrunk(factor, 97, 131))


@every_factor
def test_edges_are_the_same_without_simplejpeg(tmp_path: Path, factor: int) -> None:
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        read_both_ways(save(tmp_path / "a.jpg", exif=exif), factor)
    for width in (2, 7, 8, 9, 15, 16, 17, 31, 33):
        for height in (3, 8, 13, 23, 24, 25):
            read_both_ways(save(tmp_path / "a.jpg", PICTURE.resize((width, height))), factor)


@every_factor
def test_unusual_files_are_the_same_without_simplejpeg(tmp_path: Path, factor: int) -> None:
    several = {"save_all": True, "append_images": [PICTURE.rotate(180)]}
    PICTURE.save(tmp_path / "a.jpg", "MPO", **several)
    _, shrunk = read_both_ways(tmp_path / "a.jpg", factor)
    assert shrunk == (None if factor == 1 else Shrunk(factor, 97, 131))
    assert read_both_ways(save(tmp_path / "b.jpg", PICTURE.convert("CMYK")), factor)[1] is None


@every_factor
def test_lossless_jpegs_are_read_whole(tmp_path: Path, factor: int) -> None:
    codecs = pytest.importorskip("imagecodecs")
    path = tmp_path / "a.jpg"
    path.write_bytes(codecs.jpeg_encode(np.array(PICTURE), lossless=True))
    image, shrunk = read_both_ways(path, factor)  # simplejpeg would crash if asked to shrink it
    assert shrunk is None
    assert torch.equal(image, torch.from_numpy(np.array(PICTURE)).permute(2, 0, 1))


def test_real_photographs_are_the_same_without_simplejpeg(real_images: Path) -> None:
    for path in list_images(real_images / "val")[::40]:
        for factor in FACTORS:
            read_both_ways(path, factor)


@every_factor
def test_damage_has_its_own_reason_without_simplejpeg(tmp_path: Path, factor: int) -> None:
    path = save(tmp_path / "a.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unreadable) as installed:
        decode_shrunk(path, 3, lambda *_: factor)
    with without_simplejpeg(), pytest.raises(Unreadable) as missing:
        decode_shrunk(path, 3, lambda *_: factor)
    assert missing.value.reason == installed.value.reason
    assert "truncated" in missing.value.reason


def test_what_is_missing_is_said_once_with_its_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [save(tmp_path / f"{number}.jpg") for number in range(3)]
    with without_simplejpeg():
        for path in paths:
            decode(path, 3)
    (record,) = caplog.records
    words = ("simplejpeg cannot be imported", "Pillow reads", "slower", "pip install simplejpeg")
    assert all(part in record.getMessage() for part in words)


@pytest.mark.parametrize("error", [ImportError, ValueError])
def test_a_broken_simplejpeg_is_as_good_as_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    times = tmp_path / "times.txt"
    (folder / "simplejpeg.py").write_text(
        f"with open({str(times)!r}, 'a') as file:\n    file.write('.')\n"
        f"raise {error.__name__}('libturbo.so is lost\\nHere')"
    )
    path = save(tmp_path / "a.jpg")
    expected = decode(path, 3)
    with without_simplejpeg() as patch:
        patch.syspath_prepend(folder)
        patch.delitem(sys.modules, "simplejpeg")
        assert torch.equal(decode(path, 3), expected)
        assert torch.equal(decode(path, 3), expected)
    (record,) = caplog.records
    assert "(libturbo.so is lost)" in record.getMessage()
    assert times.read_text() == "."  # tried once, not for each file


def test_of_torchruns_processes_only_the_first_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", "1")
    with without_simplejpeg():
        decode(save(tmp_path / "a.jpg"), 3)
    assert not caplog.records
