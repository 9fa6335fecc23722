from typing import Any

import pytest

from fcmae.studies.results import (
    Results,
    counted,
    deviation,
    difference,
    in_words,
    mean,
    series,
)


def row(name: str, seed: int, accuracy: float | None, step: int | None = None) -> dict[str, Any]:
    unstable = None if step is None else {"doing": "pre-training", "step": step}
    found = {"name": name, "seed": seed, "unstable": unstable}
    return found if accuracy is None else found | {"accuracy": accuracy}


ROWS = [row("a", 0, 0.5), row("b", 0, None, 7), row("a", 1, 0.52), row("b", 1, 0.25)]


def results(rows: list[dict[str, Any]]) -> Results:
    return Results(rows, {})


def test_values_are_gathered_over_seeds_in_per_cent() -> None:
    assert results(ROWS).by_name() == {"a": [50.0, 52.0], "b": [25.0]}
    assert results(ROWS[:2]).by_name() == {"a": [50.0], "b": []}
    assert results(ROWS).by_name(lambda row: row["seed"]) == {"a": [0, 1], "b": [0, 1]}
    assert results(ROWS).by_seed(lambda row: row["seed"])["b"] == {0: 0, 1: 1}
    assert results(ROWS).values("a") == [50.0, 52.0]
    assert results(ROWS).values("c") == []


def test_names_are_in_order() -> None:
    backwards = Results(ROWS, {}, lambda name: -ord(name))
    assert list(backwards.by_name()) == ["b", "a"]


def test_numbers_in_words() -> None:
    assert in_words([50.0, 52.0]) == "51.0 ± 1.4"
    assert counted([50.0, 52.0]) == "51.0 ± 1.4 (2)"
    assert counted([0.12345], digits=3) == "0.123 (1)"
    assert in_words([]) == counted([]) == "–"
    assert (mean([]), deviation([]), deviation([1.0])) == (None, None, None)
    assert mean([1.0, 2.0]) == 1.5
    assert deviation([1.0, 2.0]) == pytest.approx(0.5**0.5)
    assert difference(3.0, 1.0) == 2.0
    assert difference(3.0, None) is difference(None, 1.0) is None


def test_a_series_has_means_and_deviations() -> None:
    line = series("here", [[1.0, 2.0], [3.0], []])
    assert line.values == (1.5, 3.0, None)
    assert line.spread == (pytest.approx(0.5**0.5), None, None)


def test_failures_say_where() -> None:
    assert results(ROWS).failures("b") == "unstable in pre-training at step 7 (seed 0)"
    assert results(ROWS).failures("a") == ""
