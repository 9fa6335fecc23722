"""The report of a fine-tuning run: accuracy and its curves, classes, confusions, mistakes."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from fcmae.console import units
from fcmae.finetuning import classes
from fcmae.finetuning.results import Best, Results, read_results
from fcmae.report import summary
from fcmae.report.axes import linear_axis
from fcmae.report.charts import Chart, Panel, Series, Style
from fcmae.report.curves import loss_panels, rate_panels, stacked, step_axis
from fcmae.report.page import run_page
from fcmae.report.run import Run
from fcmae.report.statistics import Array, finite, interval
from fcmae.report.summary import KeyFigure

RISEN = 1.1  # times its lowest value: no longer the noise of a validation loss
AFTER = 2  # validations after the lowest loss, so that one outlier decides nothing
ENOUGH = 5  # validations, before the end of a curve can be told from its beginning


def page(run: Run) -> str:
    """The page, as HTML."""
    results = read_results(run)
    # A file may be in both lists.
    unreadable = tuple(dict.fromkeys(run.unreadable + results.unreadable))
    run = dataclasses.replace(run, unreadable=unreadable)
    number = num_classes(run, results)
    own = {
        "results": results,
        "learning": learning_chart(run, results),
        "num_classes": number,
        "guessing": math.log(max(number, 1)),
        "confusions": classes.confusions(results),
        "class_rows": classes.class_rows(results),
        "absent": int(np.count_nonzero(results.images == 0)),
        "size_rows": classes.size_rows(results),
    }
    return run_page(
        "finetuning/page.html", run, verdict(run, results), key_figures(run, results), own
    )


def verdict(run: Run, results: Results) -> list[str]:
    """The run in a few sentences; some may be empty."""
    best, broken = results.best, summary.non_finite(run)
    sentences = [summary.steps_done(run)]
    if run.stop:
        after = f", after epoch {run.stop.epoch:g}" if math.isfinite(run.stop.epoch) else ""
        because = f": {run.stop.because}" if run.stop.because else ""
        sentences.append(f"Stopped early{after}{because}.")
    if broken:
        sentences.append(f"{broken}: lower the learning rate.")
    elif best is None:
        sentences.append(summary.loss_sentence(run))
    if best:
        sentences += [_accuracy_sentence(run, results, best), fit(run, results)]
    return sentences


def _accuracy_sentence(run: Run, results: Results, best: Best) -> str:
    """What was reached, and how far that can be trusted."""
    total = run.number("epochs")
    of = f" of {total:g}" if math.isfinite(total) else ""
    when = f", after epoch {best.epoch:g}{of}," if math.isfinite(best.epoch) else ""
    images = f"the {units.count(best.images)}" if best.images else "the"
    who, other = "the averaged weights" if best.averaged else "the model", ""
    epochs, accuracies = finite(results.validations.epoch, results.validations.accuracy)
    if best.averaged and results.validations.averaged and accuracies.max(initial=0) > best.accuracy:
        highest = int(accuracies.argmax())
        other = (
            f"; without averaging it was {units.accuracy(accuracies[highest])} after epoch "
            f"{epochs[highest]:g}"
        )
    sentence = (
        f"At best{when} {who} classified {units.accuracy(best.accuracy)} of {images} "
        f"validation images correctly{other}."
    )
    if best.images == 0:
        return sentence
    low, high = interval(best.accuracy, best.images)
    return (
        f"{sentence} Of all images like these it would be "
        f"{units.accuracy(low)} to {units.accuracy(high)}, with 95{units.NO_BREAK}% confidence."
    )


def fit(run: Run, results: Results) -> str:
    """Whether a run learned nothing, too much by heart, or too little; empty where it is sound."""
    return (
        _no_better_than_one_class(results)
        or _overfitting(run, results)
        or _still_rising(run, results)
    )


def _no_better_than_one_class(results: Results) -> str:
    best, images = results.best, results.images
    if best is None or best.images == 0 or np.count_nonzero(images) < 2:
        return ""
    largest = int(images.argmax())
    share = float(images[largest] / images.sum())
    if interval(best.accuracy, best.images)[0] > share:
        return ""
    hardly = "hardly" if best.accuracy > share else "no"
    return (
        f"That is {hardly} better than always answering “{results.classes[largest]}” "
        f"({units.accuracy(share)})."
    )


def _overfitting(run: Run, results: Results) -> str:
    """The validation loss rises while the training loss falls, of the model's own weights."""
    best = results.best
    epoch, loss = finite(results.validations.epoch, results.validations.loss)
    train_epoch, train_loss = finite(run.epochs.epoch, run.epochs.loss)
    if len(loss) == 0 or len(train_loss) == 0:
        return ""
    lowest = int(loss.argmin())
    later = loss[lowest + 1 :][-3:]
    if len(later) < AFTER or np.median(later) < RISEN * loss[lowest]:
        return ""
    before, after = np.interp([epoch[lowest], epoch[-1]], train_epoch, train_loss)
    if after >= before:
        return ""
    harmless = best is not None and best.epoch > epoch[lowest]
    return (
        f"It overfits: since epoch {epoch[lowest]:g} the validation loss has risen from "
        f"{units.loss(loss[lowest])} to {units.loss(loss[-1])} while the training loss fell"
        f"{', though the accuracy has not suffered' if harmless else ''}; "
        "more images or stronger augmentation would help."
    )


def _still_rising(run: Run, results: Results) -> str:
    """The last fifth of a finished run brought more than chance can, and the end is the best."""
    best = results.best
    epoch, accuracy = finite(results.validations.epoch, results.validations.deciding)
    if not run.finished or run.stop or best is None or not best.images or len(accuracy) < ENOUGH:
        return ""
    late = math.floor(0.8 * (len(accuracy) - 1))
    last = float(accuracy[-1])
    if last < accuracy.max() or accuracy[late] >= interval(last, best.images)[0]:
        return ""
    return (
        "It was still learning when it ended: the accuracy rose from "
        f"{units.accuracy(accuracy[late])} after epoch {epoch[late]:g} to "
        f"{units.accuracy(last)}; more epochs would help."
    )


def key_figures(run: Run, results: Results) -> list[KeyFigure]:
    """The figures at the top of the page; those not known yet are left out."""
    best, number = results.best, num_classes(run, results)
    figures: list[KeyFigure] = []
    if best:
        note = f"best, epoch {best.epoch:g}" if math.isfinite(best.epoch) else "best"
        figures.append(KeyFigure("Accuracy", units.accuracy(best.accuracy), note))
        if math.isfinite(best.top_5):
            figures.append(KeyFigure("Top-5 accuracy", units.accuracy(best.top_5), "same epoch"))
    figures.append(summary.epochs(run))
    images, validation = run.number("data", "images"), run.number("data", "val_images")
    if math.isfinite(images):
        note = f"{units.count(validation)} for validation" if math.isfinite(validation) else ""
        figures.append(KeyFigure("Training images", units.count(images), note))
    if number:
        figures.append(KeyFigure("Classes", units.count(number)))
    return figures + summary.speed(run)


def num_classes(run: Run, results: Results) -> int:
    """How many classes there are; 0 where unknown."""
    stated = run.number("data", "classes")
    return int(stated) if math.isfinite(stated) else len(results.classes)


def learning_chart(run: Run, results: Results) -> Chart | None:
    """The losses, under them the accuracies, the best epoch marked; None before any is logged."""
    validations, best = results.validations, results.best
    step = validations.step
    losses = _series(step, validations.loss, validations.average_loss, units.loss)
    panels = loss_panels(run, losses, "training") + _accuracy_panels(run, results)
    if not panels:
        return None
    axis = dataclasses.replace(step_axis(run), rules=_best_step(results))
    panels = [dataclasses.replace(panel, x=axis) for panel in [*panels, *rate_panels(run)]]
    at_best = f", at best {units.accuracy(best.accuracy)}" if best else ""
    return stacked(panels, f"Loss and accuracy over the steps{at_best}")


def _accuracy_panels(run: Run, results: Results) -> list[Panel]:
    """The accuracies in per cent, with a mark on the best."""
    validations, best, step = results.validations, results.best, _best_step(results)
    lines = _series(
        validations.step,
        100 * validations.accuracy,
        100 * validations.average_accuracy,
        lambda value: units.accuracy(value / 100),
    )
    if not lines:
        return []
    if best and step:
        style = Style.THIRD_BEST if best.averaged else Style.SECOND_BEST
        tip = f"epoch {best.epoch:g}: {units.accuracy(best.accuracy)}"
        mark = Series(style, "", (100 * best.accuracy,), places=step, marks=True, tips=(tip,))
        lines += (mark,)
    values = np.concatenate([line.values for line in lines])
    axis = linear_axis(max(0.0, values.min() - 1), min(100.0, values.max() + 1), 5)
    return [Panel("Accuracy on validation images (%)", "step", series=lines, y=axis)]


def _series(
    step: Array, model: Array, average: Array, label: Callable[[float], str]
) -> tuple[Series, ...]:
    """One line for the model [V] and one for its averaged weights [V], those that there are."""
    lines = []
    for values, style, meaning in (
        (model, Style.SECOND, "validation"),
        (average, Style.THIRD, "validation, averaged weights"),
    ):
        places, known = finite(step, values)
        if len(known):
            lines.append(Series(style, meaning, known, places=places, end=label(known[-1])))
    return tuple(lines)


def _best_step(results: Results) -> tuple[float, ...]:
    """Where the best epoch ended; nothing where that is unknown."""
    best, validations = results.best, results.validations
    steps = validations.step[validations.epoch == best.epoch] if best else ()
    return tuple(float(step) for step in steps[:1])
