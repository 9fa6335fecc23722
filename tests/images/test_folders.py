import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_pictures import write_pictures

from fcmae.images.folders import (
    list_images,
    open_classes,
    open_images,
    open_labelled,
    open_splits,
)
from fcmae.images.sets import Labelled
from fcmae.images.unreadable import Unreadable


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def listed(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_images(folder)]


def test_flat_and_nested_folders_are_sorted_by_path(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.png", "b.jpg", "b/10.JPEG", "a/deep/er/x.NPY", "b-c/1.tif", "Z.webp")
    names = listed(tmp_path)
    assert names == sorted(names)
    assert set(names) == {"b/2.png", "b.jpg", "b/10.JPEG", "a/deep/er/x.NPY", "b-c/1.tif", "Z.webp"}


def test_every_extension_in_any_case(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpeg", "c.png", "d.webp", "e.bmp", "f.tif", "g.tiff", "h.npy", "i.JpG"]
    touch(tmp_path, *names, "notes.txt", "model.pt", "jpg")
    assert listed(tmp_path) == names


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, ".ipynb_checkpoints/a.jpg", "._b.jpg", ".DS_Store", "sub/.hidden.png", "c.jpg")
    assert listed(tmp_path) == ["c.jpg"]


def test_a_folder_that_is_itself_hidden_is_read(tmp_path: Path) -> None:
    touch(tmp_path, ".cache/a.jpg")
    assert listed(tmp_path / ".cache") == ["a.jpg"]


def test_links_are_followed_and_cycles_end(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpg", "data/b.jpg")
    (tmp_path / "data/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "data")
    assert listed(tmp_path / "data") == ["b.jpg", "link/a.jpg"]


def test_a_text_file_may_begin_with_the_mark_of_utf_8(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("été.png", encoding="utf-8-sig")
    assert list_images(tmp_path / "list.txt") == [tmp_path / "été.png"]


def test_a_text_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("été.png", encoding="latin-1")
    with pytest.raises(ValueError, match=r"list\.txt' is not UTF-8 text .*byte 0.*: save it as"):
        list_images(tmp_path / "list.txt")


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(ValueError, match=r"locked' cannot be read \(Permission denied\)"):
        list_images(tmp_path)


def test_text_file_keeps_its_order(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(
        "# mine\nz/b.jpg\n\n  a.png \n/else/where.tif\nmissing.jpg\n"
    )
    assert list_images(tmp_path / "list.txt") == [
        tmp_path / "z/b.jpg",
        tmp_path / "a.png",
        Path("/else/where.tif"),
        tmp_path / "missing.jpg",
    ]


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        list_images(tmp_path / "nowhere")
    touch(tmp_path, "empty/readme.md", "empty/a.gif", "empty/b.gif", "one.jpg", "none.txt")
    with pytest.raises(ValueError, match=r"\.jpg \.jpeg .*found: 2 \.gif, 1 \.md"):
        list_images(tmp_path / "empty")
    with pytest.raises(ValueError, match="is a file: give a folder"):
        list_images(tmp_path / "one.jpg")
    with pytest.raises(ValueError, match="names no image"):
        list_images(tmp_path / "none.txt")


# Opened as image sets


def test_a_folder_without_classes(tmp_path: Path) -> None:
    for number, name in enumerate(["b/1.png", "a/2.png"]):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (3, 2), number).save(tmp_path / name)
    images = open_images(tmp_path)
    assert [images.name(index) for index in range(len(images))] == ["a/2.png", "b/1.png"]
    assert images.read(0, 3).pixels.shape == (3, 2, 3)
    assert images.read(0, 1).pixels.max() == 1
    assert images.target(0) is None


def test_a_list_names_files_inside_and_outside_its_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "lists/a.png", tmp_path / "b.png"
    inside.parent.mkdir()
    Image.new("L", (1, 1), 1).save(inside)
    Image.new("L", (1, 1), 2).save(outside)
    (tmp_path / "lists/list.txt").write_text(f"a.png\n{outside}\nnone.png")
    images = open_images(str(tmp_path / "lists/list.txt"))
    assert [images.name(index) for index in range(3)] == ["a.png", outside.as_posix(), "none.png"]
    assert [images.read(index, 1).pixels.item() for index in range(2)] == [1, 2]
    with pytest.raises(Unreadable, match="missing"):
        images.read(2, 1)


def test_unknown_splits(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'val'"):
        open_labelled("sample", split="valid")
    with pytest.raises(ValueError, match="did you mean 'val'"):
        open_labelled(tmp_path, split="valid")


def test_the_sample_set_is_opened_by_name() -> None:
    pytest.importorskip("skimage")
    train, val = open_images("sample"), open_labelled("sample", "val")
    assert len(train) > len(val) > 0
    assert isinstance(train, Labelled)
    assert train.read(5, 3).pixels.dtype == torch.uint8


def test_real_photographs(real_images: Path) -> None:
    images = open_images(real_images / "val")
    assert len(images) == 800
    assert images.name(0).count("/") == 1
    assert min(images.read(0, 3).size) == 160


# With classes


def test_classes_are_the_sorted_folders(data: Path) -> None:
    images = open_labelled(data)
    assert images.classes == ("ant", "cat", "dog")
    assert images.counts() == [1, 20, 10]
    assert len(images) == len(images.labels) == 31
    for index, label in enumerate(images.labels):
        assert images.name(index).startswith(images.classes[label] + "/")
        assert images.target(index) == label
    assert images.read(0, 1).pixels.shape == (1, 2, 3)


def test_both_splits_have_the_same_classes(data: Path) -> None:
    train, val = open_splits(data)
    assert train.classes == val.classes
    assert len(val) == 3


@pytest.mark.parametrize("lacks", ["train", "val"])
def test_a_class_that_one_split_lacks_is_named(data: Path, lacks: str) -> None:
    other = {"train": "val", "val": "train"}[lacks]
    write_pictures(data / other / "zebra", "z.png")
    with pytest.raises(ValueError, match=rf"{lacks} lacks 1 of the classes: zebra; both"):
        open_splits(data)


def test_a_missing_split_says_where_images_should_lie(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no folder val: .*val/CLASS"):
        open_labelled(tmp_path, "val")
    with pytest.raises(ValueError, match=rf"{tmp_path}/val/CLASS; give {tmp_path}$"):
        open_labelled(tmp_path / "train", "val")
    with pytest.raises(ValueError, match="did you mean 'train'"):
        open_labelled(tmp_path, "trian")


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", "a.png", "b.png")
    with pytest.raises(ValueError, match="no folder of a class"):
        open_labelled(tmp_path)
    write_pictures(tmp_path / "train/cat", "a.png")
    with pytest.raises(ValueError, match="only one class, 'cat'"):
        open_labelled(tmp_path)


def test_an_empty_class_is_named(data: Path) -> None:
    (data / "train/cow").mkdir()
    with pytest.raises(ValueError, match="class 'cow' is empty"):
        open_labelled(data)


def test_a_folder_of_classes_may_be_opened_itself(data: Path) -> None:
    assert open_classes(data / "val").classes == ("ant", "cat", "dog")
