import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fcmae.studies.work import Work, begin


def start(data: Path, out: Path, **options: Any) -> Work:
    usual: dict[str, Any] = {
        "scale": "small", "assignments": (), "seeds": (), "device": "cpu", "workers": 0,
    }  # fmt: skip
    options = usual | options
    given = {one.partition("=")[0] for one in options["assignments"]}
    few = {"pretraining_batch_size": 3, "finetuning_batch_size": 2}
    options["assignments"] += tuple(f"{k}={v}" for k, v in few.items() if k not in given)
    return begin("trial", data=data, out=out, **options)


def test_a_study_begins_with_its_scale_and_part_of_the_images(
    classes: Path, tmp_path: Path
) -> None:
    few = ("num_images=4", "size=pico", "label_share=1")
    work = start(classes, tmp_path / "out", assignments=few)
    assert work.seeds == (0, 1)
    assert work.scale.size == "pico"
    assert work.data == tmp_path / "out" / "images"
    settings = work.record.run["settings"]
    assert (settings["study"], settings["num_images"]) == ("trial", 4)
    assert (settings["images"], settings["classes"]) == ([3, 6], 3)
    assert start(classes, tmp_path / "b", scale="paper").seeds == (0,)
    assert start(classes, tmp_path / "c", seeds=(5, 2)).seeds == (5, 2)


def test_rows_of_another_scale_are_not_gone_on_with(classes: Path, tmp_path: Path) -> None:
    start(classes, tmp_path).record.add({"name": "a", "seed": 0})
    assert len(start(classes, tmp_path, seeds=(7,)).record.rows) == 1
    assert len(start(classes, tmp_path, assignments=("seeds=3",)).record.rows) == 1
    with pytest.raises(ValueError, match="with other settings"):
        start(classes, tmp_path, assignments=("pretraining_epochs=3",))


def test_rows_of_other_images_are_not_gone_on_with(classes: Path, tmp_path: Path) -> None:
    shutil.copytree(classes, tmp_path / "other")  # of the same names
    start(classes, tmp_path / "out").record.add({"name": "a", "seed": 0})
    with pytest.raises(ValueError, match="with other settings"):
        start(tmp_path / "other", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": "papr"}, "did you mean 'paper'"),
        ({"assignments": ("epochs=3",)}, "unknown field 'epochs'"),
        ({"assignments": ("label_share=-1",)}, "label_share -1.0 is not usable"),
        ({"assignments": ("pretraining_epochs=0",)}, "pretraining_epochs 0 is not usable"),
        ({"assignments": ("label_share=2",)}, "label share 2.0: more than 0 and at most 1"),
        ({"assignments": ("image_size=30",)}, "image_size 30 is not usable: a multiple of 8"),
        ({"assignments": ("size=foo",)}, "unknown model 'convnextv2_foo'"),
        (
            {"assignments": ("pretraining_batch_size=13",)},
            "pretraining_batch_size 13 is more than the 12 images to train on",
        ),
        (
            {"assignments": ("finetuning_batch_size=4",)},  # a quarter of the labels
            "finetuning_batch_size 4 is more than the 3 images to train on: "
            "--set finetuning_batch_size=",
        ),
        ({"assignments": ("seeds=0",)}, "seeds 0 is not usable"),
        ({"assignments": ("num_images=few",)}, "num_images=few: a value like 2000"),
        ({"seeds": (1, 2, 1)}, "seeds: 1 is given twice"),
        ({"seeds": (-1,)}, "seeds -1: numbers from 0"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    classes: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        start(classes, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_bad_folders_are_refused(classes: Path, tmp_path: Path) -> None:
    for folder, words in (
        (tmp_path / "nowhere", "has no folder train"),
        (classes / "train", "has no folder train"),
    ):
        with pytest.raises(ValueError, match=words):
            start(folder, tmp_path / "out")
    with pytest.raises(ValueError, match="lies inside data"):
        start(classes, classes / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        start(classes, tmp_path / "file")


@pytest.mark.parametrize("missing", ["val", "class"])
def test_one_class_or_no_val_is_refused(classes: Path, tmp_path: Path, missing: str) -> None:
    data = tmp_path / "data"
    (data / "train" / "red").mkdir(parents=True)
    (data / "train" / "red" / "a.png").symlink_to(classes / "train" / "red" / "train0.png")
    if missing == "val":
        (data / "train" / "blue").mkdir()
        (data / "train" / "blue" / "a.png").symlink_to(classes / "train" / "blue" / "train0.png")
    words = "has no folder val" if missing == "val" else "has only one class, 'red'"
    with pytest.raises(ValueError, match=words):
        start(data, tmp_path / "out")
