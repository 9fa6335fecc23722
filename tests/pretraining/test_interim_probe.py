"""Accuracies measured during a run: when, on what, without a trace in what is trained."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from two_processes import run_pair, take_part

from fcmae.commands.pretrain import pretrain
from fcmae.images import open_splits
from fcmae.models.encoder import Encoder
from fcmae.pretraining.interim_probe import InterimProbe
from fcmae.pretraining.task import PretrainingTask
from fcmae.probes import knn
from fcmae.training.devices import Runtime

TINY: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 8,
    "image_size": "32x48",
    "stem_stride": 2,
    "set": ("decoder_width=16", "base_learning_rate=0.01", "warmup_epochs=0.5"),
    "workers": 0,
    "device": "cpu",
}
CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox")  # more than five: there is a top 5


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stripes of six widths under noise, four and one third as many for validation."""
    root = tmp_path_factory.mktemp("labelled")
    noise = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        for split, images in (("train", 5), ("val", 2)):
            (root / split / name).mkdir(parents=True)
            for i in range(images):
                stripes = 127 + 60 * np.sin(np.arange(50 + i) / (1 + number))
                pixels = stripes[:, None] + noise.normal(0, 40, (41, 50 + i, 3))
                array = pixels.clip(0, 255).astype(np.uint8)
                np.save(root / split / name / f"{split}{i}.npy", array)
    return root


@pytest.fixture(scope="module")
def options(folder: Path, labelled: Path) -> dict[str, Any]:
    return {**TINY, "data": str(folder), "probe_data": str(labelled), "probe_every": 2}


@pytest.fixture(scope="module")
def probed(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    return pretrain(**options, out=str(tmp_path_factory.mktemp("runs") / "probed"))


def lines(run: Path, kind: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in every if line["kind"] == kind]


def same_files(one: Path, other: Path, *names: str) -> None:
    trained = ("weights.safetensors", "checkpoints/last/model.safetensors")
    for name in (*trained, "checkpoints/last/optimizer.safetensors", *names):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


# Whole runs


def test_it_is_measured_before_every_so_often_and_at_the_end(probed: Path) -> None:
    found = lines(probed, "probe")
    assert [(line["epoch"], line["step"]) for line in found] == [(0, 0), (2, 6), (3, 9)]
    for line in found:
        assert list(line) == ["kind", "step", "epoch", "k", "top_1", "top_5", "images"]
        assert (line["k"], line["images"]) == (20, [30, 12])
        assert 0 <= line["top_1"] <= line["top_5"] <= 1
    config = json.loads((probed / "config.json").read_text())
    assert config["options"]["probe_every"] == 2
    assert (config["probe"]["images"], config["probe"]["classes"]) == ([30, 12], 6)
    assert 'id="neighbours"' in (probed / "report.html").read_text()


def test_what_is_trained_does_not_notice(
    probed: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    without = {name: value for name, value in options.items() if not name.startswith("probe")}
    plain = pretrain(**without, out=str(tmp_path / "plain"))
    same_files(probed, plain)
    rest = [
        line
        for line in (probed / "metrics.jsonl").read_text().splitlines()
        if '"probe"' not in line
    ]
    assert rest == (plain / "metrics.jsonl").read_text().splitlines()
    assert 'id="neighbours"' not in (plain / "report.html").read_text()


def _run(options: dict[str, Any]) -> None:
    pretrain(**options)


def _count(run: Path, kind: str) -> int:
    try:
        return (run / "metrics.jsonl").read_text().count(f'"kind": "{kind}"')
    except FileNotFoundError:
        return 0


def _wait(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.002)


def test_killed_and_resumed_is_exact(
    probed: Path, options: dict[str, Any], tmp_path: Path, processes: ForkServerContext
) -> None:
    out = tmp_path / "killed"
    # While epoch 2 is measured, and once that is written but may have no checkpoint yet.
    for kill, (kind, number) in enumerate((("step", 6), ("probe", 2))):
        more = {"out": str(out), "checkpoint_minutes": 0.0, "resume": kill > 0}
        process = processes.Process(target=_run, args=({**options, **more},))
        process.start()
        _wait(
            lambda kind=kind, number=number, process=process: (
                _count(out, kind) >= number or not process.is_alive()
            )
        )
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    pretrain(out=str(out), resume=True, workers=1)  # readers of their own change nothing
    same_files(probed, out, "metrics.jsonl")


def _rank(rank: int, port: int, options: dict[str, Any]) -> None:
    take_part(rank, port)
    torch.set_num_threads(1)
    pretrain(**options)


def test_one_of_two_processes_measures(
    probed: Path, options: dict[str, Any], tmp_path: Path, processes: ForkServerContext
) -> None:
    more = {**options, "out": str(tmp_path / "two")}
    run_pair(processes, _rank, more)
    ours, theirs = lines(probed, "probe"), lines(tmp_path / "two", "probe")
    assert theirs[0] == ours[0]  # the untrained network is the same to the bit
    assert [line["epoch"] for line in theirs] == [0, 2, 3]


# Resuming


def test_how_often_may_be_given_anew(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = PretrainingTask.measure

    def broken(self: PretrainingTask, journal: Any, step: int) -> Any:
        if step > 0:
            raise RuntimeError("at epoch 1")
        return measure(self, journal, step)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(PretrainingTask, "measure", broken)
        with pytest.raises(RuntimeError, match="at epoch 1"):
            pretrain(**options, out=str(run), checkpoint_minutes=0.0)
    pretrain(out=str(run), resume=True, probe_every=1)
    assert [line["epoch"] for line in lines(run, "probe")] == [0, 1, 2, 3]


def test_a_folder_that_moved_is_the_same_and_another_is_refused(
    probed: Path, labelled: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(labelled, tmp_path / "moved")
    pretrain(out=str(probed), resume=True, probe_data=str(moved), dry_run=True)
    next((moved / "val").rglob("*.npy")).rename(moved / "val" / "ant" / "renamed.npy")
    with pytest.raises(ValueError, match="one curve cannot be of both"):
        pretrain(out=str(probed), resume=True, probe_data=str(moved), dry_run=True)


# Bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"probe_data": None}, "probe_every 2 needs --probe-data"),
        ({"probe_every": None}, "needs --probe-every"),
        ({"probe_every": 0}, "probe_every 0: at least 1"),
        ({"probe_data": "/no/such/folder"}, "probe_data: .*/no/such/folder.* no folder train"),
        ({"in_channels": 13, "statistics": "data", "probe_data": "sample"}, "channels 13"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written_or_deleted(
    options: dict[str, Any], tmp_path: Path, folder: Path, changes: dict[str, Any], words: str
) -> None:
    if "in_channels" in changes:
        for i in range(8):
            (tmp_path / "arrays").mkdir(exist_ok=True)
            np.save(tmp_path / "arrays" / f"{i}.npy", np.full((40, 50, 13), i, np.uint8))
        changes = {**changes, "data": str(tmp_path / "arrays")}
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"options": {}, "plan": {}}')
    for dry_run in (True, False):
        with pytest.raises(ValueError, match=words):
            pretrain(**options | changes, out=str(run), overwrite=True, dry_run=dry_run)
    assert {path.name for path in run.iterdir()} == {"config.json"}


def _emptied(labelled: Path, runtime: Path, pattern: str) -> Path:
    data = shutil.copytree(labelled, runtime)
    for path in data.glob(pattern):
        path.write_bytes(b"")
    return data


def test_images_that_cannot_be_read_are_said_first(
    options: dict[str, Any], labelled: Path, tmp_path: Path
) -> None:
    data = _emptied(labelled, tmp_path / "empty", "val/*/*.npy")
    with pytest.raises(ValueError, match=r"(?s)probe_data: .*can be read.*val0\.npy: empty file"):
        pretrain(**options | {"probe_data": str(data)}, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_fewer_labels_than_neighbours_are_refused(
    options: dict[str, Any], labelled: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(labelled, tmp_path / "few")
    for path in data.glob("train/*/train[2-4].npy"):
        path.unlink()
    with pytest.raises(ValueError, match="has 12 images in train: at least 20"):
        pretrain(**options | {"probe_data": str(data)}, out=str(tmp_path / "run"))


def test_a_run_among_the_images_is_refused(options: dict[str, Any], labelled: Path) -> None:
    with pytest.raises(ValueError, match="lies inside data"):
        pretrain(**options, out=str(labelled / "train" / "ant" / "run"), dry_run=True)
    pretrain(**options, out=str(labelled / "run"), dry_run=True)  # which no split would list


def test_images_that_vanish_are_said_to_be_those_of_the_probe(
    labelled: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(labelled, tmp_path / "data")
    probe = _probe(data, 3)
    shutil.rmtree(data / "val")
    with pytest.raises(ValueError, match=r"^probe_data: 12 of 12 files are unreadable"):
        probe.measure(
            Encoder("convnextv2_atto", stem_stride=2), Runtime(torch.device("cpu"), "fp32")
        )


# The parts


def _probe(data: Path, channels: int, every: int = 2) -> InterimProbe:
    train, val = open_splits(data)
    return InterimProbe(
        data=str(data),
        train=train,
        val=val,
        every=every,
        image_size=(32, 48),
        mean=(0.5,) * channels,
        std=(0.3,) * channels,
        workers=0,
    )


@pytest.mark.parametrize(
    ("every", "epochs", "expected"),
    [(1, 1, [0, 1]), (2, 5, [0, 2, 4, 5]), (2, 4, [0, 2, 4]), (800, 3, [0, 3])],
)
def test_epochs_that_are_measured(
    labelled: Path, every: int, epochs: int, expected: list[int]
) -> None:
    probe = _probe(labelled, 3, every)
    assert [epoch for epoch in range(epochs + 1) if probe.is_due(epoch, epochs)] == expected


def test_the_images_said_are_those_used(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _emptied(labelled, tmp_path / "data", "train/fox/train0.npy")  # one of 30: tolerated
    monkeypatch.setattr(knn, "VAL", 5)
    encoder = Encoder("convnextv2_atto", in_channels=1, stem_stride=2)
    encoder.checkpoint_blocks = True
    found = _probe(data, 1).measure(encoder, Runtime(torch.device("cpu"), "fp32"))
    assert found["images"] == (29, 5)
    assert encoder.training
