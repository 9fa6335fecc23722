from pathlib import Path

import pytest
import torch
from PIL import Image

from fcmae.images.sets import open_images
from fcmae.images.unreadable import Unreadable


def test_a_folder_without_classes(tmp_path: Path) -> None:
    for number, name in enumerate(["b/1.png", "a/2.png"]):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (3, 2), number).save(tmp_path / name)
    images = open_images(tmp_path)
    assert [images.name(index) for index in range(len(images))] == ["a/2.png", "b/1.png"]
    assert images.read(0, 3).shape == (3, 2, 3)
    assert images.read(0, 1).max() == 1
    assert images.labels is None
    assert images.classes == ()


def test_a_list_names_files_inside_and_outside_its_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "lists/a.png", tmp_path / "b.png"
    inside.parent.mkdir()
    Image.new("L", (1, 1), 1).save(inside)
    Image.new("L", (1, 1), 2).save(outside)
    (tmp_path / "lists/list.txt").write_text(f"a.png\n{outside}\nnone.png")
    images = open_images(str(tmp_path / "lists/list.txt"))
    assert [images.name(index) for index in range(3)] == ["a.png", outside.as_posix(), "none.png"]
    assert [images.read(index, 1).item() for index in range(2)] == [1, 2]
    with pytest.raises(Unreadable, match="missing"):
        images.read(2, 1)


def test_unknown_splits(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'val'"):
        open_images("sample", split="valid")
    with pytest.raises(ValueError, match="give the folder that holds it"):
        open_images(tmp_path, split="val")


def test_the_sample_set_is_opened_by_name() -> None:
    pytest.importorskip("skimage")
    train, val = open_images("sample"), open_images("sample", split="val")
    assert len(train) > len(val) > 0
    assert train.labels is not None
    assert train.read(5, 3).dtype == torch.uint8


def test_real_photographs(real_images: Path) -> None:
    images = open_images(real_images / "val")
    assert len(images) == 800
    assert images.name(0).count("/") == 1
    assert min(images.read(0, 3).shape[1:]) == 160
