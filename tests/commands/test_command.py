"""A command: a function with the keywords of its options, which knows which were written out."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from plans import as_given

import fcmae
from fcmae.commands.command import Options, command, names_of
from fcmae.commands.pretrain import Pretrain


@dataclass(frozen=True, kw_only=True)
class Shared(Options):
    """What is shared.

    Args:
        resume: go on.
    """

    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class Task(Shared):
    """Do nothing.

    Args:
        out: a folder.
        epochs: so many.

    Returns:
        What it was given.
    """

    out: str
    epochs: int = 800


def told(options: Task) -> Task:
    """What the command below does."""
    return options


task = command(Task, f"{__name__}:told", Task)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module can be imported by its name, as those of the package can."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, cast(Any, type("Here", (), {"told": told})))


def test_options_that_equal_their_default_are_given_when_they_are_written_out() -> None:
    assert task(out="a") == Task(out="a")
    assert task(out="a").given == {"out"}
    assert task(out="a", epochs=800).given == {"out", "epochs"}


def test_nobody_says_what_was_given_but_the_call_itself() -> None:
    with pytest.raises(TypeError, match="given"):
        task(out="a", given=frozenset())  # type: ignore[call-arg]
    assert list(inspect.signature(task).parameters) == ["resume", "out", "epochs"]
    assert names_of(Task) == ["resume", "out", "epochs"]


def test_a_misspelt_option_is_an_error_before_anything_is_imported() -> None:
    with pytest.raises(TypeError, match="epohcs"):
        task(out="a", epohcs=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'out'"):
        task()  # type: ignore[call-arg]


def test_what_is_shared_is_documented_with_what_is_not() -> None:
    lines = [line.strip() for line in (task.__doc__ or "").splitlines() if line.strip()]
    assert lines == ["Do nothing.", "Args:", "resume: go on.", "out: a folder.",
                     "epochs: so many.", "Returns:", "What it was given."]  # fmt: skip


def test_options_become_json_and_come_back() -> None:
    options = Pretrain(out=Path("run"), data="sample", set=("norm_pix=false",))
    assert Pretrain(**options.as_dict()) == options
    assert "given" not in options.as_dict()


def test_the_functions_of_the_package_look_like_functions() -> None:
    assert fcmae.pretrain.__name__ == "pretrain"
    assert fcmae.pretrain.__module__ == "fcmae.commands.pretrain"
    assert inspect.signature(fcmae.evaluate).return_annotation.__name__ == "Evaluation"


# Options of a run that goes on

LEFT_ALONE = Pretrain(out="run", seed=0, mask_ratio=0.5)
STORED = {
    "seed": 3,
    "mask_ratio": 0.6,
    "image_size": "160x96",
    "set": ["norm_pix=false"],
    "batch_size": 8,
    "forgotten": 1,
}


def test_options_that_are_not_given_come_from_the_run() -> None:
    found = LEFT_ALONE.completed(STORED)
    assert (found.seed, found.mask_ratio, found.image_size, found.batch_size) == (
        3,
        0.6,
        "160x96",
        8,
    )
    assert found.set == ("norm_pix=false",)  # JSON has lists alone
    assert (found.out, found.epochs) == ("run", None)  # which the run did not know


def test_options_that_are_given_count_even_where_they_are_the_default() -> None:
    given = as_given(Pretrain(out="run"), ["seed", "set"])
    found = given.completed(STORED)
    assert (found.seed, found.set, found.batch_size) == (0, (), 8)
    assert found.given == {"seed", "set"}
