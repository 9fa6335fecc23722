"""What is said, on a terminal and where no one watches."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from plans import PAPER, pretraining_plan
from rich.console import Console

from fcmae.console import screen
from fcmae.console.screen import progress_bar, say, shown
from fcmae.pretraining.plan import Plan
from fcmae.training.recipe import Departure, announce


@pytest.fixture(autouse=True)
def _usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], io.StringIO]:
    """`terminal(True)`: what is written to a terminal; `terminal(False)`: to a file or a pipe."""

    def terminal(watched: bool) -> io.StringIO:
        written = io.StringIO()
        console = Console(file=written, force_terminal=watched, width=60, highlight=False)
        monkeypatch.setattr(screen, "console", console)
        return written

    return terminal


def plan(**options: Any) -> Plan:
    masked = {"patch_size": None, "mask_ratio": 0.6, "epochs": 800}
    return pretraining_plan(**{**PAPER, **masked, "data": "/data/[odd] name", **options})


# Lines


@pytest.mark.parametrize(
    "text",
    [
        "epoch 1 of 3: loss 0.9876",
        "weights: /runs/[bold]odd[/bold]/[1]/weights.safetensors",
        "out /runs/:dog:/:warning:",
        "C:\\runs\\",
        "a long line " * 30,
        "Ärger × β",
        "",
    ],
)
def test_a_line_is_said_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    captured = capsys.readouterr()
    assert captured.err == text + "\n"
    assert captured.out == ""  # which is left to what a command computes


# The plan


def test_the_papers_run_is_announced_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    announce("Table 1", plan(assignments=("decay_exempt=paper-code",)).departures, [])
    assert capsys.readouterr().err.strip() == "Table 1, with no departure"


def test_every_departure_is_announced_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    announce("Table 1", plan(batch_size=64, epochs=80, image_size=(160, 96)).departures, [])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "Table 1; departs in: batch_size 4096 -> 64; training_epochs 800, 1600 -> 80; "
        "image_size 224, 224 -> 160, 96; warmup_epochs 40 -> 4; decay_exempt paper-code -> fixed"
    )


def test_details_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    announce(
        "Table 1", plan().departures, [("data", "[red]/data[/red]: 13 images"), ("[odd]", ":dog:")]
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].rstrip().split(maxsplit=1) == ["data", "[red]/data[/red]: 13 images"]
    assert lines[1].split() == ["[odd]", ":dog:"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5e-4, "0.00015"),
        (1e-8, "1e-08"),
        (40.0, "40"),
        (4096, "4096"),
        (False, "False"),
        ("fixed", "fixed"),
        ((0.2, 1.0), "0.2, 1"),
        ([800, 1600], "800, 1600"),
    ],
)
def test_values_are_shown_as_one_would_write_them(value: object, text: str) -> None:
    assert shown(value) == text
    assert shown(Departure("field", value, value, "asked for").run) == text


# The bar


def test_only_the_process_that_writes_shows_a_bar(terminal: Callable[[bool], io.StringIO]) -> None:
    written = terminal(True)
    with progress_bar(shown=False) as bar:
        bar.add_task("pre-training", total=13, figures="")
    assert written.getvalue() == ""


def run_bar() -> None:
    with progress_bar() as bar:
        task = bar.add_task("pre-training", total=13, completed=4, figures="")
        say("epoch 1 of 3: loss 0.9876")
        bar.update(task, completed=5, figures="loss 0.9")
        bar.refresh()


def test_a_terminal_shows_a_bar_that_goes_away(
    terminal: Callable[[bool], io.StringIO],
) -> None:
    written = terminal(True)
    run_bar()
    text = written.getvalue()
    assert "5/13" in text
    assert "loss 0.9" in text
    assert "epoch 1 of 3: loss 0.9876" in text
    assert text.endswith("\x1b[2K")  # the last line is wiped


def test_where_no_one_watches_there_are_only_lines(
    terminal: Callable[[bool], io.StringIO],
) -> None:
    written = terminal(False)
    run_bar()
    assert written.getvalue() == "epoch 1 of 3: loss 0.9876\n"


def test_a_captured_run_has_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    run_bar()
    assert capsys.readouterr().err == "epoch 1 of 3: loss 0.9876\n"


def test_a_bar_ends_with_what_ends_the_run(terminal: Callable[[bool], io.StringIO]) -> None:
    written = terminal(True)

    def interrupted() -> None:
        with progress_bar() as bar:
            bar.add_task("pre-training", total=13, figures="")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "\x1b[?25h" in written.getvalue()  # the cursor is back
