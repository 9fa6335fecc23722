"""Whether a run learned too much by heart, too little, or nothing, where its curves say so."""

import math

import numpy as np

from fcmae.console import units
from fcmae.report.curves import finite
from fcmae.report.finetuning.accuracy import best, followed, interval
from fcmae.report.read import Run

RISEN = 1.1  # times its lowest value: no longer the noise of a validation loss
AFTER = 2  # validations after the lowest loss, so that one outlier decides nothing
ENOUGH = 5  # validations, before the end of a curve can be told from its beginning


def verdict(run: Run) -> str:
    """One sentence on the fit, or nothing."""
    return _no_better_than_one_class(run) or _overfitting(run) or _still_rising(run)


def _no_better_than_one_class(run: Run) -> str:
    found, images = best(run), run.outcome.images
    if found is None or found.images == 0 or np.count_nonzero(images) < 2:
        return ""
    largest = int(images.argmax())
    share = float(images[largest] / images.sum())
    if interval(found.accuracy, found.images)[0] > share:
        return ""
    hardly = "hardly" if found.accuracy > share else "no"
    return (
        f"That is {hardly} better than always answering “{run.outcome.classes[largest]}” "
        f"({units.accuracy(share)})."
    )


def _overfitting(run: Run) -> str:
    """The validation loss rises while the training loss falls, of the model's own weights."""
    validations, trained = run.validations, run.epochs
    epoch, loss = finite(validations.epoch, validations.loss)
    train_epoch, train_loss = finite(trained.epoch, trained.loss)
    if len(loss) == 0 or len(train_loss) == 0:
        return ""
    lowest = int(loss.argmin())
    later = loss[lowest + 1 :][-3:]
    if len(later) < AFTER or np.median(later) < RISEN * loss[lowest]:
        return ""
    before, after = np.interp([epoch[lowest], epoch[-1]], train_epoch, train_loss)
    if after >= before:
        return ""
    found = best(run)
    harmless = found is not None and found.epoch > epoch[lowest]
    return (
        f"It overfits: since epoch {epoch[lowest]:g} the validation loss has risen from "
        f"{units.loss(loss[lowest])} to {units.loss(loss[-1])} while the training loss fell"
        f"{', though the accuracy has not suffered' if harmless else ''}; "
        "more images or stronger augmentation would help."
    )


def _still_rising(run: Run) -> str:
    """The last fifth of a finished run brought more than chance can, and the end is the best."""
    epoch, accuracy = finite(run.validations.epoch, followed(run))
    found = best(run)
    if not run.finished or run.stop or found is None or not found.images or len(accuracy) < ENOUGH:
        return ""
    place = math.floor(0.8 * (len(accuracy) - 1))
    last = float(accuracy[-1])
    if last < accuracy.max() or accuracy[place] >= interval(last, found.images)[0]:
        return ""
    return (
        "It was still learning when it ended: the accuracy rose from "
        f"{units.accuracy(accuracy[place])} after epoch {epoch[place]:g} to "
        f"{units.accuracy(last)}; more epochs would help."
    )
