"""Embedding: a vector of features for every image."""

from dataclasses import dataclass
from pathlib import Path

from fcmae.commands.command import command
from fcmae.commands.shared import Reading, Split


@dataclass(frozen=True, kw_only=True)
class Embed(Reading):
    """Write the features of images: the global average of the backbone's last stage.

    Rows are in the order of the images, sorted by path. Files that cannot be read have no row, but
    are named, with the reason, beside the features. What is done is kept in a hidden folder beside
    `out` until the end: after an interruption, the same command goes on where it was.

    Args:
        weights: a run's folder, or a .safetensors or .pth file, of an encoder or a classifier.
        data: folder of images, nested or flat; a .txt file with one path a line; or "sample", the
            photographs that come with scikit-image.
        out: a file ending in .npy: float32 [N, C], and beside it a .json with the N names, their
            labels where known, and the unreadable files. Or in .parquet (needs
            `pip install 'fcmae[parquet]'`): columns path, label where known, features; the
            unreadable files are in the schema's metadata.
        split: train or val: read DIR/SPLIT/CLASS/... and write each image's class as its label.
            Default: all images of `data`, without labels unless it is "sample".
        norm: apply the final norm to the average, as a classifier's head sees it. Encoders from
            pre-training have none.
        overwrite: delete `out`, and what is there of it, first.

    Returns:
        The file that was written.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    weights: str | Path
    data: str | Path
    out: str | Path
    split: Split | None = None
    norm: bool = False
    overwrite: bool = False


embed = command(Embed, "fcmae.inference.embed:run_embed", Path)
