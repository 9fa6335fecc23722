"""The run folder: one writer, and nothing lost."""

import json
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from fcmae.storage.atomic import save_tensors
from fcmae.training.run_folder import (
    RunFolder,
    check,
    is_finished,
    read_config,
    require_finished,
)

CONFIG: dict[str, Any] = {"options": {"seed": 3}, "plan": {"seed": 3}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was left some time ago."""
    with RunFolder(tmp_path / "run", resume=False, overwrite=False) as folder:
        folder.write_config(CONFIG)
    (tmp_path / "run" / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "run" / "checkpoints" / "last").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last" / "state.json").write_text("{}")
    return tmp_path / "run"


def content(folder: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


# Starting


@pytest.mark.parametrize("made", ["", "run"])
def test_a_new_or_an_empty_folder_is_taken(tmp_path: Path, made: str) -> None:
    (tmp_path / made).mkdir(exist_ok=True)
    with RunFolder(tmp_path / "run" / "nested", resume=False, overwrite=False) as folder:
        folder.write_config(CONFIG)
        assert read_config(folder.path) == CONFIG


def test_a_run_that_died_before_it_wrote_anything_can_be_started_again(tmp_path: Path) -> None:
    with RunFolder(tmp_path, resume=False, overwrite=False):
        (tmp_path / "config.json.unfinished").write_text("{")  # not even this
    check(tmp_path, resume=False, overwrite=False)


def test_the_configuration_is_for_people_to_read(run: Path) -> None:
    text = (run / "config.json").read_text()
    assert json.loads(text) == CONFIG
    assert text.count("\n") > 3


def test_an_existing_run_is_neither_resumed_nor_deleted_unasked(run: Path) -> None:
    before = content(run)
    with pytest.raises(ValueError, match="--resume goes on with it, --overwrite deletes it"):
        RunFolder(run, resume=False, overwrite=False)
    assert content(run) == before


def test_resuming_leaves_everything_as_it_was(run: Path) -> None:
    before = content(run)
    with RunFolder(run, resume=True, overwrite=False):
        assert content(run) == before


def test_overwriting_leaves_nothing(run: Path) -> None:
    with RunFolder(run, resume=False, overwrite=True):
        assert content(run) == {}
        assert not (run / "checkpoints").exists()


@pytest.mark.parametrize("there", [True, False])
def test_resume_and_overwrite_exclude_each_other(tmp_path: Path, run: Path, there: bool) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        RunFolder(run if there else tmp_path / "other", resume=True, overwrite=True)
    assert content(run)


@pytest.mark.parametrize("made", [True, False])
def test_there_must_be_a_run_to_resume(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="holds no run to resume"):
        RunFolder(tmp_path / "run", resume=True, overwrite=False)
    assert (tmp_path / "run").exists() == made


def test_overwriting_nothing_is_starting(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", resume=False, overwrite=True):
        assert content(tmp_path / "run") == {}


def test_checking_touches_nothing(tmp_path: Path, run: Path) -> None:
    before = content(run)
    check(run, resume=False, overwrite=True)
    check(run, resume=True, overwrite=False)
    check(tmp_path / "new", resume=False, overwrite=True)
    assert content(run) == before
    assert not (tmp_path / "new").exists()


# What is not a run is never deleted


@pytest.mark.parametrize(
    "file",
    [
        {"holiday.jpg": "irreplaceable"},
        {"config.json": '{"model_type": "convnextv2"}', "model.safetensors": "another's weights"},
        {"config.json": "[]", "notes.md": "a project of its own"},
        {"metrics.jsonl": "{}", "weights.safetensors": "a run without its configuration"},
    ],
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_is_no_run_is_left_alone(
    tmp_path: Path, file: dict[str, str], overwrite: bool
) -> None:
    for name, text in file.items():
        (tmp_path / name).write_text(text)
    before = content(tmp_path)
    with pytest.raises(ValueError, match="not a run of ours: choose an empty or a new folder"):
        RunFolder(tmp_path, resume=False, overwrite=overwrite)
    assert content(tmp_path) == before
    with pytest.raises(ValueError, match="holds no run to resume"):
        RunFolder(tmp_path, resume=True, overwrite=False)


@pytest.mark.parametrize("text", [b'{"options": {', b"", b"\xff\xfe"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_configuration_that_cannot_be_read_is_named_and_kept(
    run: Path, text: bytes, resume: bool
) -> None:
    (run / "config.json").write_bytes(text)
    before = content(run)
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        RunFolder(run, resume=resume, overwrite=not resume)
    assert content(run) == before


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_is_no_folder(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ValueError, match="is a file: give a folder"):
        RunFolder(tmp_path / "run", resume=False, overwrite=overwrite)
    assert (tmp_path / "run").read_text() == "a file"


def test_a_place_where_no_folder_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(
        ValueError, match=r"out .*file/run cannot be written \(.*\): choose another"
    ):
        RunFolder(tmp_path / "file" / "run", resume=False, overwrite=False)


def test_overwriting_removes_links_and_not_what_they_point_to(tmp_path: Path, run: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "precious.txt").write_text("precious")
    (run / "elsewhere").symlink_to(tmp_path / "archive")
    (run / "dangling").symlink_to(tmp_path / "nowhere")
    with RunFolder(run, resume=False, overwrite=True):
        assert [path.name for path in run.iterdir()] == [".lock"]
    assert (tmp_path / "archive" / "precious.txt").read_text() == "precious"


def test_overwriting_that_was_cut_short_can_be_started_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "z.txt").write_text("after config.json in the alphabet")
    unlink, removed = Path.unlink, []

    def failing(path: Path) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", failing)
        with pytest.raises(KeyboardInterrupt):
            RunFolder(run, resume=False, overwrite=True)
    check(run, resume=False, overwrite=True)


# One writer


def _hold(run: Path, ready: Connection) -> None:
    with RunFolder(run, resume=True, overwrite=False):
        ready.send("held")
        ready.recv()


@pytest.fixture
def holder(run: Path, processes: ForkServerContext) -> Iterator[BaseProcess]:
    """Another process that writes this run."""
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_hold, args=(run, theirs))
    process.start()
    assert ours.recv() == "held"
    yield process
    process.kill()
    process.join()


@pytest.mark.parametrize(("resume", "overwrite"), [(True, False), (False, True)])
def test_a_run_that_another_process_writes_is_left_alone(
    run: Path, holder: BaseProcess, resume: bool, overwrite: bool
) -> None:
    before = content(run)
    with pytest.raises(ValueError, match=f"{run}: another process is writing this run"):
        RunFolder(run, resume=resume, overwrite=overwrite)
    assert content(run) == before
    assert holder.is_alive()


def test_a_process_that_was_killed_holds_nothing(run: Path, holder: BaseProcess) -> None:
    holder.kill()
    holder.join()
    with RunFolder(run, resume=True, overwrite=False):
        pass


def test_a_run_that_was_left_can_be_taken_at_once(run: Path) -> None:
    for _ in range(3):
        with RunFolder(run, resume=True, overwrite=False):
            pass


# Coming to an end


@pytest.mark.parametrize(
    ("step", "stopped", "step_of_weights", "finished"),
    [
        pytest.param(9, False, 9, True, id="the-last-step"),
        pytest.param(6, True, 6, True, id="stopped-early"),
        pytest.param(6, False, 6, False, id="under-way"),
        pytest.param(9, False, 6, False, id="killed-before-the-last-weights"),
        pytest.param(6, True, 3, False, id="killed-before-the-weights-it-stopped-with"),
    ],
)
def test_a_run_is_finished_once_its_last_weights_are_written(
    run: Path, step: int, stopped: bool, step_of_weights: int, finished: bool
) -> None:
    (run / "config.json").write_text(json.dumps(CONFIG | {"task": "finetune", "steps": 9}))
    state = {"step": step, "stopped": stopped}
    (run / "checkpoints/last/state.json").write_text(json.dumps(state))
    save_tensors(run / "weights.safetensors", {"a": torch.zeros(1)}, {"step": step_of_weights})
    assert is_finished(run) == finished
    if finished:
        require_finished(str(run))
    else:
        with pytest.raises(ValueError, match=r"unfinished: .*fcmae finetune --resume --out .*run"):
            require_finished(str(run))
