import json
from pathlib import Path

from fcmae.report.finetuning import words
from fcmae.report.read import read_run


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def validation(epoch: int, accuracy: float, average: float | None = None) -> dict[str, object]:
    line = {"kind": "validation", "step": 2 * epoch, "epoch": epoch, "accuracy": accuracy}
    return {**line, "average": None if average is None else {"accuracy": average}}


def test_a_finished_run_in_words(finetuned_run: Path) -> None:
    assert plain(words.verdict(read_run(finetuned_run))) == (
        "At best, after epoch 1 of 2, the averaged weights classified 85.0 % of the 20 validation "
        "images correctly. Of all images like these it would be 64.0 % to 94.8 %, with 95 % "
        "confidence."
    )


def test_a_model_that_beats_its_average_is_mentioned(make_run) -> None:
    run = read_run(make_run([validation(1, 0.5, 0.3), validation(2, 0.7, 0.6)]))
    text = plain(words.verdict(run))
    assert "averaged weights classified 60.0 %" in text
    assert "; without averaging it was 70.0 % after epoch 2." in text


def test_without_an_average_there_is_no_word_of_it(make_run) -> None:
    run = read_run(make_run([validation(1, 0.5)]))
    text = plain(words.verdict(run))
    assert "after epoch 1 of 2, the model classified 50.0 % of the validation images" in text
    assert "averag" not in text
    assert "confidence" not in text  # of an unknown number of images


def test_before_the_first_validation_the_loss_speaks(make_run) -> None:
    run = read_run(make_run([{"kind": "step", "step": 1, "loss": 1.5}]))
    assert words.verdict(run) == "Step 1 of 4 (25 %). The loss is 1.500 at the only step logged."


def test_a_run_that_stopped_early_says_why(make_run) -> None:
    stop = {"kind": "stop", "step": 2, "epoch": 1, "because": "no better accuracy for 1 epoch"}
    text = words.verdict(read_run(make_run([validation(1, 0.5), stop], config={"steps": 90})))
    assert text.startswith("Stopped early, after epoch 1: no better accuracy for 1 epoch. At best")


def test_a_broken_loss_and_the_best_before_it_are_both_told(make_run) -> None:
    steps = [{"kind": "step", "step": n, "loss": loss} for n, loss in ((1, 1.0), (3, None))]
    text = words.verdict(read_run(make_run([*steps, validation(1, 0.5)])))
    assert "not a finite number at step 3, the first of 1: lower the learning rate." in text
    assert "At best" in text


def test_an_epoch_that_is_unknown_is_left_out(finetuned_run: Path) -> None:
    path = finetuned_run / "validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "epoch": None}))
    run = read_run(finetuned_run)
    assert words.verdict(run).startswith("At best the averaged weights")
    assert words.figures(run)[0].note == "best"


def test_key_figures(finetuned_run: Path) -> None:
    figures = {
        figure.name: plain(figure.value) for figure in words.figures(read_run(finetuned_run))
    }
    assert figures == {
        "Accuracy": "85.0 %",
        "Epochs": "2",
        "Training images": "400",
        "Classes": "3",
        "Time": "9 s",
        "Images a second": "50",
    }
