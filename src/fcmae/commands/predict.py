"""Prediction: what a classifier takes images for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcmae.commands.command import command
from fcmae.commands.shared import Reading


@dataclass(frozen=True, kw_only=True)
class Predict(Reading):
    """Write the most probable classes of images to a table, a row an image.

    The columns are path, then class_1, probability_1 and so on, most probable first, and error: of
    a file that cannot be read, the reason, and nothing else. Probabilities have six decimals. Rows
    are in the order of `images`, those of a folder sorted by path. The file is written whole or
    not at all.

    Args:
        images: image files, folders of them (nested or flat), .txt files with one path a line; a
            file that is met twice has one row.
        weights: a fine-tuned run's folder, for the weights of its last epoch; or a .safetensors or
            .pth file of a classifier, such as RUN/best.safetensors.
        out: a file ending in .csv, or in .json for a list of rows.
        top: classes a row; all of them where the weights have fewer.
        overwrite: replace `out` if it is there.

    Returns:
        The file that was written.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    images: Sequence[str | Path]
    weights: str | Path
    out: str | Path
    top: int = 5
    overwrite: bool = False


predict = command(Predict, "fcmae.inference.predict:run_predict", Path)
