import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from fcmae.report.finetuning import fit
from fcmae.report.read import Run, read_run


def run_of(
    make_run,
    losses: Sequence[float],
    train: Sequence[float] | None = None,
    accuracies: Sequence[float] | None = None,
    confusion: list[list[int]] | None = None,
    stop: bool = False,
) -> Run:
    number = len(losses)
    train = train or [2.0 - 0.1 * epoch for epoch in range(number)]
    accuracies = accuracies or [0.8] * number
    metrics: list[dict[str, object]] = []
    for place in range(number):
        line = {"step": place + 1, "epoch": place + 1}
        metrics.append({"kind": "epoch", **line, "loss": train[place]})
        measured = {"loss": losses[place], "accuracy": accuracies[place]}
        metrics.append({"kind": "validation", **line, **measured})
    if stop:
        metrics.append({"kind": "stop", "step": number, "epoch": number, "because": "asked"})
    folder: Path = make_run(metrics, config={"task": "finetune", "steps": number})
    confusion = confusion or [[400, 100], [100, 400]]
    best = max(range(number), key=lambda place: accuracies[place])
    found = {"epoch": best + 1, "accuracy": accuracies[best], "classes": ["cat", "dog"]}
    (folder / "validation.json").write_text(json.dumps({**found, "confusion": confusion}))
    return read_run(folder)


def test_a_validation_loss_that_rises_while_the_training_loss_falls_is_overfitting(
    make_run,
) -> None:
    text = fit.verdict(run_of(make_run, [1.0, 0.6, 0.7, 0.8, 0.9]))
    assert text.startswith("It overfits: since epoch 2 the validation loss has risen from 0.600")
    assert "0.900" in text
    assert "not suffered" not in text


def test_overfitting_that_costs_no_accuracy_is_said_to(make_run) -> None:
    accuracies = [0.7, 0.75, 0.78, 0.79, 0.8]
    text = fit.verdict(run_of(make_run, [1.0, 0.6, 0.7, 0.8, 0.9], accuracies=accuracies))
    assert "the accuracy has not suffered" in text


@pytest.mark.parametrize(
    ("losses", "train"),
    [
        ([1.0, 0.8, 0.7, 0.6, 0.6], None),  # it falls
        ([1.0, 0.6, 0.62, 0.61, 0.63], None),  # noise
        ([1.0, 0.8, 0.7, 0.6, 0.9], None),  # one outlier at the end
        ([1.0, 0.6, 0.7, 0.8, 0.9], [1.0, 1.1, 1.2, 1.3, 1.4]),  # both rise: that is no overfitting
        ([0.6], None),
    ],
)
def test_what_is_no_overfitting_is_not_called_so(make_run, losses, train) -> None:
    assert fit.verdict(run_of(make_run, losses, train)) == ""


RISING = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def test_an_accuracy_that_still_rises_at_the_end_wants_more_epochs(make_run) -> None:
    text = fit.verdict(run_of(make_run, [1.0] * 6, accuracies=RISING))
    assert "from 70.0\u00a0% after epoch 5 to 80.0\u00a0%; more epochs would help" in text


def test_a_rise_that_chance_explains_or_that_was_stopped_wants_nothing(make_run) -> None:
    flat = [0.3, 0.4, 0.5, 0.6, 0.79, 0.8]
    assert fit.verdict(run_of(make_run, [1.0] * 6, accuracies=flat)) == ""
    assert fit.verdict(run_of(make_run, [1.0] * 6, accuracies=RISING, stop=True)) == ""


@pytest.mark.parametrize(("accuracy", "says"), [(0.9, "no better"), (0.91, "hardly better")])
def test_what_guessing_the_largest_class_reaches_is_nothing(make_run, accuracy, says) -> None:
    confusion = [[900, 0], [90, 10]]
    text = fit.verdict(run_of(make_run, [1.0], accuracies=[accuracy], confusion=confusion))
    assert text == f"That is {says} than always answering “cat” (90.0\u00a0%)."


def test_one_class_alone_is_not_compared_with_guessing_it(make_run) -> None:
    confusion = [[10, 0], [0, 0]]
    assert fit.verdict(run_of(make_run, [1.0], accuracies=[1.0], confusion=confusion)) == ""
