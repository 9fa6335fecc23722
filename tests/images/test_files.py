import os
from pathlib import Path

import pytest

from fcmae.images.files import digest, list_images


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


def test_a_digest_tells_names_and_their_order_apart() -> None:
    lists = [[], ["a"], ["a", "b"], ["b", "a"], ["ab"], ["a", "b\udcff"]]
    assert len({digest(names) for names in lists}) == len(lists)
    assert digest(["a", "b"]) == digest(name for name in "ab")
