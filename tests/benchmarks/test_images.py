import json
import statistics
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from fcmae.benchmarks.images import Readers
from fcmae.benchmarks.photographs import make_photographs
from fcmae.commands.benchmark import images as benchmark_images
from fcmae.images import transforms
from fcmae.images.jpeg import import_simplejpeg


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three, one of which lies on its side, and what is no JPEG."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = make_photographs(folder, 3, 0.12)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(paths[1]) as image:
        image.save(paths[1], exif=exif, quality=90)
    Image.new("L", (9, 9)).save(folder / "0.png")
    return folder


def test_rows_are_shown_returned_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads, file = torch.get_num_threads(), tmp_path / "benchmark.json"
    rows = benchmark_images(megapixels=(0.02, 0.1), images=2, image_size=40, repeats=3, json=file)
    assert torch.get_num_threads() == threads
    assert [round(row["megapixels"], 2) for row in rows] == [0.02, 0.1]
    for row in rows:
        seconds = row["seconds"]
        assert {name: len(values) for name, values in seconds.items()} == {
            "pillow": 3,
            "exact": 3,
            "fast": 3,
        }
        pairs = [slow / fast for slow, fast in zip(seconds["pillow"], seconds["fast"], strict=True)]
        assert row["speedup"]["fast / pillow"] == statistics.median(pairs)
        assert row["speedup_range"]["fast / pillow"] == [min(pairs), max(pairs)]
        assert row["images_per_second"]["exact"] == 2 / statistics.median(seconds["exact"])
        assert row["pixel_error"]["exact"] == {"mean": 0, "max": 0}
        assert row["bits_per_pixel"] > 1
        assert row["decoder"] == "simplejpeg"
    assert rows[1]["pixel_error"]["fast"]["mean"] > 0  # shrunk
    written = json.loads(file.read_text())
    assert written["rows"] == rows
    assert {"machine", "versions", "command", "date"} < set(written)
    screen = capsys.readouterr().out
    assert "0.02 megapixels" in screen
    assert "Wrote" in screen


def test_own_photographs_upright_or_not(photographs: Path) -> None:
    (row,) = benchmark_images(data=photographs, images=9, image_size=32, repeats=1)
    assert row["images"] == 3
    assert row["photographs"] == str(photographs)
    assert 0 < row["pixel_error"]["fast"]["mean"] < 1
    assert row["pixel_error"]["pillow"]["mean"] < 0.2


def test_without_simplejpeg_it_says_so_and_times_pillow(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    import_simplejpeg.cache_clear()
    try:
        (row,) = benchmark_images(data=photographs, image_size=32, repeats=1)
    finally:
        import_simplejpeg.cache_clear()
    assert row["decoder"] == "Pillow"
    assert row["pixel_error"]["exact"] == {"mean": 0, "max": 0}
    assert 0 < row["pixel_error"]["fast"]["mean"] < 1
    (record,) = caplog.records
    assert "simplejpeg cannot be imported" in record.getMessage()


def test_wrong_windows_are_not_timed(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = transforms.resample

    def shifted(image: Tensor, rows: tuple[float, float], *others: object) -> Tensor:
        return right(image, (rows[0] / 2, rows[1] / 2), *others)  # type: ignore[arg-type]

    monkeypatch.setattr(transforms, "resample", shifted)
    with pytest.raises(RuntimeError, match=r"fast: its crops differ .* not timed"):
        benchmark_images(data=photographs, image_size=32, repeats=1)


def test_exact_must_be_exact_to_the_bit(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = transforms._as_float
    monkeypatch.setattr(transforms, "_as_float", lambda image: right(image) + 1e-6)
    readers = Readers(sorted(photographs.glob("*.jpg")), 32)
    with pytest.raises(RuntimeError, match="exact: its crops differ"):
        readers.require_agreement()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    make_photographs(tmp_path, 2, 0.02)
    (tmp_path / "001.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"001\.jpg"):
        benchmark_images(data=tmp_path, repeats=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"images": 0}, "images: 0"),
        ({"repeats": -1}, "repeats: -1"),
        ({"image_size": 0}, "image_size: 0"),
        ({"megapixels": (3.0, 0.0)}, "megapixels: 0 "),
        ({"data": Path("no/such/folder")}, "data 'no/such/folder' does not exist"),
        ({"json": Path("no/such/folder/file.json")}, "json: the folder"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        benchmark_images(**arguments)  # type: ignore[arg-type]


def test_a_folder_without_jpegs_is_refused(tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="holds no JPEG"):
        benchmark_images(data=tmp_path)
