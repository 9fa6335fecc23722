from pathlib import Path

import numpy as np
import pytest
import torch

from fcmae.images.decode import decode
from fcmae.images.unreadable import Unreadable

tifffile = pytest.importorskip("tifffile")

RANDOM = np.random.default_rng(0)
PLANAR = RANDOM.integers(0, 65536, (13, 9, 14), dtype=np.uint16)  # [C, H, W]
EXPECTED = torch.from_numpy(PLANAR.astype(np.float32)) / 65535


def test_pages_are_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANAR, photometric="minisblack")
    assert torch.equal(decode(tmp_path / "a.tif", 13), EXPECTED)


def test_planar_samples(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANAR, photometric="minisblack", planarconfig="separate")
    assert torch.equal(decode(tmp_path / "a.tif", 13), EXPECTED)


def test_interleaved_samples(tmp_path: Path) -> None:
    interleaved = np.moveaxis(PLANAR, 0, -1)
    tifffile.imwrite(
        tmp_path / "a.tiff", interleaved, photometric="minisblack", planarconfig="contig"
    )
    assert torch.equal(decode(tmp_path / "a.tiff", 13), EXPECTED)


def test_the_metadata_decide_where_shapes_are_ambiguous(tmp_path: Path) -> None:
    cube = RANDOM.integers(0, 256, (5, 5, 5), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", cube, photometric="minisblack", planarconfig="separate")
    tifffile.imwrite(tmp_path / "b.tif", cube, photometric="minisblack", planarconfig="contig")
    assert torch.equal(decode(tmp_path / "a.tif", 5), torch.from_numpy(cube))
    assert torch.equal(decode(tmp_path / "b.tif", 5), torch.from_numpy(np.moveaxis(cube, -1, 0)))


@pytest.mark.parametrize("dialect", ["imagej", "ome"])
def test_named_channel_axis(tmp_path: Path, dialect: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANAR, metadata={"axes": "CYX"}, **{dialect: True})
    assert torch.equal(decode(tmp_path / "a.tif", 13), EXPECTED)


def test_a_named_depth_axis_is_not_taken_for_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANAR, metadata={"axes": "ZYX"}, imagej=True)
    with pytest.raises(Unreadable, match="axes ZYX"):
        decode(tmp_path / "a.tif", 13)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_byte_orders(tmp_path: Path, byteorder: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANAR[0], byteorder=byteorder)
    assert torch.equal(decode(tmp_path / "a.tif", 1), EXPECTED[:1])


def test_colours_of_16_bits_keep_them(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(PLANAR[:3], 0, -1), photometric="rgb")
    assert torch.equal(decode(tmp_path / "a.tif", 3), EXPECTED[:3])


def test_alpha_of_16_bits_is_composited(tmp_path: Path) -> None:
    rgba = np.moveaxis(PLANAR[:4], 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    composited = 1 - (1 - EXPECTED[:3]) * EXPECTED[3:4]
    torch.testing.assert_close(decode(tmp_path / "a.tif", 3), composited)
    assert torch.equal(decode(tmp_path / "a.tif", 4), EXPECTED[:4])


def test_colours_that_were_multiplied_by_alpha_are_not_multiplied_twice(tmp_path: Path) -> None:
    colours, alpha = EXPECTED[:3], EXPECTED[3:4].clone()
    alpha[:, 0, :2] = 0
    stored = torch.cat([colours * alpha, alpha]).mul(65535).round()
    rgba = np.moveaxis(stored.numpy().astype(np.uint16), 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["assocalpha"])
    over_white = colours * alpha + (1 - alpha)
    torch.testing.assert_close(decode(tmp_path / "a.tif", 3), over_white, rtol=0, atol=2e-5)
    kept = decode(tmp_path / "a.tif", 4)
    assert torch.equal(kept[3], stored[3] / 65535)
    solid = (alpha > 0.1).expand_as(colours)  # below, there is little left to restore
    torch.testing.assert_close(kept[:3][solid], colours[solid], rtol=0, atol=2e-4)


@pytest.mark.parametrize("bits", [8, 16])
def test_zero_may_be_white(tmp_path: Path, bits: int) -> None:
    grey = RANDOM.integers(0, 1 << bits, (9, 14), dtype=f"uint{bits}")
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "b.tif", (1 << bits) - 1 - grey, photometric="minisblack")
    assert torch.equal(decode(tmp_path / "a.tif", 1), decode(tmp_path / "b.tif", 1))


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_a_fourth_band_is_not_taken_for_alpha(tmp_path: Path, photometric: str) -> None:
    bands = RANDOM.integers(0, 256, (6, 8, 4), dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        bands,
        photometric=photometric,
        planarconfig="contig",
        extrasamples=["unspecified"] * (1 if photometric == "rgb" else 3),
    )
    assert torch.equal(decode(tmp_path / "a.tif", 4), torch.from_numpy(np.moveaxis(bands, -1, 0)))
    with pytest.raises(Unreadable, match="4 channels, 3 wanted"):
        decode(tmp_path / "a.tif", 3)


def test_orientation_is_applied(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        PLANAR,
        photometric="minisblack",
        planarconfig="separate",
        extratags=[(274, "H", 1, 6, True)],
    )
    assert torch.equal(decode(tmp_path / "a.tif", 13), EXPECTED.rot90(-1, dims=(1, 2)))


def test_several_pages_are_not_one_image(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANAR[:5], photometric="minisblack")
    with pytest.raises(Unreadable, match=r"\(5, 9, 14\)"):
        decode(tmp_path / "a.tif", 3)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_unreadable_and_silent(
    tmp_path: Path, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANAR, photometric="minisblack", compression="zlib")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Unreadable):
        decode(path, 13)
    assert capfd.readouterr() == ("", "")


def test_without_tifffile_the_reason_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANAR, photometric="minisblack")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(Unreadable, match=r"pip install 'fcmae\[tiff\]'"):
        decode(tmp_path / "a.tif", 13)
