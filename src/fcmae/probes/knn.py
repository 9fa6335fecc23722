"""Weighted nearest neighbours: how well features tell classes, with nothing trained on them.

`knn_accuracy` is the quick probe of an encoder that is still being trained.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fcmae.images import Labelled, draw
from fcmae.inference.loop import Preprocessing, evaluating, pooled
from fcmae.models.encoder import Backbone
from fcmae.probes.comparison import score
from fcmae.probes.features import Features, extract, standardise
from fcmae.training.devices import Runtime

TEMPERATURE = 0.07  # as usual for features of self-supervised networks
CHUNK = 1 << 24  # similarities at a time
TRAIN, VAL = 2000, 500  # images of the quick probe, at most


class Accuracy(NamedTuple):
    """Shares of the images that were classified."""

    top_1: float
    top_5: float | None  # None up to five classes
    images: tuple[int, int]  # of train and val, that were read


def nearest_neighbours(
    train: Features, val: Features, num_classes: int, k: Sequence[int] = (20,)
) -> list[Tensor]:
    """The votes of the K nearest images of `train` for the class of each image of `val`.

    Nearest by cosine similarity s; a neighbour's vote weighs exp(s / 0.07), as in instance
    discrimination and self-distillation. K = 20 is the paper's (appendix D). Of neighbours equally
    near, those earlier in `train` count.

    Args:
        train: N images with their classes.
        val: M images.
        num_classes: number of classes.
        k: numbers of neighbours; all are found in one pass.

    Returns:
        For each K the votes, float32 [M, num_classes], as shares of all; -inf for none.

    Raises:
        ValueError: if a K is not between 1 and N.
    """
    for number in k:
        if not 1 <= number <= len(train.values):
            raise ValueError(
                f"k {number}: 1 or more neighbours are needed, and at most {len(train.values)}, "
                "the images with labels; lower k, or give more labels"
            )
    bank, queries = F.normalize(train.values), F.normalize(val.values)
    rows = max(1, CHUNK // (len(bank) + max(k) * num_classes))
    votes: list[list[Tensor]] = [[] for _ in k]
    for query in torch.split(queries, rows):
        similarity, index = nearest(query @ bank.T, max(k))  # [m, K]
        weight = ((similarity - similarity[:, :1]) / TEMPERATURE).exp()  # no overflow
        ballot = F.one_hot(train.labels[index], num_classes) * weight.unsqueeze(2)
        for number, column in zip(k, votes, strict=True):
            vote = ballot[:, :number].sum(1)  # [m, classes]
            column.append((vote / vote.sum(1, keepdim=True)).masked_fill(vote == 0, -torch.inf))
    return [torch.cat(column) for column in votes]


def nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest of each row and where they are, of equal ones the first.

    `topk` does not say which of equal values it takes. So value and column are put into one
    integer: floats are ordered as their bits are, but for those below zero, which are the other
    way round.

    Args:
        similarity: float32 [m, N].
        k: at most N.

    Returns:
        Values and places, [m, k] each, in falling order.
    """
    bits = (similarity + 0.0).view(torch.int32).long()  # adding 0 makes -0 into 0
    order = torch.where(bits < 0, -(1 << 31) - bits, bits)
    column = torch.arange(similarity.shape[1], device=similarity.device)
    index = (
        (1 << 32) - 1 - ((order << 32 | ((1 << 32) - 1 - column)).topk(k).values & (1 << 32) - 1)
    )
    return similarity.gather(1, index), index


def knn_accuracy(
    encoder: Backbone,
    train: Labelled,
    val: Labelled,
    preprocessing: Preprocessing,
    runtime: Runtime,
    k: int = 20,
) -> Accuracy:
    """The kNN probe on at most 2000 images of `train` and 500 of `val`, the same each time.

    They are drawn whatever their class. Nothing is changed: not the encoder, nor its modes, nor
    the global random numbers.

    Args:
        encoder: on the device of `runtime`.
        train: where neighbours are looked for.
        val: what is classified.
        preprocessing: of the images, as in training.
        runtime: device and precision.
        k: number of neighbours.

    Raises:
        ValueError: if there are fewer than `k` images to be neighbours, or too many are unreadable.
    """
    sides = []
    for images, limit in ((train, TRAIN), (val, VAL)):
        drawn = images.subset(draw(len(images), limit))
        with evaluating(encoder):
            (features,), _ = extract(
                lambda pixels: pooled(encoder, pixels), drawn, preprocessing, runtime
            )
        sides.append(features)
    neighbours, queries = standardise(*sides)
    found = score(nearest_neighbours(neighbours, queries, len(train.classes), (k,)), queries.labels)
    top_5 = None if found.top_5 is None else found.top_5.double().mean().item()
    return Accuracy(found.mean, top_5, (len(neighbours.labels), len(queries.labels)))
