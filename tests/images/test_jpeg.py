"""What libjpeg-turbo gives by way of simplejpeg is what Pillow gives, whole and shrunk."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fcmae.images.decode import decode, decode_shrunk
from fcmae.images.jpeg import FACTORS, read_jpeg
from fcmae.images.pixels import Shrunk

Y, X = np.mgrid[:97, :131]
WAVES = [127 + 120 * np.sin(X / (5 + c) + Y / (9 - c)) for c in range(3)]
PICTURE = Image.fromarray(np.stack(WAVES, -1).astype(np.uint8))


def save(path: Path, image: Image.Image = PICTURE, **options: object) -> Path:
    image.save(path, "JPEG", **options)
    return path


def by_pillow(path: Path, factor: int) -> np.ndarray:
    with Image.open(path) as image:
        if factor > 1:
            image.draft(None, (image.width // factor, image.height // factor))
        values = np.array(image)
    return values if values.ndim == 3 else values[..., None]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
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
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_those_of_pillow(
    tmp_path: Path, factor: int, options: dict[str, object], mode: str
) -> None:
    path = save(tmp_path / "a.jpg", PICTURE.convert(mode), **options)
    with Image.open(path) as header:
        pixels = read_jpeg(path, header, 1, lambda *_: factor)
    assert pixels is not None
    np.testing.assert_array_equal(pixels.values, by_pillow(path, factor))


def test_real_photographs_are_those_of_pillow(real_images: Path) -> None:
    for path in sorted((real_images / "val").rglob("*.JPEG"))[::40]:
        for factor in FACTORS:
            with Image.open(path) as header:
                pixels = read_jpeg(path, header, 1, lambda *_, factor=factor: factor)
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
    with Image.open(path) as header:
        assert read_jpeg(path, header, 1, lambda *_: 1) is None  # decoded, but with a warning
    expected = torch.from_numpy(by_pillow(path, 1)).permute(2, 0, 1)
    assert torch.equal(decode(path, 3), expected)
    image, shrunk = decode_shrunk(path, 3, lambda *_: 2)
    assert shrunk is None
    assert torch.equal(image, expected)
