from pathlib import Path

from fcmae.report.key_figures import epochs, key_figures, seconds_left
from fcmae.report.read import read_run


def step(number: int, loss: float) -> dict[str, object]:
    return {"kind": "step", "step": number, "epoch": number / 2, "loss": loss}


def test_key_figures_of_a_full_run(full_run: Path) -> None:
    figures = {figure.name: figure.value for figure in key_figures(read_run(full_run))}
    assert figures == {
        "Loss": "0.803",
        "Epochs": "2",
        "Images": "4,000",
        "Time": "5 s",
        "Images a second": "52",
        "Waiting for images": "4 %",
    }


def test_time_left_follows_from_the_median_speed(make_run) -> None:
    timing = [
        {"step": s, "images_per_second": rate} for s, rate in ((1, 32.0), (2, 64.0), (3, 640.0))
    ]
    run = read_run(make_run([step(3, 1.0)], timing, {"steps": 13}))
    assert seconds_left(run) == 10.0  # ten batches of 64


def test_a_run_that_stopped_early_has_no_time_left_and_not_all_epochs(make_run) -> None:
    stop = {"kind": "stop", "step": 6, "epoch": 3, "because": "no better"}
    timing = [{"step": 6, "images_per_second": 64.0}]
    metrics = [step(6, 1.0), stop]
    run = read_run(make_run(metrics, timing, {"steps": 200, "epochs": 100}))
    assert run.finished
    assert seconds_left(run) == 0
    assert epochs(run).value == "3 of 100"
