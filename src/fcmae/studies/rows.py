"""Rows of a study by what they compare: values over seeds, in words and for figures."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fcmae.console.units import percent
from fcmae.findings.record import Row


def by_seed(
    rows: Sequence[Row], field: str = "accuracy", factor: float = 100
) -> dict[str, dict[int, float]]:
    """The values of a field under each name, by seed; accuracies in per cent.

    Names of which no seed has a value, as where all were unstable, have none.
    """
    found: dict[str, dict[int, float]] = {str(row["name"]): {} for row in rows}
    for row in rows:
        if row.get(field) is not None:
            found[str(row["name"])][row["seed"]] = factor * row[field]
    return found


def by_name(
    rows: Sequence[Row], field: str = "accuracy", factor: float = 100
) -> dict[str, list[float]]:
    """As `by_seed`, without the seeds."""
    return {name: list(found.values()) for name, found in by_seed(rows, field, factor).items()}


def mean(values: Sequence[float]) -> float | None:
    """None of none."""
    return statistics.mean(values) if values else None


def spread(values: Sequence[float]) -> float | None:
    """One standard deviation over seeds; None of fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else None


def in_words(values: Sequence[float], digits: int = 1) -> str:
    """`84.3 ± 0.2 (3)`: mean, deviation and number of seeds; a dash for none."""
    if not values:
        return "–"
    deviation = spread(values)
    around = "" if deviation is None else f" ± {deviation:.{digits}f}"
    return f"{statistics.mean(values):.{digits}f}{around} ({len(values)})"


def failures(rows: Sequence[Row], name: str) -> str:
    """Where training stopped being a number, of the seeds with this name; empty for nowhere."""
    found = [(row["unstable"], row["seed"]) for row in rows if row["name"] == name]
    return "; ".join(
        f"unstable in {one['doing']} at step {one['step']} (seed {seed})"
        for one, seed in found
        if one
    )


def trained_in_words(rows: Sequence[Row], run: Mapping[str, Any]) -> str:
    """What was trained on what, for the page."""
    scale = run["settings"]
    images, val = scale["images"]
    models = ", ".join(dict.fromkeys(str(row["model"]) for row in rows))
    side = scale["image_size"]
    words = (
        f"Scale “{scale['scale']}”: {models} at {side} x {side} pixels, stem stride "
        f"{scale['stem_stride']}; {scale['pretraining_epochs']} epochs of pre-training on "
        f"{images:,} images"
    )
    if not any("accuracy" in row for row in rows):
        return f"{words}."
    epochs = scale["finetuning_epochs"] or "the table’s"
    return (
        f"{words}, then {epochs} epochs of fine-tuning on {percent(scale['label_share'])} of their "
        f"labels, {scale['classes']} classes. Accuracy is that of the best epoch on {val:,} images "
        "of val, as the authors have it."
    )
