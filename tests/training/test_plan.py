"""What the plans of all trainings share: their length, their batches, their learning rate."""

from typing import Any

import pytest
from plans import pretraining_plan

from fcmae.pretraining.plan import Plan
from fcmae.training.plan import Schedule, check_length, choose_batch_size


def plan(*assignments: str, **options: Any) -> Plan:
    """Whose learning rate is 1e-4 at its peak."""
    peak = "base_learning_rate=0.0064"
    values: dict[str, Any] = {
        "data": "/data", "init": "scratch", "images": 8, "names": ["a.png"], "epochs": 1,
        "batch_size": 4, "image_size": (64, 64), "precision": "fp32", "mean": (0.5,) * 3,
        "std": (0.2,) * 3,
    }  # fmt: skip
    return pretraining_plan(**values | options, assignments=(peak, *assignments))


@pytest.mark.parametrize(
    ("epochs", "seed", "said"),
    [(0, 0, "epochs 0: at least 1"), (1, -1, "seed -1"), (1, 1 << 63, f"seed {1 << 63}")],
)
def test_runs_without_epochs_or_with_odd_seeds_are_refused(
    epochs: int, seed: int, said: str
) -> None:
    check_length(1, (1 << 63) - 1)
    with pytest.raises(ValueError, match=said):
        check_length(epochs, seed)


def test_the_batch_size_is_the_one_asked_for_or_follows_from_the_images() -> None:
    assert choose_batch_size(30, 30, "/data", 4096) == 30
    assert choose_batch_size(None, 1024, "/data", 4096) == 32
    with pytest.raises(ValueError, match="batch size 0: at least 1"):
        choose_batch_size(0, 30, "/data", 4096)
    with pytest.raises(
        ValueError, match=r"31 is more than the 30 images .* /data: lower it, to 16"
    ):
        choose_batch_size(31, 30, "/data", 4096)


def test_a_rate_may_stay_at_its_peak_but_not_rise_above() -> None:
    assert plan("minimum_learning_rate=0.0001").learning_rate == 1e-4
    with pytest.raises(ValueError, match=r"minimum_learning_rate 0\.0002 is above the peak, 0\.0"):
        plan("minimum_learning_rate=0.0002")


def test_the_rate_of_a_step_depends_on_steps_alone() -> None:
    found = plan("warmup_epochs=0.5", "minimum_learning_rate=0.00001", images=40, epochs=2)
    rates = [found.learning_rate_at(step) for step in range(found.steps)]
    assert (found.steps_per_epoch, found.warmup_steps, found.steps) == (10, 5, 20)
    assert rates[:6] == pytest.approx([0, 2e-5, 4e-5, 6e-5, 8e-5, 1e-4])
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert 1e-5 < rates[-1] < 2e-5


def test_an_epoch_is_the_period_of_a_run() -> None:
    schedule = Schedule(images=41, batch_size=4, epochs=3)
    assert (schedule.period, schedule.periods, schedule.steps_per_period) == ("epoch", 3, 10)
