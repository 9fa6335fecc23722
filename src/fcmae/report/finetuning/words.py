"""What the numbers of a fine-tuning run say, in words and in key figures."""

import math

from fcmae.console import units
from fcmae.report import key_figures, words
from fcmae.report.curves import finite
from fcmae.report.finetuning import fit
from fcmae.report.finetuning.accuracy import Best, best, has_average, interval
from fcmae.report.key_figures import Figure
from fcmae.report.read import Run
from fcmae.report.validation import Mistake


def verdict(run: Run) -> str:
    """The run in a few sentences."""
    found = best(run)
    sentences = [words.how_far(run), _stopped(run)]
    if words.broken(run):
        sentences.append(f"{words.broken(run)}: lower the learning rate.")
    elif found is None:
        sentences.append(words.loss_sentence(run))
    if found:
        sentences += [_accuracy(run, found), _interval(found), fit.verdict(run)]
    return " ".join(sentence for sentence in sentences if sentence)


def figures(run: Run) -> list[Figure]:
    """The figures at the top of the page; those not known yet are left out."""
    found = best(run)
    shown: list[Figure] = []
    if found:
        note = f"best, epoch {found.epoch:g}" if math.isfinite(found.epoch) else "best"
        shown.append(Figure("Accuracy", units.accuracy(found.accuracy), note))
        if math.isfinite(found.top_5):
            shown.append(Figure("Top-5 accuracy", units.accuracy(found.top_5), "same epoch"))
    shown.append(key_figures.epochs(run))
    images = run.number("data", "images")
    if math.isfinite(images):
        validation = run.number("data", "val_images")
        note = f"{units.count(validation)} for validation" if math.isfinite(validation) else ""
        shown.append(Figure("Training images", units.count(images), note))
    classes = num_classes(run)
    if classes:
        shown.append(Figure("Classes", units.count(classes)))
    return shown + key_figures.pace(run)


def num_classes(run: Run) -> int:
    """How many classes there are; 0 where unknown."""
    stated = run.number("data", "classes")
    return int(stated) if math.isfinite(stated) else len(run.outcome.classes)


def confidence(mistake: Mistake) -> str:
    """How sure the model was of a mistake; nothing where that is unknown."""
    return units.accuracy(mistake.confidence) if math.isfinite(mistake.confidence) else ""


def _stopped(run: Run) -> str:
    if run.stop is None:
        return ""
    after = f", after epoch {run.stop.epoch:g}" if math.isfinite(run.stop.epoch) else ""
    because = f": {run.stop.because}" if run.stop.because else ""
    return f"Stopped early{after}{because}."


def _accuracy(run: Run, found: Best) -> str:
    epochs = run.number("epochs")
    of = f" of {epochs:g}" if math.isfinite(epochs) else ""
    when = f", after epoch {found.epoch:g}{of}," if math.isfinite(found.epoch) else ""
    images = f"the {units.count(found.images)}" if found.images else "the"
    who = "the averaged weights" if found.averaged else "the model"
    return (
        f"At best{when} {who} classified {units.accuracy(found.accuracy)} of {images} "
        f"validation images correctly{_not_averaged(run, found)}."
    )


def _not_averaged(run: Run, found: Best) -> str:
    """What the other weights reached, where that was more."""
    if not (found.averaged and has_average(run)):
        return ""
    epoch, accuracy = finite(run.validations.epoch, run.validations.accuracy)
    if len(accuracy) == 0 or accuracy.max() <= found.accuracy:
        return ""
    place = int(accuracy.argmax())
    return (
        f"; without averaging it was {units.accuracy(accuracy[place])} after epoch {epoch[place]:g}"
    )


def _interval(found: Best) -> str:
    if found.images == 0:
        return ""
    low, high = interval(found.accuracy, found.images)
    return (
        "Of all images like these it would be "
        f"{units.accuracy(low)} to {units.accuracy(high)}, with 95{units.NO_BREAK}% confidence."
    )
