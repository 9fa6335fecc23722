"""A task that only the tests have, in iterations and with label maps, runs as the others do."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_segmentation
from safetensors.torch import load_file
from torch import Tensor, nn
from toy_segmentation import SegmentationTask, draw_data, segment

from fcmae import report
from fcmae.training import journal

STEPS, EVERY = 23, 7
QUICK: dict[str, Any] = {"workers": 0, "device": "cpu", "statistics": "data"}


@pytest.fixture(autouse=True)
def _on_a_page_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of pages has a row for it; TensorBoard's files are not looked at."""
    monkeypatch.setitem(report.PAGES, "segment", "toy_segmentation:page")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_data(tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(report.PAGES, "segment", "toy_segmentation:page")
        return segment(data=data, out=tmp_path_factory.mktemp("runs") / "run", **QUICK)


def lines(run: Path, kind: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (run / journal.METRICS).read_text().splitlines()]
    return [line for line in every if line["kind"] == kind]


def test_its_length_and_its_schedule_are_in_steps(finished: Path) -> None:
    steps = lines(finished, "step")
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    rates = [line["learning_rate"] for line in steps]
    assert rates[0] == 0
    assert max(rates) == rates[2] == pytest.approx(3.0 * 4 / 256)  # 2 steps an epoch warm up
    assert rates[-1] < rates[2] / 50
    assert (finished / "config.json").read_text().count('"iterations": 23') == 2  # options, plan


def test_it_measures_itself_every_so_many_steps_and_at_the_end(finished: Path) -> None:
    ends = [EVERY, 2 * EVERY, 3 * EVERY, STEPS]
    assert [(line["step"], line["period"]) for line in lines(finished, "period")] == [
        *zip(ends, (1, 2, 3, 4), strict=True)
    ]
    assert [line["step"] for line in lines(finished, "validation")] == [0, *ends]


def test_it_learns_and_keeps_the_weights_of_its_best_validation(finished: Path) -> None:
    scores = [line["mean_iou"] for line in lines(finished, "validation")]
    assert max(scores) > scores[0] + 0.1
    state = json.loads((finished / "checkpoints/last/state.json").read_text())
    best = scores.index(max(scores))
    assert state["task"] == {"best": {"period": best, "mean_iou": max(scores)}}
    assert (finished / "best.safetensors").exists()


def test_its_report_is_its_own(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "Segmented." in page
    assert "Throughput" in page


@pytest.mark.parametrize("dies", [1, 9, 14, 22])
def test_it_dies_and_goes_on_to_the_bit(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: int
) -> None:
    calls, loss = [0], SegmentationTask.loss

    def dying(self: SegmentationTask, module: nn.Module, images: Tensor, other: Tensor) -> Any:
        calls[0] += 1
        if calls[0] > dies:
            raise KeyboardInterrupt
        return loss(self, module, images, other)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "loss", dying)
        with pytest.raises(KeyboardInterrupt):
            segment(data=data, out=run, checkpoint_minutes=0, **QUICK)
    segment(out=run, resume=True)
    assert (run / journal.METRICS).read_bytes() == (finished / journal.METRICS).read_bytes()
    for name in ("weights", "best"):
        again, once = (load_file(one / f"{name}.safetensors") for one in (run, finished))
        assert all(torch.equal(again[key], once[key]) for key in once)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 3])
def test_micro_batches_add_up_although_each_has_another_number_of_labelled_pixels(
    data: Path, finished: Path, tmp_path: Path, micro_batch_size: int
) -> None:
    run = segment(data=data, out=tmp_path / "run", micro_batch_size=micro_batch_size, **QUICK)
    for mine, whole in zip(lines(run, "step"), lines(finished, "step"), strict=True):
        assert mine["loss"] == pytest.approx(whole["loss"], rel=1e-3)
    assert lines(run, "step")[0]["loss"] == pytest.approx(lines(finished, "step")[0]["loss"])
    ours, theirs = (load_file(one / "weights.safetensors") for one in (run, finished))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_its_dry_run_says_what_it_would_cost(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(data=data, out=tmp_path / "run", dry_run=True, **QUICK)
    assert "measured on 4 images of the first step" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_names_the_images(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = SegmentationTask.prepare

    def poisoned(self: SegmentationTask, batch: Any) -> tuple[Tensor, Tensor]:
        images, other = prepare(self, batch)
        images[[index == 3 for index in batch.indices]] = float("nan")
        return images, other

    monkeypatch.setattr(SegmentationTask, "prepare", poisoned)
    with pytest.raises(RuntimeError, match=r"images: 03\.png"):
        segment(data=data, out=tmp_path / "run", **QUICK)


def test_the_task_is_none_of_the_packages() -> None:
    assert not toy_segmentation.__name__.startswith("fcmae")
