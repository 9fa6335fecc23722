"""Table 9: the page by made-up rows, and what becomes of a run that is unstable."""

from pathlib import Path
from typing import Any

import pytest

from fcmae.report.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED, verdict
from fcmae.studies.claims import Claim
from fcmae.studies.grn import CASES, STUDY, grn
from fcmae.studies.page import results_of, table
from fcmae.studies.results import Results

AT_PAPER, AT_SMALL = ({"pretraining_epochs": epochs} for epochs in (800, 6))
PERCENT = {"base": 40, "scale": 41, "aggregate": 42, "normalise": None, "grn": 50}


def rows(values: dict[str, int | None], seeds: int = 2) -> list[dict[str, Any]]:
    """Rows with a spread of two points between seeds, not all alike; None for unstable."""
    return [
        {
            "name": name,
            "seed": seed,
            "unstable": None,
            "accuracy": (value + 2 * ((seed + place) % 2)) / 100,
        }
        if value is not None
        else {"name": name, "seed": seed, "unstable": {"doing": "pre-training", "step": 9}}
        for place, (name, value) in enumerate(values.items())
        for seed in range(seeds)
    ]


def results(values: dict[str, int | None]) -> Results:
    return results_of(STUDY, rows(values), AT_SMALL)


def claims(found: list[dict[str, Any]], scale: dict[str, int]) -> list[Claim]:
    return STUDY.claims(results_of(STUDY, found, scale))


def word(found: list[Claim]) -> str:
    return verdict(claim.holds for claim in found)


def test_the_papers_order_is_reproduced() -> None:
    found = claims(rows(PERCENT), AT_SMALL)
    assert [claim.holds for claim in found] == [True] * 4
    assert word(found) == REPRODUCED
    assert found[0].text.startswith("grn above base by 10 ± 1 points")
    assert found[3].text == "normalise unstable (2 of 2 runs)"


def test_another_order_is_not() -> None:
    assert word(claims(rows(PERCENT | {"scale": 60}), AT_SMALL)) == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("values", "seeds"), [(PERCENT | {"base": 49}, 2), (PERCENT, 1), ({"grn": 50}, 2)]
)
def test_little_or_nothing_to_compare_decides_nothing(values: dict[str, Any], seeds: int) -> None:
    assert word(claims(rows(values, seeds), AT_SMALL)) == UNDECIDED


def test_a_short_run_that_stays_stable_says_nothing_against_the_paper() -> None:
    stable = rows(PERCENT | {"normalise": 42})
    assert word(claims(stable, AT_SMALL)) == UNDECIDED
    assert word(claims(stable, AT_PAPER)) == NOT_REPRODUCED


def test_unstable_is_shown_as_such_in_figure_and_table() -> None:
    accuracies, gains = STUDY.panels(results(PERCENT))
    assert accuracies.places[3] == "normalise\nunstable"
    assert accuracies.series[0].values == pytest.approx((41, 42, 43, None, 51))
    assert gains.series[0].values == pytest.approx((0, 1, 2, None, 10))
    assert gains.series[1].values == pytest.approx((0, 0.2, 0.2, None, 0.9))
    lines = table(STUDY, results(PERCENT)).rows
    assert [line[0] for line in lines] == list(CASES.values())
    assert lines[3][1:4] == ["unstable", "–", "unstable"]
    assert lines[3][5].startswith("unstable in pre-training at step 9 (seed 0); ")
    assert lines[4][1:5] == ["51.0 ± 1.4 (2)", "+10.0", "84.6", "+0.9"]


def test_a_case_that_is_unknown_or_given_twice_is_refused(classes: Path, tmp_path: Path) -> None:
    refused: tuple[tuple[Any, str], ...] = (
        (("agregate",), "did you mean 'aggregate'"),
        (("grn", "grn"), "cases: grn is given twice"),
    )
    for cases, words in refused:
        with pytest.raises(ValueError, match=words):
            grn(data=classes, out=tmp_path / "out", cases=cases)
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_unstable_has_a_row(
    classes: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    found = grn(
        data=classes,
        out=tmp_path / "study",
        cases=("normalise",),
        seeds=(0,),
        set=(*tiny, "pretraining_base_learning_rate=1e25"),
        device="cpu",
        workers=0,
    )
    assert found[0]["unstable"]["doing"] == "pre-training"
    assert found[0]["unstable"]["step"] >= 1
    assert "unstable in pre-training at step" in (tmp_path / "study" / "page.html").read_text()
