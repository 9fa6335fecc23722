import pytest

from fcmae.report import summary
from fcmae.report.run import read_run


def step(number: int, loss: float) -> dict[str, object]:
    return {"kind": "step", "step": number, "epoch": number / 2, "loss": loss}


def test_how_far_a_run_is(make_run) -> None:
    def done(*metrics: dict[str, object], steps: int | None = 4) -> str:
        return summary.steps_done(read_run(make_run(metrics, config={"steps": steps})))

    assert done() == "Step 0 of 4 (0 %)."
    assert done(step(2, 0.9), steps=300) == "Step 2 of 300 (0 %)."
    assert done(step(1999, 1.0), steps=2000) == "Step 1,999 of 2,000 (99 %)."  # not quite done
    assert done(step(2, 0.9), steps=None) == "Step 2."
    assert done(step(4, 0.9)) == ""


def test_before_the_first_step_there_is_no_loss(make_run) -> None:
    assert summary.loss_sentence(read_run(make_run())) == "No step is logged yet."


@pytest.mark.parametrize(
    ("losses", "word"),
    [
        ([0.7, 0.9, 1.1, 1.3], "Loss rose"),
        ([1.0, 1.0, 1.0, 1.0], "Loss stayed"),
        ([1.0, None, None, 0.9], "not a finite number at step 2"),
        ([1.0, 0.9, float("inf"), float("nan")], "not a finite number at step 3"),
    ],
)
def test_bad_losses_are_called_bad(make_run, losses: list[float | None], word: str) -> None:
    run = read_run(make_run([step(i + 1, loss) for i, loss in enumerate(losses)]))
    assert word in summary.loss_sentence(run)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/flowers/train", "flowers/train"),
        ("flowers/", "flowers"),
        ("C:\\pictures\\birds", "birds"),
        ("train", "train"),
        ("sample", "sample"),
        ("", "unnamed images"),
    ],
)
def test_data_goes_by_its_name(make_run, path: str, name: str) -> None:
    assert summary.data(read_run(make_run(config={"data": {"path": path}}))) == name


def test_the_setting_leaves_out_what_is_unknown(make_run) -> None:
    unknown = {"model": {}, "created": "yesterday", "device": None}
    assert summary.setting(read_run(make_run(config=unknown))) == [
        "64 × 96 px",
        "60 % masked",
        "fp32",
    ]


@pytest.mark.parametrize(
    ("init", "share", "parts"),
    [
        ("scratch", 1.0, ["from scratch"]),
        ("runs/first", 0.1, ["from first", "10 % of the labels"]),
        ("runs/first/weights.safetensors", 1.0, ["from first/weights.safetensors"]),
    ],
)
def test_the_setting_says_what_a_fine_tuning_began_from(make_run, init, share, parts) -> None:
    run = read_run(make_run(config={"init": init, "label_share": share}))
    assert [part for part in summary.setting(run) if "from" in part or "labels" in part] == parts


def test_time_left_follows_from_the_median_speed(make_run) -> None:
    timing = [
        {"step": s, "images_per_second": rate} for s, rate in ((1, 32.0), (2, 64.0), (3, 640.0))
    ]
    run = read_run(make_run([step(3, 1.0)], timing, {"steps": 13}))
    assert summary.seconds_left(run) == 10.0  # ten batches of 64


def test_a_run_that_stopped_early_has_no_time_left_and_not_all_epochs(make_run) -> None:
    stop = {"kind": "stop", "step": 6, "epoch": 3, "because": "no better"}
    timing = [{"step": 6, "images_per_second": 64.0}]
    metrics = [step(6, 1.0), stop]
    run = read_run(make_run(metrics, timing, {"steps": 200, "epochs": 100}))
    assert run.finished
    assert summary.seconds_left(run) == 0
    assert summary.epochs(run).value == "3 of 100"


def test_the_time_is_the_highest_of_all_lines(make_run) -> None:
    timing = [{"step": 1, "seconds": 42.0}, {"step": 2, "seconds": None}]
    run = read_run(make_run(timing=timing))
    assert summary.speed(run)[0].value == "42 s"


def test_every_value_of_the_configuration_is_somewhere(make_run) -> None:
    found = dict(summary.configuration(read_run(make_run())))
    assert ("model.in_channels", "13") in found["Configuration"]
    assert ("image_size", "64, 96") in found["Configuration"]
    assert ("base_learning_rate", "1.5e-4") in found["Recipe, as this run used it"]
    assert found["Versions"] == [("fcmae", "0.1.0")]
