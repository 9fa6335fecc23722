import math
from pathlib import Path

import pytest

from fcmae.report.run import read_run


def test_a_whole_run_is_read(full_run: Path) -> None:
    run = read_run(full_run)
    assert run.steps.loss.tolist() == [1.02, 0.9, 0.8, 0.71]
    assert run.epochs.loss.tolist() == [0.96, 0.755]
    assert [line["epoch"] for line in run.others["look"]] == [0, 1, 2]
    assert run.timing.seconds[-1] == pytest.approx(4.8)
    assert run.unreadable == (("a/broken.jpg", "image file is truncated"),)
    assert run.image_size == (64, 96)
    assert run.finished


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json.*--out"):
        read_run(tmp_path)


def test_a_run_that_has_only_begun_is_empty_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    run = read_run(tmp_path)
    assert len(run.steps.step) == len(run.timing.step) == len(run.others["look"]) == 0
    assert not run.finished
    assert run.last_step == 0
    assert math.isnan(run.number("model", "parameters"))


def test_a_half_written_line_is_no_line(make_run) -> None:
    folder = make_run([{"kind": "step", "step": 1, "loss": 0.9}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('null\n{"kind": "step", "step": 2, "lo')
    assert read_run(folder).steps.step.tolist() == [1]


def test_values_that_are_missing_or_null_are_not_numbers(make_run) -> None:
    folder = make_run([{"kind": "step", "step": 1}, {"kind": "step", "step": 2, "loss": None}])
    assert [math.isnan(loss) for loss in read_run(folder).steps.loss] == [True, True]


def test_steps_come_in_order_whatever_the_file_says(make_run) -> None:
    metrics = [{"kind": "step", "step": s, "loss": float(s)} for s in (3, 1, 2)]
    assert read_run(make_run(metrics)).steps.loss.tolist() == [1, 2, 3]


def test_a_stop_is_read(make_run) -> None:
    stop = {"kind": "stop", "step": 2, "epoch": 1, "because": "no better"}
    run = read_run(make_run([stop], config={"steps": 90}))
    assert run.stop is not None
    assert (run.stop.epoch, run.stop.because) == (1, "no better")
    assert run.finished
