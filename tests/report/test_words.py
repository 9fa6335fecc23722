from pathlib import Path

import pytest

from fcmae.report import words
from fcmae.report.read import read_run


def step(number: int, loss: float | None) -> dict[str, object]:
    return {"kind": "step", "step": number, "epoch": number / 2, "loss": loss}


def look(distance: float, epoch: int = 2) -> dict[str, object]:
    blocks = [
        {"block": "stages.0.0", "distance": 0.5},
        {"block": "stages.3.0", "distance": distance},
    ]
    return {"kind": "look", "epoch": epoch, "step": 4, "diversity": blocks}


def test_a_finished_run_in_words(full_run: Path) -> None:
    assert words.verdict(read_run(full_run)) == (
        "Loss fell from 1.020 to 0.803 over 2 epochs (4 steps). "
        "The last block’s diversity is 0.38: no sign of collapse."
    )


def test_a_run_under_way_says_how_far_it_is(make_run) -> None:
    run = read_run(make_run([step(1, 1.0), step(2, 0.9)], config={"steps": 300}))
    assert words.verdict(run).startswith(
        "Step 2 of 300 (0 %). Loss fell from 1.000 to 0.950 so far"
    )


def test_not_quite_done_is_not_a_hundred_per_cent(make_run) -> None:
    run = read_run(make_run([step(1999, 1.0)], config={"steps": 2000}))
    assert "(99 %)" in words.verdict(run)


def test_a_run_before_its_first_step(make_run) -> None:
    run = read_run(make_run([look(0.01, epoch=0)]))
    assert words.verdict(run) == "Step 0 of 4 (0 %). No step is logged yet."


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([0.7, 0.9, 1.1, 1.3], "Loss rose"),
        ([1.0, 1.0, 1.0, 1.0], "Loss stayed"),
        ([1.0, None, None, 0.9], "not a finite number at step 2"),
        ([1.0, 0.9, float("inf"), float("nan")], "not a finite number at step 3"),
    ],
)
def test_bad_losses_are_called_bad(make_run, losses: list[float | None], says: str) -> None:
    run = read_run(make_run([step(i + 1, loss) for i, loss in enumerate(losses)]))
    assert says in words.verdict(run)


@pytest.mark.parametrize(
    ("distance", "says"),
    [(0.01, "have collapsed"), (0.1, "becoming alike"), (0.4, "no sign of collapse")],
)
def test_collapse_is_called_so(make_run, distance: float, says: str) -> None:
    run = read_run(make_run([step(1, 1.0), step(4, 0.8), look(distance)]))
    assert says in words.verdict(run)


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
    assert words.data(read_run(make_run(config={"data": {"path": path}}))) == name


def test_the_setting_leaves_out_what_is_unknown(make_run) -> None:
    unknown = {"model": {}, "created": "yesterday", "device": None}
    assert words.setting(read_run(make_run(config=unknown))) == [
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
    assert [part for part in words.setting(run) if "from" in part or "labels" in part] == parts


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({}, "Table 1"),
        ({"task": "finetune", "table": "Table 2"}, "Table 2"),
        ({"task": "finetune", "table": None}, "its table"),
    ],
)
def test_the_table_compared_with_is_named(make_run, config, name: str) -> None:
    assert words.table(read_run(make_run(config=config))) == name
