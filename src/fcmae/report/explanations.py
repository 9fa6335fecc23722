"""One plain sentence or two under each heading, for a reader who has not read the paper."""

import math

from fcmae.console import units
from fcmae.report import words
from fcmae.report.key_figures import mean
from fcmae.report.read import Run

SLOW = 0.1  # of the time: from here on it pays to read images faster


def loss(run: Run) -> str:
    """What the loss measures, and when to worry."""
    if words.contrastive(run):
        return _contrast(run)
    if run.fact("recipe", "norm_pix") is False:
        measure = "The squared error of the hidden patches’ pixels."
    else:
        measure = (
            "The squared error of the hidden patches, each first brought to mean 0 and "
            "deviation 1: guessing a flat patch scores 1."
        )
    return (
        f"{measure} A good run falls fast at first, then ever more slowly; a bad one stays flat, "
        "or jumps and does not come back."
    )


def _contrast(run: Run) -> str:
    chance, batch = run.number("chance"), units.count(run.number("batch_size"))
    guesses = f" {units.loss(chance)} in a batch of {batch}, and" if math.isfinite(chance) else ""
    return (
        "How badly the model tells which second view is of the same image as a first one, among "
        "the second views of the whole batch, and the other way round: cross-entropies, times "
        f"twice the temperature. Guesses score{guesses} more in a larger batch: compare runs of "
        "one batch size alone. A good run falls below guesses soon, then ever more slowly; a bad "
        "one stays there."
    )


def reconstructions(run: Run) -> str:
    """What the pictures show, and what is expected of them."""
    borrowed = (
        ""
        if run.fact("recipe", "norm_pix") is False
        else " Each hidden patch is drawn with the true one’s mean and contrast, which the model "
        "is not asked for, so even before training the brightness is right."
    )
    return (
        "The model sees the masked picture and paints in what is hidden. Good: shapes go on "
        "across the patches, and blur is to be expected. Bad: noise, or the same texture "
        f"everywhere.{borrowed}"
    )


def left_out(run: Run) -> str:
    """What the table of pictures does not show."""
    pictures = run.pictures
    parts = []
    if pictures.epochs_left_out:
        parts.append(units.plural(pictures.epochs_left_out, "more epoch"))
    if pictures.images_left_out:
        parts.append(units.plural(pictures.images_left_out, "more image"))
    return f"{' and '.join(parts)} in the folder reconstructions." if parts else ""


def throughput(run: Run) -> str:
    """What the speed says, and whether reading images holds the run up."""
    start = (
        "Images that went through the model in a second, on all its devices together. Good: "
        "level. A sagging line means that something else wants the machine."
    )
    return " ".join(part for part in (start, _waiting(run), _memory(run)) if part)


def unreadable(run: Run) -> str:
    """How much of the data could not be used."""
    number = len(run.unreadable)
    validation = run.number("data", "val_images")
    images = run.number("data", "images") + (0.0 if math.isnan(validation) else validation)
    share = f" of {units.count(images)} ({units.percent(number / images)})" if images > 0 else ""
    rest = "the run went on without it" if number == 1 else "the run went on without them"
    return f"{units.plural(number, 'file')}{share} could not be read; {rest}."


def _waiting(run: Run) -> str:
    waiting = mean(run.timing.waiting)
    if math.isnan(waiting):
        return ""
    share = units.percent(waiting)
    if waiting < SLOW:
        return f"Waiting for images takes {share} of the time: it is not what limits the speed."
    fast = ", --decoding fast" if run.fact("decoding") == "exact" else ""
    return (
        f"Here {share} of the time goes into waiting for images: more loading processes "
        f"(--workers){fast} or smaller image files would make the run faster."
    )


def _memory(run: Run) -> str:
    peak = run.timing.peak_memory
    return f"Memory at its peak: {units.memory(peak)}." if math.isfinite(peak) else ""
