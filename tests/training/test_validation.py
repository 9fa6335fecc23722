"""Which validation is the best, and when to stop for want of a better one."""

from typing import Any

import pytest

from fcmae.training.validation import Best, Metrics


class Lines:
    """A journal of which only the metrics are kept."""

    seconds = 0.0

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def metrics(self, line: dict[str, Any]) -> None:
        self.found.append(line)


def measured(value: float) -> Metrics:
    return Metrics({"loss": 9 - value, "mean_iou": value}, deciding="mean_iou")


def test_the_first_and_whatever_is_greater_is_better_and_a_tie_is_not() -> None:
    state: dict[str, Any] = {}
    best = Best(state, "period")
    assert state == {"best": None}
    scores = (0.25, 0.125, 0.5, 0.5, 0.75)
    beaten = [best.is_beaten(measured(score), number) for number, score in enumerate(scores, 3)]
    assert beaten == [True, False, True, False, True]
    assert state == {"best": {"period": 7, "mean_iou": 0.75}}


def test_it_goes_on_from_a_state_that_was_stored() -> None:
    best = Best({"best": {"epoch": 4, "mean_iou": 0.5}}, "epoch")
    assert not best.is_beaten(measured(0.4), 5)


@pytest.mark.parametrize(("patience", "stops"), [(None, False), (3, False), (2, True), (1, True)])
def test_patience_counts_from_the_best(patience: int | None, stops: bool) -> None:
    best, lines = Best({"best": {"epoch": 4, "mean_iou": 0.5}}, "epoch", patience), Lines()
    assert best.stops(measured(0.1), 6, 60, lines) == stops  # type: ignore[arg-type]
    because = f"no better mean_iou for {patience} epochs"
    noted = {"kind": "stop", "step": 60, "epoch": 6, "because": because}
    assert lines.found == ([noted] if stops else [])
