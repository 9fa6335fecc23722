"""The order of things, with tasks that only pretend; the studies' tests train for real."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fcmae.findings.record import Record, Row
from fcmae.studies import runner
from fcmae.studies.runner import KEY, Setting, estimate
from fcmae.studies.scale import SMALL
from fcmae.training.engine import NonFiniteError
from fcmae.training.signals import Interrupted

RUN = {"machine": "none", "versions": {}, "settings": {"epochs": 2}}


class Pretence:
    """Tasks that write what a run leaves, and fail where they are told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []  # the run, and whether it was resumed
        self.failing: dict[str, list[BaseException]] = {}  # by run

    def pretrain(self, *, out: str, resume: bool, **options: Any) -> Path:
        return self.train(Path(out), resume, options, "metrics.jsonl")

    def finetune(self, *, out: str, resume: bool, **options: Any) -> Path:
        return self.train(Path(out), resume, options, "validation.json")

    def train(self, out: Path, resume: bool, options: dict[str, Any], result: str) -> Path:
        name = "/".join(out.parts[-3:])
        self.calls.append((name, resume))
        (out / "checkpoints" / "last").mkdir(parents=True, exist_ok=True)
        config = {"options": options, "plan": {}, "steps": 10}
        (out / "config.json").write_text(json.dumps(config))
        state = out / "checkpoints" / "last" / "state.json"
        state.write_text(json.dumps({"step": 4, "stopped": False}))
        (out / "timing.jsonl").write_text('{"step": 4, "seconds": 2.5}\n')
        if self.failing.get(name):
            raise self.failing[name].pop(0)
        lines = [{"kind": "epoch", "loss": 0.9}, {"kind": "step"}, {"kind": "epoch", "loss": 0.7}]
        contents = {
            "metrics.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
            "validation.json": json.dumps({"accuracy": 0.5, "epoch": 2}),
        }
        (out / result).write_text(contents[result])
        described = {"fcmae": json.dumps({"step": 10})}
        save_file({"weight": torch.zeros(1)}, out / "weights.safetensors", described)
        state.write_text(json.dumps({"step": 10, "stopped": False}))
        return out


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Pretence:
    pretence = Pretence()
    monkeypatch.setattr(runner, "pretrain", pretence.pretrain)
    monkeypatch.setattr(runner, "finetune", pretence.finetune)
    return pretence


def setting(name: str, seed: int = 0, **options: Any) -> Setting:
    return Setting(name, seed, {"set": ("a=1",), "epochs": 2} | options, {"label_share": 0.5})


def study(
    out: Path, settings: Sequence[Setting], shown: list[int] | None = None, **options: Any
) -> list[Row]:
    shown = [] if shown is None else shown
    return runner.run(
        settings,
        Record(out, RUN, KEY, same=("settings",)),
        data=Path("images"),
        show=lambda rows: shown.append(len(rows)),
        **options,
    )


def nan(step: int) -> RuntimeError:
    error = RuntimeError("the loss is nan")
    error.__cause__ = NonFiniteError(step, "loss", float("nan"))
    return error


def test_every_setting_is_pretrained_then_finetuned_with_its_seed(
    tasks: Pretence, tmp_path: Path
) -> None:
    shown: list[int] = []
    rows = study(tmp_path, [setting("a", 3), setting("b", 4)], shown)
    assert tasks.calls == [
        (f"{name}/{task}", False)
        for name in ("a/seed-3", "b/seed-4")
        for task in ("pretrain", "finetune")
    ]
    assert shown == [1, 2]
    first = {"name": "a", "seed": 3, "unstable": None, "loss": 0.7, "accuracy": 0.5, "epoch": 2}
    assert rows[0] == first | {"seconds": 5.0, "machine": "none"}
    stored = json.loads((tmp_path / "runs/a/seed-3/finetune/config.json").read_text())["options"]
    assert (stored["seed"], stored["label_share"]) == (3, 0.5)
    assert stored["init"] == str(tmp_path / "runs/a/seed-3/pretrain")
    assert stored["data"] == "images"
    before = json.loads((tmp_path / "runs/b/seed-4/pretrain/config.json").read_text())["options"]
    assert (before["seed"], before["data"]) == (4, "images/train")


def test_what_is_done_is_skipped_and_more_may_be_added(tasks: Pretence, tmp_path: Path) -> None:
    study(tmp_path, [setting("a")])
    tasks.calls.clear()
    shown: list[int] = []
    rows = study(tmp_path, [setting("b"), setting("a"), setting("a", 1)], shown)
    assert [name for name, _ in tasks.calls if "pretrain" in name] == [
        "b/seed-0/pretrain", "a/seed-1/pretrain",
    ]  # fmt: skip
    assert shown == [2, 3]
    assert [(row["name"], row["seed"]) for row in rows] == [("a", 0), ("b", 0), ("a", 1)]
    tasks.calls.clear()
    shown.clear()
    assert study(tmp_path, [setting("a")], shown) == rows
    assert (tasks.calls, shown) == ([], [3])  # the page is written anew


def test_an_interrupted_setting_goes_on_where_it_stopped(
    tasks: Pretence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks.failing["b/seed-0/finetune"] = [Interrupted(2)]
    with pytest.raises(SystemExit):
        study(tmp_path, [setting("a"), setting("b")])
    assert "the same command goes on from here" in capsys.readouterr().err
    tasks.calls.clear()
    rows = study(tmp_path, [setting("a"), setting("b")])
    assert tasks.calls == [("b/seed-0/finetune", True)]  # pre-training is finished
    assert [row["accuracy"] for row in rows] == [0.5, 0.5]
    assert rows[1]["loss"] == 0.7


def test_a_finished_run_without_a_row_is_read_not_trained(tasks: Pretence, tmp_path: Path) -> None:
    rows = study(tmp_path, [setting("a")])
    tasks.calls.clear()
    (tmp_path / "results.json").unlink()
    assert study(tmp_path, [setting("a")]) == rows
    assert tasks.calls == []


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_with_other_options_is_refused(
    tasks: Pretence, tmp_path: Path, finished: bool
) -> None:
    tasks.failing["a/seed-0/pretrain"] = [] if finished else [Interrupted(2)]
    try:
        study(tmp_path, [setting("a")])
    except SystemExit:
        assert not finished
    (tmp_path / "results.json").unlink(missing_ok=True)
    tasks.calls.clear()
    with pytest.raises(ValueError, match=r"epochs: the run has 2, now 3\nchoose another folder"):
        study(tmp_path, [setting("a", epochs=3)])
    assert tasks.calls == []


def test_no_option_of_a_scale_may_be_another(tmp_path: Path) -> None:
    model = "convnextv2_atto"
    for options in (
        SMALL.pretraining(model, response="layer"),
        SMALL.contrastive(model),
        SMALL.finetuning(),
        SMALL.supervised(model),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"options": options}))
        runner.refuse_others(tmp_path, options)
        for name in options:
            with pytest.raises(ValueError, match=f"  {name}: the run has .*, now 'another'"):
                runner.refuse_others(tmp_path, options | {name: "another"})


def test_a_run_may_go_on_elsewhere(tasks: Pretence, tmp_path: Path) -> None:
    tasks.failing["a/seed-0/pretrain"] = [Interrupted(2)]
    with pytest.raises(SystemExit):
        study(tmp_path, [setting("a")], device="cpu")
    study(tmp_path, [setting("a")], device="cuda", workers=3)
    assert tasks.calls[1] == ("a/seed-0/pretrain", True)


@pytest.mark.parametrize(
    ("run", "doing"), [("pretrain", "pre-training"), ("finetune", "fine-tuning")]
)
def test_a_loss_that_is_no_number_is_a_row_and_the_study_goes_on(
    tasks: Pretence, tmp_path: Path, run: str, doing: str
) -> None:
    tasks.failing[f"a/seed-0/{run}"] = [nan(17)]
    rows = study(tmp_path, [setting("a"), setting("b")])
    assert rows[0]["unstable"] == {"doing": doing, "step": 17}
    assert "accuracy" not in rows[0]
    assert rows[1]["unstable"] is None
    tasks.calls.clear()
    study(tmp_path, [setting("a"), setting("b")])
    assert tasks.calls == []  # it is a result, not a failure


def test_other_errors_end_the_study(tasks: Pretence, tmp_path: Path) -> None:
    tasks.failing["b/seed-0/pretrain"] = [RuntimeError("out of memory")]
    with pytest.raises(RuntimeError, match="out of memory"):
        study(tmp_path, [setting("a"), setting("b")])
    assert len(json.loads((tmp_path / "results.json").read_text())["rows"]) == 1


def test_one_of_the_two_trainings_may_be_left_out_and_made_up_for(
    tasks: Pretence, tmp_path: Path
) -> None:
    scratch = Setting("a", 0, None, {"epochs": 2}, {"model": "m"})
    alone = Setting("b", 0, {"epochs": 2}, None)
    measured: list[str] = []

    def measure(folder: Path) -> Row:
        measured.append(folder.relative_to(tmp_path).as_posix())
        return {"distance": 0.25}

    rows = study(tmp_path, [scratch, alone], measure=measure)
    assert [name for name, _ in tasks.calls] == ["a/seed-0/finetune", "b/seed-0/pretrain"]
    assert (rows[0]["model"], rows[0]["accuracy"]) == ("m", 0.5)
    assert rows[1]["distance"] == 0.25
    tasks.calls.clear()
    both = Setting("b", 0, {"epochs": 2}, {"epochs": 2})
    rows = study(tmp_path, [scratch, both], measure=measure)
    assert measured == ["runs/b/seed-0/pretrain"] * 2
    assert [name for name, _ in tasks.calls] == ["b/seed-0/finetune"]
    assert rows[1]["accuracy"] == 0.5


def test_progress_says_what_is_done_and_how_long_the_rest_takes(
    tasks: Pretence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study(tmp_path, [setting("a"), setting("b", 7)])
    said = capsys.readouterr().err
    assert "1 of 2: a, seed 0, pre-training\n" in said
    assert "2 of 2: b, seed 7, fine-tuning, about " in said
    assert estimate([], 5) == ""
    assert estimate([60.0, 120.0], 3) == ", about 4 min 30 s left"
