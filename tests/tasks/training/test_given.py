"""A task knows which of its options its caller wrote out."""

import inspect

import pytest

from fcmae.tasks.training.given import with_given


@with_given
def task(
    *, out: str, epochs: int = 800, resume: bool = False, given: frozenset[str] = frozenset()
) -> tuple[str, int, bool, frozenset[str]]:
    """Does nothing but tell."""
    return out, epochs, resume, given


def test_options_that_equal_their_default_are_given_when_they_are_written_out() -> None:
    assert task(out="a") == ("a", 800, False, {"out"})
    assert task(out="a", epochs=800) == ("a", 800, False, {"out", "epochs"})


def test_nobody_says_what_was_given_but_the_call_itself() -> None:
    assert task(out="a", given=frozenset({"resume"}))[3] == {"out", "given"}
    assert list(inspect.signature(task).parameters) == ["out", "epochs", "resume"]


def test_the_task_looks_as_it_was_written() -> None:
    assert task.__name__ == "task"
    assert task.__doc__ == "Does nothing but tell."
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'out'"):
        task()  # type: ignore[call-arg]
