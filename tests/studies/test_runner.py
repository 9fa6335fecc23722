"""The order of things, with commands that only pretend; the studies' tests train for real."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from studies.conftest import Pretence

from fcmae.report.record import Record
from fcmae.studies import page, runner
from fcmae.studies.results import Row
from fcmae.studies.runner import estimate, open_images
from fcmae.studies.scale import SMALL
from fcmae.studies.study import ComparisonOptions, Setting, Study
from fcmae.training.engine import NonFiniteError
from fcmae.training.recipe import override
from fcmae.training.signals import Interrupted

STUDY = Study(
    name="trial", kind="", title="", subject="", paper="", claims=lambda _: [], panels=lambda _: [],
    alternative="", reading=(), columns=(),
)  # fmt: skip
FEW = {"pretraining_batch_size": 3, "finetuning_batch_size": 2}


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows there were each time that a page was written."""
    shown: list[int] = []
    monkeypatch.setattr(page, "write", lambda _, record: shown.append(len(record.rows)))
    return shown


def trial(**options: Any) -> Setting:
    return Setting("m", {"set": ("a=1",), "epochs": 2} | options, {"label_share": 0.5})


def study(
    data: Path, out: Path, settings: Mapping[str, Setting], measure: Any = None, **options: Any
) -> list[Row]:
    given = {one.partition("=")[0] for one in options.get("set", ())}
    few = tuple(f"{name}={value}" for name, value in FEW.items() if name not in given)
    usual: dict[str, Any] = {"seeds": (0,), "device": "cpu", "workers": 0}
    options = usual | options | {"set": (*options.get("set", ()), *few)}
    chosen = ComparisonOptions(data=data, out=out, **options)
    return runner.run(STUDY, chosen, lambda _: settings, measure)


def nan(step: int) -> RuntimeError:
    error = RuntimeError("the loss is nan")
    error.__cause__ = NonFiniteError(step, "loss", float("nan"))
    return error


def test_every_setting_is_pretrained_then_finetuned_with_its_seed(
    tasks: Pretence, classes: Path, tmp_path: Path, shown: list[int]
) -> None:
    rows = study(classes, tmp_path, {"a": trial(), "b": trial()}, seeds=(3, 4))
    assert tasks.calls == [
        (f"{name}/seed-{seed}/{task}", False)
        for seed in (3, 4)
        for name in "ab"
        for task in ("pretrain", "finetune")
    ]
    assert shown == [1, 2, 3, 4]
    first = {"name": "a", "seed": 3, "unstable": None, "loss": 0.7, "accuracy": 0.5, "epoch": 2}
    machine = json.loads((tmp_path / "results.json").read_text())["machine"]
    assert rows[0] == first | {"model": "m", "seconds": 5.0, "machine": machine}
    stored = json.loads((tmp_path / "runs/a/seed-3/finetune/config.json").read_text())["options"]
    assert (stored["seed"], stored["label_share"]) == (3, 0.5)
    assert stored["init"] == str(tmp_path / "runs/a/seed-3/pretrain")
    assert stored["data"] == str(classes)
    before = json.loads((tmp_path / "runs/b/seed-4/pretrain/config.json").read_text())["options"]
    assert (before["seed"], before["data"]) == (4, f"{classes}/train")


def test_what_is_done_is_skipped_and_more_may_be_added(
    tasks: Pretence, classes: Path, tmp_path: Path, shown: list[int]
) -> None:
    study(classes, tmp_path, {"a": trial()})
    tasks.calls.clear()
    shown.clear()
    rows = study(classes, tmp_path, {"b": trial(), "a": trial()}, seeds=(0, 1))
    assert [name for name, _ in tasks.calls if "pretrain" in name] == [
        "b/seed-0/pretrain", "b/seed-1/pretrain", "a/seed-1/pretrain",
    ]  # fmt: skip
    assert shown == [2, 3, 4]
    assert [(row["name"], row["seed"]) for row in rows] == [("a", 0), ("b", 0), ("b", 1), ("a", 1)]
    tasks.calls.clear()
    shown.clear()
    assert study(classes, tmp_path, {"a": trial()}) == rows
    assert (tasks.calls, shown) == ([], [4])  # the page is written anew


def test_an_interrupted_setting_goes_on_where_it_stopped(
    tasks: Pretence, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks.failing["b/seed-0/finetune"] = [Interrupted(2)]
    with pytest.raises(SystemExit):
        study(classes, tmp_path, {"a": trial(), "b": trial()})
    assert "the same command goes on from here" in capsys.readouterr().err
    tasks.calls.clear()
    rows = study(classes, tmp_path, {"a": trial(), "b": trial()})
    assert tasks.calls == [("b/seed-0/finetune", True)]  # pre-training is finished
    assert [row["accuracy"] for row in rows] == [0.5, 0.5]
    assert rows[1]["loss"] == 0.7


def test_a_finished_run_without_a_row_is_read_not_trained(
    tasks: Pretence, classes: Path, tmp_path: Path
) -> None:
    rows = study(classes, tmp_path, {"a": trial()})
    tasks.calls.clear()
    (tmp_path / "results.json").unlink()
    assert study(classes, tmp_path, {"a": trial()}) == rows
    assert tasks.calls == []


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_with_other_options_is_refused(
    tasks: Pretence, classes: Path, tmp_path: Path, finished: bool
) -> None:
    tasks.failing["a/seed-0/pretrain"] = [] if finished else [Interrupted(2)]
    try:
        study(classes, tmp_path, {"a": trial()})
    except SystemExit:
        assert not finished
    (tmp_path / "results.json").unlink(missing_ok=True)
    tasks.calls.clear()
    with pytest.raises(ValueError, match=r"epochs: the run has 2, now 3\nchoose another folder"):
        study(classes, tmp_path, {"a": trial(epochs=3)})
    assert tasks.calls == []


def test_a_run_may_go_on_elsewhere(tasks: Pretence, classes: Path, tmp_path: Path) -> None:
    tasks.failing["a/seed-0/pretrain"] = [Interrupted(2)]
    with pytest.raises(SystemExit):
        study(classes, tmp_path, {"a": trial()})
    study(classes, tmp_path, {"a": trial()}, device="auto", workers=3)
    assert tasks.calls[1] == ("a/seed-0/pretrain", True)


@pytest.mark.parametrize(
    ("run", "doing"), [("pretrain", "pre-training"), ("finetune", "fine-tuning")]
)
def test_a_loss_that_is_no_number_is_a_row_and_the_study_goes_on(
    tasks: Pretence, classes: Path, tmp_path: Path, run: str, doing: str
) -> None:
    tasks.failing[f"a/seed-0/{run}"] = [nan(17)]
    rows = study(classes, tmp_path, {"a": trial(), "b": trial()})
    assert rows[0]["unstable"] == {"doing": doing, "step": 17}
    assert "accuracy" not in rows[0]
    assert rows[1]["unstable"] is None
    tasks.calls.clear()
    study(classes, tmp_path, {"a": trial(), "b": trial()})
    assert tasks.calls == []  # it is a result, not a failure


def test_other_errors_end_the_study(tasks: Pretence, classes: Path, tmp_path: Path) -> None:
    tasks.failing["b/seed-0/pretrain"] = [RuntimeError("out of memory")]
    with pytest.raises(RuntimeError, match="out of memory"):
        study(classes, tmp_path, {"a": trial(), "b": trial()})
    assert len(json.loads((tmp_path / "results.json").read_text())["rows"]) == 1


def test_one_of_the_two_trainings_may_be_left_out_and_made_up_for(
    tasks: Pretence, classes: Path, tmp_path: Path
) -> None:
    scratch = Setting("m", None, {"epochs": 2}, {"method": "none"})
    alone = Setting("m", {"epochs": 2}, None)
    measured: list[str] = []

    def measure(folder: Path, data: Path) -> Row:
        assert data == classes
        measured.append(folder.relative_to(tmp_path).as_posix())
        return {"distance": 0.25}

    rows = study(classes, tmp_path, {"a": scratch, "b": alone}, measure)
    assert [name for name, _ in tasks.calls] == ["a/seed-0/finetune", "b/seed-0/pretrain"]
    assert (rows[0]["method"], rows[0]["accuracy"]) == ("none", 0.5)
    assert rows[1]["distance"] == 0.25
    tasks.calls.clear()
    both = Setting("m", {"epochs": 2}, {"epochs": 2})
    rows = study(classes, tmp_path, {"a": scratch, "b": both}, measure)
    assert measured == ["runs/b/seed-0/pretrain"] * 2
    assert [name for name, _ in tasks.calls] == ["b/seed-0/finetune"]
    assert rows[1]["accuracy"] == 0.5


def test_progress_says_what_is_done_and_how_long_the_rest_takes(
    tasks: Pretence, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study(classes, tmp_path, {"a": trial(), "b": trial()}, seeds=(7,))
    said = capsys.readouterr().err
    assert "1 of 2: a, seed 7, pre-training\n" in said
    assert "2 of 2: b, seed 7, fine-tuning, about " in said
    assert estimate([], 5) == ""
    assert estimate([60.0, 120.0], 3) == ", about 4 min 30 s left"


# Options and images


def record_of(data: Path, out: Path, *assignments: str, **options: Any) -> tuple[Path, Record]:
    few = tuple(f"{name}={value}" for name, value in FEW.items())
    scale = override(SMALL, (*assignments, *few))
    options = {"data": data, "out": out, "device": "cpu"} | options
    return open_images(STUDY, ComparisonOptions(**options), scale)


def test_a_study_begins_with_its_scale_and_part_of_the_images(
    classes: Path, tmp_path: Path
) -> None:
    data, record = record_of(
        classes, tmp_path / "out", "num_images=4", "size=pico", "label_share=1"
    )
    assert data == tmp_path / "out" / "images"
    settings = record.run["settings"]
    assert (settings["study"], settings["num_images"]) == ("trial", 4)
    assert (settings["size"], settings["images"], settings["classes"]) == ("pico", [3, 6], 3)
    assert record_of(classes, tmp_path / "all", "num_images=0", "num_val_images=0")[0] == classes


@pytest.mark.parametrize(
    ("options", "seeds"),
    [({}, [0, 1]), ({"scale": "paper"}, [0]), ({"seeds": (5, 2)}, [5, 2])],
)
def test_seeds_are_the_scales_unless_given(
    tasks: Pretence, classes: Path, tmp_path: Path, options: dict[str, Any], seeds: list[int]
) -> None:
    rows = study(classes, tmp_path, {"a": trial()}, **{"seeds": ()} | options)
    assert [row["seed"] for row in rows] == seeds


def test_rows_of_another_scale_are_not_gone_on_with(classes: Path, tmp_path: Path) -> None:
    record_of(classes, tmp_path)[1].add({"name": "a", "seed": 0})
    assert len(record_of(classes, tmp_path, seeds=(7,))[1].rows) == 1
    assert len(record_of(classes, tmp_path, "seeds=3")[1].rows) == 1
    with pytest.raises(ValueError, match="with other settings"):
        record_of(classes, tmp_path, "pretraining_epochs=3")


def test_rows_of_other_images_are_not_gone_on_with(classes: Path, tmp_path: Path) -> None:
    shutil.copytree(classes, tmp_path / "other")  # of the same names
    record_of(classes, tmp_path / "out")[1].add({"name": "a", "seed": 0})
    with pytest.raises(ValueError, match="with other settings"):
        record_of(tmp_path / "other", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": "papr"}, "did you mean 'paper'"),
        ({"set": ("epochs=3",)}, "unknown field 'epochs'"),
        ({"set": ("label_share=-1",)}, "label_share -1.0 is not usable"),
        ({"set": ("num_images=-3",)}, "num_images -3 is not usable"),
        ({"set": ("num_val_images=-3",)}, "num_val_images -3 is not usable"),
        ({"set": ("pretraining_epochs=0",)}, "pretraining_epochs 0 is not usable"),
        ({"set": ("label_share=2",)}, "label share 2.0: more than 0 and at most 1"),
        ({"set": ("image_size=30",)}, "image_size 30 is not usable: a multiple of 8"),
        ({"set": ("size=foo",)}, "unknown model 'convnextv2_foo'"),
        (
            {"set": ("pretraining_batch_size=13",)},
            "pretraining_batch_size 13 is more than the 12 images to train on",
        ),
        (
            {"set": ("finetuning_batch_size=4",)},  # a quarter of the labels
            "finetuning_batch_size 4 is more than the 3 images to train on: "
            "--set finetuning_batch_size=",
        ),
        ({"set": ("seeds=0",)}, "seeds 0 is not usable"),
        ({"set": ("num_images=few",)}, "num_images=few: a value like 2000"),
        ({"seeds": (1, 2, 1)}, "seeds: 1 is given twice"),
        ({"seeds": (-1,)}, "seeds -1: numbers from 0"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    classes: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        study(classes, tmp_path / "out", {}, **options)
    assert not (tmp_path / "out").exists()


def test_bad_folders_are_refused(classes: Path, tmp_path: Path) -> None:
    for folder, words in (
        (tmp_path / "nowhere", "has no folder train"),
        (classes / "train", "has no folder train"),
    ):
        with pytest.raises(ValueError, match=words):
            study(folder, tmp_path / "out", {})
    with pytest.raises(ValueError, match="lies inside data"):
        study(classes, classes / "out", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        study(classes, tmp_path / "file", {})


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
        study(data, tmp_path / "out", {})
