"""Classes from folders, the same in both splits, and shares of the labels."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from fcmae.images.decode import decode
from fcmae.images.labelled import Labelled, open_classes, open_labelled, open_splits, share


def write(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), number).save(path)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three classes of unequal size, one nested deeper."""
    write(tmp_path / "train/cat", *(f"{i:02d}.png" for i in range(20)))
    write(tmp_path / "train/dog", *(f"deep/er/{i}.png" for i in range(10)))
    write(tmp_path / "train/ant", "only.png")
    write(tmp_path / "val", "ant/a.png", "cat/b.png", "dog/c.png", ".hidden/d.png")
    return tmp_path


def test_classes_are_the_sorted_folders(data: Path) -> None:
    images = open_labelled(data)
    assert images.classes == ("ant", "cat", "dog")
    assert images.counts() == [1, 20, 10]
    assert len(images) == len(images.labels) == 31
    for index, label in enumerate(images.labels):
        assert images.name(index).startswith(images.classes[label] + "/")
    assert images.read(0, 1).shape == (1, 2, 3)


def test_both_splits_have_the_same_classes(data: Path) -> None:
    train, val = open_splits(data)
    assert train.classes == val.classes
    assert len(val) == 3


@pytest.mark.parametrize("lacks", ["train", "val"])
def test_a_class_that_one_split_lacks_is_named(data: Path, lacks: str) -> None:
    other = {"train": "val", "val": "train"}[lacks]
    write(data / other / "zebra", "z.png")
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
    write(tmp_path / "train", "a.png", "b.png")
    with pytest.raises(ValueError, match="no folder of a class"):
        open_labelled(tmp_path)
    write(tmp_path / "train/cat", "a.png")
    with pytest.raises(ValueError, match="only one class, 'cat'"):
        open_labelled(tmp_path)


def test_an_empty_class_is_named(data: Path) -> None:
    (data / "train/cow").mkdir()
    with pytest.raises(ValueError, match="class 'cow' is empty"):
        open_labelled(data)


def test_a_folder_of_classes_may_be_opened_itself(data: Path) -> None:
    assert open_classes(data / "val").classes == ("ant", "cat", "dog")


# Shares


@pytest.mark.parametrize(
    ("part", "counts"), [(1.0, [1, 20, 10]), (0.5, [1, 10, 5]), (0.1, [1, 2, 1]), (1e-9, [1, 1, 1])]
)
def test_every_class_keeps_its_share(data: Path, part: float, counts: list[int]) -> None:
    assert share(open_labelled(data), part, seed=0).counts() == counts


def test_a_share_is_a_function_of_the_seed(data: Path) -> None:
    images = open_labelled(data)

    def names(part: float, seed: int) -> set[str]:
        kept = share(images, part, seed)
        return {kept.name(index) for index in range(len(kept))}

    assert names(0.3, 1) == names(0.3, 1) != names(0.3, 2)
    assert names(0.1, 1) < names(0.5, 1)  # more labels of the same draw, not others


def test_a_share_keeps_labels_and_images_together(data: Path) -> None:
    kept = share(open_labelled(data), 0.3, seed=3)
    for index, label in enumerate(kept.labels):
        assert kept.name(index).startswith(kept.classes[label])
        image = decode(data / "train" / kept.name(index), 1)
        assert torch.equal(kept.read(index, 1), image)
        assert torch.equal(kept.read_shrunk(index, 1, lambda *_: 1)[0], image)


def test_each_class_draws_its_own_share(tmp_path: Path) -> None:
    for name in "abcdef":
        write(tmp_path / "train" / name, *(f"{i:02d}.png" for i in range(20)))
    kept = share(open_labelled(tmp_path), 0.25, seed=0)
    files = [Path(kept.name(index)).name for index in range(len(kept))]
    assert len({tuple(files[5 * label : 5 * label + 5]) for label in range(6)}) == 6


@pytest.mark.parametrize("part", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_of_nothing_is_refused(data: Path, part: float) -> None:
    with pytest.raises(ValueError, match="label share"):
        share(open_labelled(data), part, seed=0)


def test_the_sample_set_has_classes_of_its_own() -> None:
    pytest.importorskip("skimage")
    train, val = open_splits("sample")
    assert isinstance(train, Labelled)
    assert train.classes == val.classes
    assert set(train.counts()) == {64}
    assert share(train, 0.25, seed=0).counts() == [16] * 16
