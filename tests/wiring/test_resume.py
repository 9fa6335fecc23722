"""Runs that die at fixed moments and go on: the same bytes as if nothing had happened.

Most deaths are exceptions, which cost nothing; some processes are killed for good. Whatever sums a
run carries from step to step are under way at these moments: of the loss since the last line of the
metrics, of the epoch's loss, the average of the weights, the keys that follow, the best epoch.
"""

import dataclasses
import functools
import json
import os
import shutil
import signal
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from wiring.small import BATCH, STEPS_PER_EPOCH, tiny_sizes

import fcmae
from fcmae.finetuning import task as finetuning
from fcmae.finetuning.task import FinetuningTask
from fcmae.finetuning.validation import Validation
from fcmae.images import unreadable
from fcmae.pretraining.task import PretrainingTask
from fcmae.report import write_report
from fcmae.storage import atomic
from fcmae.training import checkpoint, trainer
from fcmae.training.plan import Schedule
from fcmae.training.signals import Interrupted
from fcmae.training.trainer import Trainer

EPOCHS = 2
STEPS = EPOCHS * STEPS_PER_EPOCH
LOG_EVERY = 4  # so that lines are of several steps, and the first is of two epochs
EVERY = range(1, STEPS + 1)

COMMON: dict[str, Any] = {
    "epochs": EPOCHS,
    "batch_size": BATCH,
    "image_size": "32x48",
    "stem_stride": 2,
    "workers": 0,
    "device": "cpu",
    "checkpoint_minutes": 0.0,
}


class Kind(NamedTuple):
    """A way to train, with everything on that is drawn by chance and with steps that show."""

    command: Callable[..., Path]
    options: dict[str, Any]
    labelled: bool


KINDS = {
    "fcmae": Kind(
        fcmae.pretrain,
        {
            "micro_batch_size": 3,  # 3 + 1
            "set": ("decoder_width=12", "base_learning_rate=0.1", "warmup_epochs=0.5"),
        },
        labelled=False,
    ),
    "moco-v3": Kind(
        fcmae.pretrain,
        {
            "method": "moco-v3",
            "set": (
                *("hidden_width=12", "projection_width=6", "base_learning_rate=0.3"),
                *("warmup_epochs=0", "encoder_momentum=0.6"),
            ),
        },
        labelled=False,
    ),
    "finetune": Kind(
        fcmae.finetune,
        {
            "micro_batch_size": 2,
            "set": (
                *("mixup=0.8", "cutmix=1", "drop_path=0.2", "random_erasing=0.5"),
                *("base_learning_rate=0.02", "warmup_epochs=0", "ema=0.55"),
            ),
        },
        labelled=True,
    ),
}


# Deaths


class Death(Exception):
    """Stands for a process that is killed."""


def die() -> NoReturn:
    raise Death


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def be_asked_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def dying(
    step: int, moment: str, checkpoints: Container[int] = EVERY, die: Callable[[], object] = die
) -> Iterator[None]:
    """A run that begins in here ends at a moment of a step, counted from 1.

    Args:
        step: of the moment.
        moment: "computed": the weights have moved, in memory alone. "logged": the step's lines are
            written, and at an epoch's end all that belongs to it, but no checkpoint. "torn": half
            of the checkpoint is. "between": it is whole and not yet in its place. "saved":
            everything is.
        checkpoints: the steps after which there is one; the others' are left out.
        die: what ends the trainer.
    """
    after_step, save = Trainer.after_step, Trainer.save
    save_tensors, rename = atomic.save_tensors, Path.rename
    now = 0  # the step whose files may be written

    def reach(number: int, here: str) -> None:
        if (number, here) == (step, moment):
            die()

    def kept(self: Trainer, done: Any, *more: Any) -> None:
        reach(done.number, "computed")
        after_step(self, done, *more)

    def saved(self: Trainer) -> None:
        nonlocal now
        now = self.step
        reach(now, "logged")
        if now in checkpoints:
            save(self)
        reach(now, "saved")

    def tensors_saved(path: Path, *more: Any) -> None:
        if path.name == "optimizer.safetensors":
            reach(now, "torn")
        save_tensors(path, *more)

    def renamed(path: Path, target: Path) -> Path:
        if target.name == checkpoint.LAST:
            reach(now, "between")
        return rename(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "after_step", kept)
        patch.setattr(Trainer, "save", saved)
        patch.setattr(checkpoint, "save_tensors", tensors_saved)
        patch.setattr(Path, "rename", renamed)
        yield


@contextmanager
def goes_on(after: int, to: int = STEPS) -> Iterator[None]:
    """Steps that are computed in here are those after a checkpoint, and no other.

    A run that began again would come to the same bytes.
    """
    after_step = Trainer.after_step
    numbers: list[int] = []

    def kept(self: Trainer, done: Any, *more: Any) -> None:
        numbers.append(done.number)
        after_step(self, done, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "after_step", kept)
        try:
            yield
        finally:  # also where it dies at the end
            assert numbers == list(range(after + 1, to + 1))


@contextmanager
def rare_lines() -> Iterator[None]:
    """Epochs of a few steps have a line for each; here they are as in epochs of many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Schedule, "log_every", LOG_EVERY)
        yield


def child(kind: str, options: dict[str, Any], step: int, moment: str) -> None:
    """A process that is killed."""
    torch.set_num_threads(1)
    with tiny_sizes(), rare_lines(), dying(step, moment, die=be_killed):
        KINDS[kind].command(**options)


# Runs


class Undisturbed(NamedTuple):
    """What runs are compared with, and how to start another like it."""

    kind: str
    options: dict[str, Any]
    run: Path

    def begin(self, out: Path, **options: Any) -> Path:
        """Another run."""
        return KINDS[self.kind].command(**self.options | options, out=str(out))

    def resume(self, out: Path, after: int, **options: Any) -> Path:
        """From a step to the end, without another checkpoint before, which only costs time."""
        options = {"checkpoint_minutes": 5.0, **options}
        with goes_on(after):
            return KINDS[self.kind].command(out=str(out), resume=True, **options)


@pytest.fixture(autouse=True)
def _rare_lines() -> Iterator[None]:
    with rare_lines():
        yield


@pytest.fixture(scope="module", params=KINDS)
def undisturbed(
    request: pytest.FixtureRequest,
    pictures: Path,
    classes: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Undisturbed:
    """A run of each kind, with its report."""
    kind: str = request.param
    data = classes if KINDS[kind].labelled else pictures
    options = {**COMMON, **KINDS[kind].options, "data": str(data)}
    with tiny_sizes(), rare_lines():
        out = tmp_path_factory.mktemp("runs") / kind
        run = KINDS[kind].command(**options | {"checkpoint_minutes": 5.0}, out=str(out))
    return Undisturbed(kind, options, run)


def kept_files(run: Path) -> dict[str, bytes]:
    """All but what tells of time, and of how a run was started."""
    others = {"config.json", "timing.jsonl", "report.html", ".lock"}
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name not in others and path.parent.name != "tensorboard"
    }


def assert_same(run: Path, other: Path, *, least: int = 6) -> None:
    """The same files with the same bytes."""
    ours, theirs = kept_files(run), kept_files(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert len(ours) >= least


def lines(run: Path, kind: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in every if line["kind"] == kind]


def state_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "checkpoints/last/state.json").read_text())
    return found


# Each kind of run


def test_what_is_compared_is_there(undisturbed: Undisturbed) -> None:
    files = {"metrics.jsonl", "weights.safetensors", "unreadable.json"}
    files |= {
        f"checkpoints/last/{name}"
        for name in ("model.safetensors", "optimizer.safetensors", "state.json")
    }
    if KINDS[undisturbed.kind].labelled:
        files |= {"validation.json", "best.safetensors"}
    assert files <= kept_files(undisturbed.run).keys()


def test_lines_have_the_mean_loss_of_their_steps(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """So that what is compared below is right in itself: by a run with a line for each step."""
    with pytest.MonkeyPatch.context() as patch:  # which ends before the rare lines of every test do
        patch.setattr(Schedule, "log_every", 1)
        run = undisturbed.begin(tmp_path / "run")
    losses = [line["loss"] for line in lines(run, "step")]
    assert len(set(losses)) == STEPS
    found = lines(undisturbed.run, "step")
    assert [line["step"] for line in found] == [4, 6]
    assert [line["epoch"] for line in found] == pytest.approx([4 / STEPS_PER_EPOCH, EPOCHS])
    means = [np.mean(losses[:4]), np.mean(losses[4:])]
    assert [line["loss"] for line in found] == pytest.approx(means, rel=1e-12)
    of_epochs = [line["loss"] for line in lines(undisturbed.run, "epoch")]
    assert of_epochs == pytest.approx([np.mean(losses[:3]), np.mean(losses[3:])], rel=1e-12)


@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_run_that_ends_after_a_checkpoint_goes_on_to_the_bit(
    undisturbed: Undisturbed, tmp_path: Path, step: int
) -> None:
    with dying(step, "saved"), pytest.raises(Death):
        undisturbed.begin(tmp_path / "run")
    state = state_of(tmp_path / "run")
    assert state["step"] == step
    assert (state["window"][1], state["epoch"][1]) == (step % 4, step % 3)  # both are under way
    with safe_open(tmp_path / "run/weights.safetensors", "pt") as file:
        assert json.loads(file.metadata()["fcmae"])["step"] == step
    assert_same(undisturbed.resume(tmp_path / "run", step), undisturbed.run)


@pytest.mark.parametrize(
    ("step", "after"),
    [
        pytest.param(2, 0, id="begins-again"),
        pytest.param(3, 2, id="ends-an-epoch-again"),
        pytest.param(5, 1, id="four-steps-again"),
    ],
)
def test_steps_beyond_the_checkpoint_are_computed_again_and_their_lines_forgotten(
    undisturbed: Undisturbed, tmp_path: Path, step: int, after: int
) -> None:
    with dying(step, "logged", {after}), pytest.raises(Death):
        undisturbed.begin(tmp_path / "run")
    assert_same(undisturbed.resume(tmp_path / "run", after), undisturbed.run)


def test_a_run_that_was_asked_to_stop_in_mid_epoch_goes_on_to_the_bit(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with dying(5, "computed", die=be_asked_to_stop), pytest.raises(Interrupted):
        undisturbed.begin(tmp_path / "run", checkpoint_minutes=5.0)
    assert state_of(tmp_path / "run")["step"] == 5
    timing = tmp_path / "run/timing.jsonl"
    (line,) = map(json.loads, timing.read_text().splitlines())
    timing.write_text(json.dumps(line | {"seconds": 1000.0}) + "\n")  # as if it had been slow
    assert_same(undisturbed.resume(tmp_path / "run", 5, workers=1), undisturbed.run)
    before, after = (json.loads(line)["seconds"] for line in timing.read_text().splitlines())
    assert before == 1000 < after < 2000


KILLS = {"fcmae": (5, "torn"), "moco-v3": (2, "logged"), "finetune": (4, "between")}


def test_a_process_that_is_killed_goes_on_to_the_bit(
    undisturbed: Undisturbed, tmp_path: Path, processes: ForkServerContext
) -> None:
    run, (step, moment) = tmp_path / "run", KILLS[undisturbed.kind]
    options = {**undisturbed.options, "out": str(run)}
    victim = processes.Process(target=child, args=(undisturbed.kind, options, step, moment))
    victim.start()
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    left_by = {
        "logged": {"last"},
        "torn": {"last", "unfinished"},
        "between": {"previous", "unfinished"},
    }
    assert {path.name for path in (run / "checkpoints").iterdir()} == left_by[moment]
    # What was restored is kept in its turn.
    with dying(6, "logged"), pytest.raises(Death):
        undisturbed.resume(run, step - 1, checkpoint_minutes=0.0)
    assert_same(undisturbed.resume(run, 5), undisturbed.run)


def test_a_finished_run_is_left_as_it_is(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "write_report", write_report)
    run = shutil.copytree(undisturbed.run, tmp_path / "run")
    undisturbed.resume(run, STEPS)
    assert_same(run, undisturbed.run)
    for name in ("config.json", "timing.jsonl", "report.html"):
        assert (run / name).read_bytes() == (undisturbed.run / name).read_bytes(), name


def test_files_that_could_not_be_read_are_not_forgotten(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable, "TOLERATED", 0.2)  # of fifteen files
    data = shutil.copytree(pictures, tmp_path / "data")
    (data / "broken.png").write_bytes(b"not a picture")
    begin = functools.partial(
        fcmae.pretrain, **{**COMMON, **KINDS["fcmae"].options, "epochs": 1}, data=str(data)
    )
    whole = begin(out=str(tmp_path / "whole"))
    with dying(2, "saved"), pytest.raises(Death):
        begin(out=str(tmp_path / "run"))
    # It was met before the end, and is not met again.
    assert [name for name, _ in state_of(tmp_path / "run")["unreadable"]] == ["broken.png"]
    assert_same(fcmae.pretrain(out=str(tmp_path / "run"), resume=True), whole)


def test_running_statistics_go_on_too(pictures: Path, tmp_path: Path) -> None:
    options = {**COMMON, **KINDS["fcmae"].options, "epochs": 1, "data": str(pictures)}
    options["set"] = (*options["set"], "response=batch")
    whole = fcmae.pretrain(**options, out=str(tmp_path / "whole"))
    # The step that is under way has moved them when it is cut short.
    asked = dying(2, "computed", die=be_asked_to_stop)
    for name, dies, left in (("saved", dying(2, "saved"), Death), ("asked", asked, Interrupted)):
        with dies, pytest.raises(left):
            fcmae.pretrain(**options, out=str(tmp_path / name))
        with goes_on(2, to=3):
            assert_same(fcmae.pretrain(out=str(tmp_path / name), resume=True), whole)
    kept = load_file(whole / "checkpoints/last/model.safetensors")
    assert any("running" in name for name in kept)


# What follows the weights: by hand, from those of every step


@contextmanager
def recorded(task: type[Any]) -> Iterator[dict[int, dict[str, Tensor]]]:
    """All weights after each step, whichever run of this block computed it last; 0: the first."""
    measure, run = task.measure, Trainer.run
    states: dict[int, dict[str, Tensor]] = {}

    def record(self: Any, step: int) -> None:
        states[step] = {name: value.clone() for name, value in self.kept.state_dict().items()}

    def measured(self: Any, journal: Any, step: int) -> Any:
        if step == 0:
            record(self, 0)
        return measure(self, journal, step)

    def followed(self: Any) -> None:
        task = self.task
        task.followers = (*task.followers, functools.partial(record, task))
        run(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "measure", measured)
        patch.setattr(Trainer, "run", followed)
        yield states


def following(
    states: dict[int, dict[str, Tensor]], prefix: str, share_kept: Callable[[int], float], step: int
) -> dict[str, Tensor]:
    """What follows the weights under a prefix from the first ones on, after a step; float64."""
    names = [name.removeprefix(prefix) for name in states[0] if name.startswith(prefix)]
    found = {name: states[0][prefix + name].double() for name in names}
    for number in range(1, step + 1):
        share = share_kept(number)
        found = {
            name: share * value + (1 - share) * states[number][prefix + name].double()
            for name, value in found.items()
        }
    return found


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Up to the rounding of a few steps in float32."""
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-6)


def part_of(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def test_keys_follow_as_by_hand_over_a_resume(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with recorded(PretrainingTask) as states:
        with dying(4, "computed", (2,)), pytest.raises(Death):
            fcmae.pretrain(**COMMON, **KINDS["moco-v3"].options, data=str(pictures), out=str(run))
        fcmae.pretrain(out=str(run), resume=True)
    keys = following(
        states,
        "query.",
        lambda step: 1 - (1 - 0.6) * (1 + np.cos(np.pi * step / STEPS)) / 2,
        STEPS,
    )
    kept = load_file(run / "checkpoints/last/model.safetensors")
    assert_close(part_of(kept, "key."), keys)
    apart = part_of(kept, "query.")["encoder.stages.0.0.pwconv1.weight"]
    assert (apart - keys["encoder.stages.0.0.pwconv1.weight"]).abs().max() > 1e-3


# Fine-tuning: the best epoch, and the end before the end

RIGHT = (2, 9, 5, 9, 1, 21, 21)  # of 21 images, by epoch: the second is the best, and a tie is none
OF_MODEL = (20, 1, 21, 1, 20, 1, 1)  # where the average is what counts
PATIENCE, BEST, LAST = 3, 2, 5
LONG: dict[str, Any] = {
    **COMMON,
    "epochs": len(RIGHT),
    "micro_batch_size": 4,
    "patience": PATIENCE,
}
DECAY = 0.55
CALM = ("mixup=0", "cutmix=0", "rand_augment=0,0", "random_erasing=0", "base_learning_rate=0.02")


@contextmanager
def scripted() -> Iterator[None]:
    """Every epoch has the accuracy that is written above, whenever it is computed."""
    measure, validate = FinetuningTask.measure, finetuning.validate
    current = 0

    def ended(self: FinetuningTask, journal: Any, step: int) -> Any:
        nonlocal current
        current = step // STEPS_PER_EPOCH
        return measure(self, journal, step)

    def validated(models: Any, *images: Any, **options: Any) -> Any:
        found, unread = validate(models, *images, **options)
        rights = [OF_MODEL[current - 1], RIGHT[current - 1]][-len(models) :]
        return [as_if(each, right) for each, right in zip(found, rights, strict=True)], unread

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FinetuningTask, "measure", ended)
        patch.setattr(finetuning, "validate", validated)
        yield


def as_if(validation: Validation, right: int) -> Validation:
    """The first so many images are told right."""
    number = len(validation.predictions.ranks)
    assert number == 21
    ranks = (torch.arange(number) >= right).long()
    return dataclasses.replace(
        validation, predictions=dataclasses.replace(validation.predictions, ranks=ranks)
    )


class Stopped(NamedTuple):
    """A run that stopped early and that nothing disturbed."""

    options: dict[str, Any]
    run: Path
    states: dict[int, dict[str, Tensor]]  # of each step


@pytest.fixture(scope="module")
def stopped(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Stopped]:
    """With an average of the weights or without."""

    @functools.cache
    def stop(average: bool) -> Stopped:
        options = {**LONG, "data": str(classes), "set": (*CALM, f"ema={DECAY if average else 0}")}
        out = tmp_path_factory.mktemp("stopped") / "run"
        with scripted(), recorded(FinetuningTask) as states:
            run = fcmae.finetune(**options | {"checkpoint_minutes": 5.0}, out=str(out))
        return Stopped(options, run, states)

    return stop


@pytest.mark.parametrize("average", [True, False])
def test_the_best_epoch_stays_the_best_and_patience_counts_from_it(
    stopped: Callable[[bool], Stopped], average: bool
) -> None:
    _, run, states = stopped(average)
    end = LAST * STEPS_PER_EPOCH
    found = json.loads((run / "validation.json").read_text())
    assert (found["epoch"], found["accuracy"]) == (BEST, 9 / 21)
    assert found["of"] == ("average" if average else "model")
    rates = [
        line["average"]["accuracy"] if average else line["accuracy"]
        for line in lines(run, "validation")
    ]
    assert rates == [right / 21 for right in RIGHT[:LAST]]
    assert [(line["step"], line["epoch"]) for line in lines(run, "stop")] == [(end, LAST)]
    every = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert every[-1]["kind"] == "stop"
    assert max(states) == end
    state = state_of(run)
    assert (state["step"], state["stopped"]) == (end, True)
    assert state["task"] == {"best": {"epoch": BEST, "accuracy": 9 / 21}}


@pytest.mark.parametrize("average", [True, False])
def test_what_is_kept_is_of_the_best_epoch_and_of_the_last(
    stopped: Callable[[bool], Stopped], average: bool
) -> None:
    _, run, states = stopped(average)
    prefix = "average." if average else "model."
    for name, step in (("best", BEST * STEPS_PER_EPOCH), ("weights", LAST * STEPS_PER_EPOCH)):
        weights = load_file(run / f"{name}.safetensors")
        expected = part_of(states[step], prefix)
        assert weights.keys() == expected.keys()
        assert [key for key in weights if not torch.equal(weights[key], expected[key])] == []
    if average:
        assert not torch.equal(weights["head.weight"], states[step]["model.head.weight"])


@pytest.mark.parametrize(
    ("average", "step", "moment", "after"),
    [
        pytest.param(True, 7, "logged", 5, id="finds-the-best-again"),
        pytest.param(True, 8, "saved", 8, id="knows-the-best"),
        pytest.param(True, 15, "logged", 13, id="stops-again"),
        pytest.param(True, 15, "saved", 15, id="has-stopped"),
        pytest.param(False, 8, "saved", 8, id="knows-the-best-without-an-average"),
    ],
)
def test_a_run_that_dies_after_its_best_epoch_ends_as_if_it_had_not(
    stopped: Callable[[bool], Stopped],
    tmp_path: Path,
    average: bool,
    step: int,
    moment: str,
    after: int,
) -> None:
    options, undisturbed, _ = stopped(average)
    run = tmp_path / "run"
    with scripted(), recorded(FinetuningTask) as states:
        with dying(step, moment, {after}), pytest.raises(Death):
            fcmae.finetune(**options, out=str(run))
        with goes_on(after, to=LAST * STEPS_PER_EPOCH):
            fcmae.finetune(out=str(run), resume=True, checkpoint_minutes=5.0)
    assert_same(run, undisturbed)
    if average:
        by_hand = following(
            states,
            "model.",
            lambda update: min(DECAY, (1 + update) / (10 + update)),
            LAST * STEPS_PER_EPOCH,
        )
        kept = load_file(run / "checkpoints/last/model.safetensors")
        assert_close(part_of(kept, "average."), by_hand)


def test_a_run_that_stopped_early_is_left_as_it_is(
    stopped: Callable[[bool], Stopped], tmp_path: Path
) -> None:
    before = stopped(True).run
    run = shutil.copytree(before, tmp_path / "run")
    with scripted(), recorded(FinetuningTask) as states:
        fcmae.finetune(out=str(run), resume=True)
    assert not states
    assert_same(run, before)
