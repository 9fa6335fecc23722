"""Whole runs of every kind: killed, asked to stop, gone on with, in several processes."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from whole_runs import (
    KINDS,
    STEPS,
    assert_same_run,
    count,
    exit_codes,
    lines,
    started,
    started_together,
    wait,
)

from fcmae.training import checkpoint

pytestmark = pytest.mark.usefixtures("tiny_models")


class Finished(NamedTuple):
    """A run that nothing disturbed, and the options of another like it."""

    kind: str
    run: Path
    options: dict[str, Any]

    def resume(self, out: Path, **options: Any) -> Path:
        """Go on with a run, with its own options."""
        return KINDS[self.kind].command(out=str(out), resume=True, **options)


@pytest.fixture(
    params=[
        "fcmae",
        pytest.param("moco-v3", marks=pytest.mark.slow),  # processes for what is shared already
        "finetune",
    ]
)
def finished(
    request: pytest.FixtureRequest,
    trained: Callable[[str], Path],
    folder: Path,
    coloured: Path,
) -> Finished:
    kind: str = request.param
    data = coloured if kind == "finetune" else folder
    return Finished(kind, trained(kind), {**KINDS[kind].options, "data": str(data)})


def test_killed_at_random_moments_and_resumed_is_exact(
    finished: Finished, tmp_path: Path, processes: ForkServerContext
) -> None:
    out = tmp_path / "killed"
    chance = random.Random(7)
    for kill, after in enumerate((1, 4, 7)):  # at least these steps, then a while longer
        # The second stretch has read-ahead workers: they must not change anything either.
        more = {"resume": kill > 0, "workers": 1 if kill == 1 else 0, "checkpoint_minutes": 0.0}
        process = started(processes, finished.kind, {**finished.options, "out": str(out), **more})
        wait(lambda after=after, process=process: (
            count(out, "step") >= after or not process.is_alive()
        ))  # fmt: skip
        time.sleep(chance.random() * 0.05)  # inside a step, a checkpoint, a look, whatever it is
        assert process.pid is not None
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)  # 0: this process was the slower one
    finished.resume(out)
    assert_same_run(finished.run, out)
    kept = checkpoint.load(out / "checkpoints", torch.device("cpu"))
    assert kept is not None
    assert kept.state["step"] == STEPS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_stop_saves_and_says_so(
    finished: Finished, tmp_path: Path, processes: ForkServerContext, number: int, code: int
) -> None:
    out = tmp_path / "stopped"
    options = {**finished.options, "out": str(out), "workers": 1}
    process = started(processes, finished.kind, options, hold=4)
    wait(lambda: count(out, "step") >= 2)
    assert process.pid is not None
    os.kill(process.pid, number)
    assert exit_codes([process]) == [code]
    saved = checkpoint.load(out / "checkpoints", torch.device("cpu"))
    assert saved is not None
    assert 2 <= saved.state["step"] <= 5
    assert (out / "report.html").exists()
    finished.resume(out)
    assert_same_run(finished.run, out)


def test_a_finished_run_resumes_to_itself(finished: Finished, tmp_path: Path) -> None:
    run = shutil.copytree(finished.run, tmp_path / "run")
    finished.resume(run)
    assert_same_run(finished.run, run)


def test_two_processes_compute_what_one_does(
    finished: Finished, tmp_path: Path, processes: ForkServerContext
) -> None:
    shutil.copytree(finished.run, tmp_path / "two")  # none of which may be taken for theirs
    options = {**finished.options, "out": str(tmp_path / "two"), "overwrite": True}
    assert exit_codes(started_together(processes, finished.kind, options)) == [0, 0]
    kinds = ("step", "validation") if finished.kind == "finetune" else ("step",)
    close = {"fcmae": 2e-5, "moco-v3": 2e-4, "finetune": 1e-4}[finished.kind]
    for kind in kinds:
        pairs = zip(lines(finished.run, kind), lines(tmp_path / "two", kind), strict=True)
        for ours, theirs in pairs:
            assert theirs["loss"] == pytest.approx(ours["loss"], rel=close)
            if kind == "step" and finished.kind != "finetune":
                norm = pytest.approx(ours["gradient_norm"], rel=50 * close)
                assert theirs["gradient_norm"] == norm


def test_one_process_that_is_asked_to_stop_stops_both(
    folder: Path, tmp_path: Path, processes: ForkServerContext
) -> None:
    out = tmp_path / "two"
    options = {**KINDS["fcmae"].options, "data": str(folder), "out": str(out), "epochs": 300}
    ranks = started_together(processes, "fcmae", options)
    wait(lambda: count(out, "step") >= 2)
    assert ranks[1].pid is not None
    os.kill(ranks[1].pid, signal.SIGTERM)
    assert exit_codes(ranks) == [143, 143]
    saved = checkpoint.load(out / "checkpoints", torch.device("cpu"))
    assert saved is not None
    assert 2 <= saved.state["step"] < 900
