from typing import Any

import pytest

from fcmae.studies.rows import by_name, by_seed, failures, in_words, mean, spread


def row(name: str, seed: int, accuracy: float | None, step: int | None = None) -> dict[str, Any]:
    unstable = None if step is None else {"doing": "pre-training", "step": step}
    found = {"name": name, "seed": seed, "unstable": unstable}
    return found if accuracy is None else found | {"accuracy": accuracy}


ROWS = [row("a", 0, 0.5), row("b", 0, None, 7), row("a", 1, 0.52), row("b", 1, 0.25)]


def test_values_are_gathered_over_seeds_in_per_cent() -> None:
    assert by_name(ROWS) == {"a": [50.0, 52.0], "b": [25.0]}
    assert by_name(ROWS[:2]) == {"a": [50.0], "b": []}
    assert by_name(ROWS, "seed", factor=1) == {"a": [0, 1], "b": [0, 1]}
    assert by_seed(ROWS, "seed", factor=1)["b"] == {0: 0, 1: 1}


def test_numbers_in_words() -> None:
    assert in_words([50.0, 52.0]) == "51.0 ± 1.4 (2)"
    assert in_words([0.12345], digits=3) == "0.123 (1)"
    assert in_words([]) == "–"
    assert (mean([]), spread([]), spread([1.0])) == (None, None, None)
    assert mean([1.0, 2.0]) == 1.5
    assert spread([1.0, 2.0]) == pytest.approx(0.5**0.5)


def test_failures_say_where() -> None:
    assert failures(ROWS, "b") == "unstable in pre-training at step 7 (seed 0)"
    assert failures(ROWS, "a") == ""
