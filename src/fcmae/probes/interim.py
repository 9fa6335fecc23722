"""A quick look at an encoder that is still being trained."""

from collections.abc import Sequence
from typing import NamedTuple

from fcmae.images import Labelled, draw
from fcmae.models.encoder import Backbone
from fcmae.probes.comparison import score
from fcmae.probes.features import extract, pooled, standardise
from fcmae.probes.knn import nearest_neighbours
from fcmae.training.devices import Place

TRAIN, VAL = 2000, 500  # images, at most


class Accuracy(NamedTuple):
    """Shares of the images that were looked at."""

    top_1: float
    top_5: float | None  # None up to five classes
    images: tuple[int, int]  # of train and val, that were read


def knn_accuracy(
    encoder: Backbone,
    train: Labelled,
    val: Labelled,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    image_size: tuple[int, int],
    place: Place,
    k: int = 20,
    batch_size: int = 64,
    workers: int = 0,
) -> Accuracy:
    """The kNN probe on at most 2000 images of `train` and 500 of `val`, the same each time.

    They are drawn whatever their class. Nothing is changed: not the encoder, nor its modes, nor
    the global random numbers.

    Args:
        encoder: on the device of `place`.
        train: where neighbours are looked for.
        val: what is classified.
        mean: of each channel, in units of 0..1, as in training.
        std: likewise.
        image_size: height and width, in pixels.
        place: device and precision.
        k: number of neighbours.
        batch_size: images at a time.
        workers: processes that read ahead.

    Raises:
        ValueError: if there are fewer than `k` images to be neighbours, or too many are unreadable.
    """
    network = pooled(encoder, mean, std, place)
    sides = []
    for images, limit in ((train, TRAIN), (val, VAL)):
        (features,), _ = extract(
            [network],
            images.subset(draw(len(images), limit)),
            image_size=image_size,
            channels=encoder.in_channels,
            place=place,
            batch_size=batch_size,
            workers=workers,
        )
        sides.append(features)
    neighbours, queries = standardise(*sides)
    found = score(nearest_neighbours(neighbours, queries, len(train.classes), (k,)), queries.labels)
    top_5 = None if found.top_5 is None else found.top_5.double().mean().item()
    return Accuracy(found.mean, top_5, (len(neighbours.labels), len(queries.labels)))
