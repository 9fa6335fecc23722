import base64
from pathlib import Path

import pytest

from fcmae.report import pictures
from fcmae.report.pictures import read_pictures


def content(size: int = 4) -> bytes:
    """The shell of a WebP file: a RIFF header that is true to its length."""
    body = b"WEBP" + bytes(size)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def write(folder: Path, images: int, epochs: list[int], size: int = 4) -> None:
    for image in range(images):
        for name in ("input", "masked", *(f"epoch-{epoch:04d}" for epoch in epochs)):
            (folder / f"{name}-{image}.webp").write_bytes(content(size))


def test_no_folder_is_no_picture(tmp_path: Path) -> None:
    found = read_pictures(tmp_path / "reconstructions")
    assert found.strips == ()
    assert found.epochs == ()


def test_pictures_go_in_whole(tmp_path: Path) -> None:
    write(tmp_path, 1, [0])
    strip = read_pictures(tmp_path).strips[0]
    assert strip.true is not None
    head, data = strip.true.split(",")
    assert head == "data:image/webp;base64"
    assert base64.b64decode(data) == content()


def test_images_without_names_are_numbered_and_ordered_as_numbers(tmp_path: Path) -> None:
    write(tmp_path, 11, [0, 2])
    names = [strip.name for strip in read_pictures(tmp_path).strips]
    assert names == [f"image {image}" for image in range(11)]


@pytest.mark.parametrize("damage", [b"", content()[:-1], b"<svg onload=alert(1)>"])
def test_a_file_that_is_no_whole_webp_is_left_blank(tmp_path: Path, damage: bytes) -> None:
    write(tmp_path, 1, [0, 10_000])
    (tmp_path / "epoch-10000-0.webp").write_bytes(damage)
    found = read_pictures(tmp_path)
    assert found.epochs == (0, 10_000)
    assert found.strips[0].reconstructions[0] is not None
    assert found.strips[0].reconstructions[1] is None


def test_many_epochs_are_thinned_and_counted(tmp_path: Path) -> None:
    write(tmp_path, 1, list(range(0, 801, 25)))
    found = read_pictures(tmp_path)
    assert len(found.epochs) == pictures.MOST_EPOCHS
    assert (found.epochs[0], found.epochs[-1]) == (0, 800)
    assert found.epochs_left_out == 33 - pictures.MOST_EPOCHS


def test_large_pictures_stop_at_the_budget(tmp_path: Path) -> None:
    write(tmp_path, 4, [0], size=pictures.BUDGET // 6)  # three pictures an image: half the budget
    found = read_pictures(tmp_path)
    assert len(found.strips) == 1  # headers tip the second one over
    assert found.images_left_out == 3


def test_foreign_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, 1, [0])
    for name in ("input-x.webp", "epoch-last-0.webp", "input-0.webp.part"):
        (tmp_path / name).write_bytes(content())
    found = read_pictures(tmp_path)
    assert found.epochs == (0,)
    assert len(found.strips) == 1
