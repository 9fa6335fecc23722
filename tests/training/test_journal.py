"""What a run writes as it goes, and what it forgets when it is resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fcmae.training.journal import Journal


def step(number: int, loss: float = 0.5) -> dict[str, Any]:
    return {"kind": "step", "step": number, "loss": loss}


def numbers(path: Path) -> list[int]:
    """The steps of the lines, each of which must be whole."""
    text = path.read_text()
    assert text.endswith("\n") or not text
    return [json.loads(line)["step"] for line in text.splitlines()]


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    """The metrics of a run of six steps."""
    with Journal(tmp_path, resumed_at=-1) as journal:
        journal.metrics({"kind": "look", "step": 0, "diversity": [{"block": "a", "distance": 0.5}]})
        for number in range(1, 7):
            journal.metrics(step(number))
            journal.timing({"step": number, "images_per_second": 10.0 * number})
    return tmp_path / "metrics.jsonl"


def test_the_clock_goes_on_where_the_last_kept_line_left_it(tmp_path: Path) -> None:
    with Journal(tmp_path, resumed_at=-1) as journal:
        assert journal.seconds == 0
        for number in (2, 4, 6):
            journal.timing({"step": number, "seconds": 10.0 * number})
    for resumed_at, seconds in ((4, 40.0), (1, 0.0)):
        with Journal(tmp_path, resumed_at) as journal:
            assert journal.seconds == seconds


def test_each_line_is_json_as_it_was_given(metrics: Path) -> None:
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert lines[0]["diversity"] == [{"block": "a", "distance": 0.5}]
    assert lines[1:] == [step(number) for number in range(1, 7)]


def test_numbers_keep_every_digit(tmp_path: Path) -> None:
    with Journal(tmp_path, resumed_at=-1) as journal:
        journal.metrics(step(1, loss=0.1 + 0.2))
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["loss"] == 0.1 + 0.2


def test_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path, resumed_at=-1) as journal:
        journal.metrics(step(1))
        journal.timing({"step": 1, "seconds": 0.25})
        assert numbers(tmp_path / "metrics.jsonl") == [1]
        assert numbers(tmp_path / "timing.jsonl") == [1]


def test_how_fast_it_went_stays_out_of_the_metrics(metrics: Path) -> None:
    assert "images_per_second" not in metrics.read_text()
    assert numbers(metrics.with_name("timing.jsonl")) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("at", "left"), [(-1, []), (0, [0]), (4, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4, 5, 6])]
)
def test_a_resumed_run_forgets_what_came_after_its_checkpoint(
    metrics: Path, at: int, left: list[int]
) -> None:
    with Journal(metrics.parent, resumed_at=at):
        pass
    assert numbers(metrics) == left
    assert numbers(metrics.with_name("timing.jsonl")) == [number for number in left if number]


def test_a_resumed_run_writes_the_same_bytes(metrics: Path) -> None:
    before = metrics.read_bytes()
    with Journal(metrics.parent, resumed_at=3) as journal:
        for number in (4, 5, 6):
            journal.metrics(step(number))
    assert metrics.read_bytes() == before


@pytest.mark.parametrize("length", [1, 12, -1])
def test_a_half_written_last_line_is_dropped(metrics: Path, length: int) -> None:
    torn = (json.dumps(step(4)))[:length]
    with metrics.open("a") as file:
        file.write(torn)
    with Journal(metrics.parent, resumed_at=6) as journal:
        journal.metrics(step(7))
    assert numbers(metrics) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_last_line_that_lacks_only_its_end_is_kept_whole(metrics: Path) -> None:
    metrics.write_text(metrics.read_text().removesuffix("\n"))
    with Journal(metrics.parent, resumed_at=6) as journal:
        journal.metrics(step(7))
    assert numbers(metrics) == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("rubbish", [b"\0" * 40, b"\xff\xfe\x80", b"null", b"3", b"{}", b"\n\n"])
def test_what_a_power_cut_leaves_at_the_end_is_dropped(metrics: Path, rubbish: bytes) -> None:
    with metrics.open("ab") as file:
        file.write(rubbish)
    with Journal(metrics.parent, resumed_at=6):
        pass
    assert numbers(metrics) == [0, 1, 2, 3, 4, 5, 6]


def test_a_new_run_leaves_both_files_even_if_nothing_happens(tmp_path: Path) -> None:
    with Journal(tmp_path, resumed_at=-1):
        pass
    assert numbers(tmp_path / "metrics.jsonl") == []
    assert numbers(tmp_path / "timing.jsonl") == []


def scalars(run: Path, tag: str) -> list[tuple[int, float]]:
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    return [(event.step, event.value) for event in board.Scalars(tag)]


def test_tensorboard_shows_every_number(metrics: Path) -> None:
    assert scalars(metrics.parent, "step/loss") == [(number, 0.5) for number in range(1, 7)]
    assert scalars(metrics.parent, "timing/images_per_second")[-1] == (6, 60.0)


def test_tensorboard_shows_a_resumed_step_once(metrics: Path) -> None:
    with Journal(metrics.parent, resumed_at=3) as journal:
        journal.metrics(step(4, loss=0.25))
    kept = [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.25)]
    assert scalars(metrics.parent, "step/loss") == kept
