import shutil
from pathlib import Path

from fcmae.images import EncodedSet, FileSource, Labelled, open_splits
from fcmae.studies.subset import SALTS, drawn, part_of


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_all_images_need_no_links(classes: Path, tmp_path: Path) -> None:
    assert part_of(classes, tmp_path / "part", train=0, val=0) == classes
    assert part_of(classes, tmp_path / "part", train=12, val=6) == classes
    assert not (tmp_path / "part").exists()


def test_a_part_has_as_many_of_each_class_and_is_always_the_same(
    classes: Path, tmp_path: Path
) -> None:
    part = part_of(classes, tmp_path / "part", train=7, val=3)
    train, val = open_splits(part)
    assert train.counts() == [2, 2, 2]
    assert val.counts() == [1, 1, 1]
    first = names(part)
    assert names(part_of(classes, tmp_path / "part", train=7, val=3)) == first
    assert names(part_of(classes, tmp_path / "other", train=7, val=3)) == first
    for name in first:
        assert (part / name).read_bytes() == (classes / name).read_bytes()


def test_a_larger_part_has_the_smaller_one_in_it(classes: Path, tmp_path: Path) -> None:
    small = names(part_of(classes, tmp_path / "small", train=3, val=3))
    assert set(small) < set(names(part_of(classes, tmp_path / "large", train=9, val=3)))


def test_each_class_and_split_has_a_draw_of_its_own() -> None:
    names = [f"{number:02d}.png" for number in range(12)]
    paths = [Path(label, name) for label in "abc" for name in names]
    labels = tuple(number // len(names) for number in range(len(paths)))
    images = Labelled(EncodedSet(FileSource(paths, Path())), labels, tuple("abc"))
    kept = []
    for salt in SALTS.values():
        part = [drawn(images, 12, salt).name(index) for index in range(12)]
        kept += [tuple(name[2:] for name in part if name.startswith(label)) for label in "abc"]
    assert {len(draw) for draw in kept} == {4}
    assert len(set(kept)) == len(kept)
    assert tuple(names[:4]) not in kept


def test_fewer_images_than_classes_are_one_of_each(classes: Path, tmp_path: Path) -> None:
    assert open_splits(part_of(classes, tmp_path / "part", train=1, val=1))[0].counts() == [1, 1, 1]


def test_links_are_drawn_anew_for_other_images(classes: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(classes, moved)
    part_of(classes, tmp_path / "part", train=9, val=3)
    part = part_of(moved, tmp_path / "part", train=3, val=3)
    assert len(names(part)) == 6
    assert {path.readlink().is_relative_to(moved) for path in part.rglob("*.png")} == {True}
