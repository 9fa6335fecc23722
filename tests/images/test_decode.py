import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from fcmae.images.decode import decode
from fcmae.images.unreadable import Unreadable

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (11, 7, 3), dtype=np.uint8)  # [H, W, C]


def chw(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 0)))


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def reason(path: Path, channels: int = 3) -> str:
    with pytest.raises(Unreadable) as caught:
        decode(path, channels)
    assert caught.value.path == path
    return caught.value.reason


@pytest.mark.parametrize("name", ["a.png", "a.BMP", "a.tif", "a.TIFF", "a.webp"])
def test_lossless_formats_give_the_pixels(tmp_path: Path, name: str) -> None:
    path = save(
        tmp_path / name, Image.fromarray(PHOTO), **({"lossless": True} if "webp" in name else {})
    )
    image = decode(path, 3)
    assert image.dtype == torch.uint8
    assert torch.equal(image, chw(PHOTO))


def test_jpeg_gives_what_pillow_gives(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpeg", Image.fromarray(PHOTO))
    assert torch.equal(decode(path, 3), chw(np.array(Image.open(path))))


def test_the_content_counts_not_the_extension(tmp_path: Path) -> None:
    path = save(tmp_path / "really_a_png.jpg", Image.fromarray(PHOTO), format="PNG")
    assert torch.equal(decode(path, 3), chw(PHOTO))


def test_grey(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(PHOTO[..., 0]))
    assert torch.equal(decode(path, 1), chw(PHOTO[..., :1]))
    assert torch.equal(decode(path, 3), chw(PHOTO[..., :1]).expand(3, -1, -1))


def test_black_and_white(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(PHOTO[..., 0] > 128))
    assert torch.equal(decode(path, 1), chw((PHOTO[..., :1] > 128).astype(np.uint8) * 255))


def test_palette_becomes_rgb(tmp_path: Path) -> None:
    palette = Image.fromarray(PHOTO).quantize(5)
    path = save(tmp_path / "a.png", palette)
    assert torch.equal(decode(path, 3), chw(np.array(palette.convert("RGB"))))


def test_transparent_palette_is_composited_over_white(tmp_path: Path) -> None:
    palette = Image.new("P", (3, 2), 0)
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    path = save(tmp_path / "a.png", palette, transparency=0)
    image = decode(path, 3)
    assert image[:, 0, 0].tolist() == [255, 255, 255]
    assert image[:, 0, 1].tolist() == [200, 0, 0]


def test_transparent_colour_is_composited_over_white(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", (2, 1), (1, 2, 3)), transparency=(1, 2, 3))
    assert decode(path, 3).unique().tolist() == [255]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(PHOTO).convert("CMYK"))
    assert torch.equal(decode(path, 3), chw(np.array(Image.open(path).convert("RGB"))))


def test_rgba_is_kept_for_four_channels_and_composited_for_three(tmp_path: Path) -> None:
    rgba = np.dstack([PHOTO, PHOTO[..., 1]])
    path = save(tmp_path / "a.png", Image.fromarray(rgba))
    white = Image.new("RGBA", (7, 11), "white")
    white.alpha_composite(Image.fromarray(rgba))
    expected = chw(np.array(white.convert("RGB")))
    assert torch.equal(decode(path, 4), chw(rgba))
    assert (decode(path, 3).int() - expected.int()).abs().max() <= 1


def test_too_few_channels_name_both_counts(tmp_path: Path) -> None:
    assert reason(save(tmp_path / "a.png", Image.fromarray(PHOTO)), 13) == "3 channels, 13 wanted"


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 1, 65535], [256, 30000, 65534]], dtype=np.uint16)
    image = decode(save(tmp_path / name, Image.fromarray(values)), 1)
    assert image.dtype == torch.float32
    assert torch.equal(image[0], torch.from_numpy(values.astype(np.float32)) / 65535)


def test_float_tiff(tmp_path: Path) -> None:
    values = np.array([[0, 0.25, 1]], dtype=np.float32)
    assert torch.equal(
        decode(save(tmp_path / "a.tif", Image.fromarray(values)), 1)[0], torch.from_numpy(values)
    )
    assert "0..1" in reason(save(tmp_path / "b.tif", Image.fromarray(values * 300)), 1)


def test_32_bit_integers_have_no_range(tmp_path: Path) -> None:
    values = np.array([[0, 100000]], dtype=np.int32)
    assert "32-bit" in reason(save(tmp_path / "a.tif", Image.fromarray(values)), 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_orientation_is_applied_as_pillow_does(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / name, Image.fromarray(PHOTO), exif=exif)
    expected = chw(np.array(ImageOps.exif_transpose(Image.open(path))))
    assert expected.shape == ((3, 11, 7) if orientation < 5 else (3, 7, 11))
    assert torch.equal(decode(path, 3), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("rows", "columns"), [(1, 7), (11, 1), (1, 1)])
def test_a_line_of_one_pixel_is_turned_too(
    tmp_path: Path, orientation: int, rows: int, columns: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", Image.fromarray(PHOTO[:rows, :columns]), exif=exif)
    expected = chw(np.array(ImageOps.exif_transpose(Image.open(path))))
    assert torch.equal(decode(path, 3), expected)


def test_corrupt_exif_is_ignored(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(
        tmp_path / "a.jpg", Image.fromarray(PHOTO), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12"
    )
    assert decode(path, 3).shape == (3, 11, 7)
    assert capfd.readouterr() == ("", "")


def test_a_single_pixel(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", (1, 1), (1, 2, 3)))
    assert decode(path, 3).flatten().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "size", [(8192, 6144), (10000, 9000)]
)  # the second is above Pillow's warning
def test_large_images(tmp_path: Path, size: tuple[int, int]) -> None:
    path = save(tmp_path / "a.png", Image.new("L", size, 7), compress_level=1)
    image = decode(path, 1)
    assert image.shape == (1, size[1], size[0])
    assert image[0, -1, -1] == 7


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 50000, 50000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    assert "exceeds limit" in reason(path)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_unreadable(tmp_path: Path, kind: str, share: float) -> None:
    noise = Image.fromarray(RANDOM.integers(0, 256, (97, 130, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, format=kind)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(buffer.getvalue()[: int(share * buffer.tell())])
    assert reason(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.npy"])
def test_what_is_no_image_has_a_short_reason(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert reason(path) == "missing"
    path.write_bytes(b"")
    assert reason(path) == "empty file"
    for content in (b"<html>404 Not Found</html>", b"II*\0garbage", b"\0" * 4096):
        path.write_bytes(content)
        text = reason(path)
        assert text
        assert "\n" not in text
    path.unlink()
    path.mkdir()
    assert reason(path) == "not a file"
    assert capfd.readouterr() == ("", "")


def test_postscript_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert reason(path).startswith("not a JPEG")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.float16, np.float32, ">f8"])
def test_npy_types(tmp_path: Path, dtype: object) -> None:
    kind = np.dtype(dtype)
    largest = 1 if kind.kind == "f" else np.iinfo(kind).max
    values = (RANDOM.random((5, 4, 13)) * largest).astype(kind)
    np.save(tmp_path / "a.npy", values)
    image = decode(tmp_path / "a.npy", 13)
    assert image.dtype == (torch.uint8 if kind == np.uint8 else torch.float32)
    scale = 1 if kind.kind == "f" or kind == np.uint8 else 65535
    np.testing.assert_allclose(
        image.permute(1, 2, 0).numpy(), values.astype(np.float64) / scale, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((4, 6), 1, (1, 4, 6)),
        ((4, 6), 3, (3, 4, 6)),
        ((4, 6, 13), 13, (13, 4, 6)),
        ((13, 4, 6), 13, (13, 4, 6)),
        ((13, 6, 13), 13, (13, 13, 6)),  # ambiguous: the last dimension is the channels'
        ((1, 4, 6), 1, (1, 4, 6)),
        ((4, 6, 3), 1, (1, 4, 6)),
    ],
)
def test_npy_layouts(
    tmp_path: Path, shape: tuple[int, ...], channels: int, expected: tuple[int, ...]
) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, dtype=np.uint8))
    assert decode(tmp_path / "a.npy", channels).shape == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((2, 2), np.nan), "0..1"),
        (np.full((2, 2), 1.5), "0..1"),
        (np.full((2, 2), -0.1), "0..1"),
        (np.zeros((2, 2), dtype=np.int64), "int64"),
        (np.zeros((2, 2), dtype=bool), "bool"),
        (np.zeros((2, 2, 2, 2)), "neither"),
        (np.zeros((0, 2)), "no pixels"),
        (np.zeros((2, 2, 5)), "5 channels, 3 wanted"),
        (np.array([[{}]]), "object"),
    ],
)
def test_npy_that_is_no_image(tmp_path: Path, values: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    assert words.lower() in reason(tmp_path / "a.npy").lower()


def test_npy_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
        )
    assert reason(tmp_path / "a.npy")


def test_warnings_of_decoding_do_not_leak(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("L", (9500, 9500)), compress_level=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(path, 1)
    assert caught == []
