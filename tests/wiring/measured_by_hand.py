"""Accuracies once more, from the files on the disk on, by what Pillow, NumPy, SciPy and torch have.

Only the networks are ours. Whatever is counted is asserted to be clear: no answer lies so near
another that rounding, which differs between machines, could turn one into the other. The pictures
and photographs are chosen so that this holds; of others it may not.
"""

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors.torch import load_file
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn.functional import interpolate
from wiring.small import CLASSES, save_picture

from fcmae.models.encoder import Encoder

Values = NDArray[np.float64]
Whole = NDArray[np.int64]

CLEAR = 3e-5  # several times what float32 is off, in logits and logarithms of votes
SURE = 3e-6  # likewise in probabilities and cosines
ORIENTATION = 0x0112  # of EXIF; 6 is a quarter turned
STRENGTHS = (1.0, 0.1, 0.01, 1e-3)  # of the linear probe's penalty
LOSS_OFF = (1e-4, 1e-3, 0.02, 0.05)  # of what is held out, where the optimiser may stop


def save_tinted(root: Path, split: str, counts: Sequence[int], first: int) -> None:
    """Pictures of the seven classes, `counts` of each, whose colour says a little of the class."""
    number = first
    for label, (name, count) in enumerate(zip(CLASSES, counts, strict=True)):
        for _ in range(count):
            path = root / split / name / f"{number:03d}.png"
            save_picture(path, number)
            with Image.open(path) as picture:
                pixels = np.array(picture)
            if pixels.ndim == 3:  # some are grey, and remain so
                gain, haze = (0.9 - 0.05 * label, 0.6, 0.35 + 0.06 * label), (20, 5 + 4 * label, 20)
                Image.fromarray((pixels * gain + haze).clip(0, 255).astype(np.uint8)).save(path)
            number += 1


def save_photographs(
    source: Path, target: Path, counts: Sequence[int], *, cast: float = 0.0
) -> None:
    """Parts of the first photographs of each class, of sides that differ, upright or turned.

    Args:
        source: a folder for each class.
        target: likewise.
        counts: images of a class; gone through class by class.
        cast: how much colours say of the class, 0 to 1.
    """
    for label, folder in enumerate(sorted(source.iterdir())):
        (target / folder.name).mkdir(parents=True)
        for number, path in enumerate(sorted(folder.iterdir())[: counts[label % len(counts)]]):
            with Image.open(path) as image:
                width, height = image.size
                across, down = (label + 3 * number) % 37, (5 * label + 2 * number) % 41
                part = image.crop((across // 2, down // 3, width - across, height - down))
                exif = Image.Exif()
                exif[ORIENTATION] = 6 if number % 4 == 1 else 1
                if number % 5 == 2:
                    part = part.convert("L")
                else:
                    gain = 1 - cast * (1 + np.cos(label * np.array([1.0, 2.3, 3.7]))) / 2
                    part = Image.fromarray((np.array(part.convert("RGB")) * gain).astype(np.uint8))
                part.save(target / folder.name / f"{path.stem}.jpg", quality=95, exif=exif)


def files_of(split: Path) -> tuple[list[Path], Whole]:
    """The images of SPLIT/CLASS, and the class of each."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(sorted(split.iterdir())):
        found = sorted(folder.iterdir())
        paths += found
        labels += [label] * len(found)
    return paths, np.array(labels)


def decoded(path: Path) -> NDArray[np.uint8]:
    """[H, W, 3], upright."""
    with Image.open(path) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def frame(high: int, wide: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The authors' view: rows and columns to resize to, then where the crop begins.

    They resize the shorter side to 256 for a crop of 224. Of a crop that is not square, the image
    just covers what is as much larger than the crop.
    """
    rows, columns = (side * 256 // 224 for side in size)
    factor = max(Fraction(rows, high), Fraction(columns, wide))
    resized = int(high * factor), int(wide * factor)
    return *resized, round((resized[0] - size[0]) / 2), round((resized[1] - size[1]) / 2)


@functools.cache
def seen(path: Path, size: tuple[int, int]) -> Tensor:
    """float64 [3, *size] in 0..1. The authors resize images of 8 bits, and so does this."""
    image = torch.from_numpy(decoded(path)).permute(2, 0, 1)
    rows, columns, top, left = frame(*image.shape[1:], size)
    image = interpolate(image[None], (rows, columns), mode="bicubic", antialias=True)[0]
    return image[:, top : top + size[0], left : left + size[1]].double() / 255


@torch.no_grad()
def outputs(
    network: Callable[[Tensor], Tensor],
    paths: Sequence[Path],
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> Values:
    """What a network says of each image, alone: float64 [N, K]."""
    centre, scale = (torch.tensor(x, dtype=torch.float64).view(3, 1, 1) for x in (mean, std))
    rows = [network(((seen(path, size) - centre) / scale).float()[None])[0] for path in paths]
    return torch.stack(rows).double().numpy()


def pooled(encoder: Encoder) -> Callable[[Tensor], Tensor]:
    """The global average of the last stage, with nothing masked: images -> [n, C_4]."""
    encoder.eval()
    return lambda images: encoder(images, mode="dense").mean((2, 3))


def load_weights(module: nn.Module, path: Path) -> nn.Module:
    """All of its weights, from a file."""
    module.load_state_dict(load_file(path))
    return module.eval()


def statistics(paths: Sequence[Path]) -> tuple[Values, Values]:
    """Mean and deviation of each channel, where each image has the same weight."""
    images = [decoded(path) / 255 for path in paths]
    mean = np.mean([image.mean((0, 1)) for image in images], 0)
    return mean, np.sqrt(np.mean([((image - mean) ** 2).mean((0, 1)) for image in images], 0))


def ranks(answers: Values, labels: Whole, clear: float = CLEAR) -> Whole:
    """How many classes come before an image's own; all of them where it was given no vote.

    Those that would make an answer right or wrong, at once or among five, differ by `clear`.
    """
    found = []
    for answer, label in zip(answers, labels, strict=True):
        others = np.sort(np.delete(answer, label))[::-1]
        if answer[label] == -np.inf:
            found.append(len(answer))
            continue
        assert np.abs(others[[0, 4]] - answer[label]).min() > clear, "an answer is not clear"
        found.append(int((others > answer[label]).sum()))
    return np.array(found)


def classification(logits: Values, labels: Whole) -> dict[str, Any]:
    """What is said of a classifier; "surest" are the mistakes, those of most confidence first."""
    count, classes = logits.shape
    ordered = np.sort(logits, 1)
    assert (ordered[:, -1] - ordered[:, -2]).min() > CLEAR, "a prediction is not clear"
    predictions, order = logits.argmax(1), ranks(logits, labels)
    top_5 = torch.from_numpy(logits).topk(5).indices.numpy()
    assert [label in row for label, row in zip(labels, top_5, strict=True)] == (order < 5).tolist()
    total = torch.from_numpy(logits).logsumexp(1).numpy()
    confidences = np.exp(logits.max(1) - total)
    right = predictions == labels
    error = 0.0
    for bin_ in range(15):
        low, high = bin_ / 15, (bin_ + 1) / 15
        assert np.abs(confidences - low).min() > SURE, "the edge of a bin is not clear"
        inside = (low < confidences) & (confidences <= high)
        if inside.any():
            error += inside.mean() * abs(confidences[inside].mean() - right[inside].mean())
    confusion = np.zeros((classes, classes), int)
    for label, prediction in zip(labels, predictions, strict=True):
        confusion[label, prediction] += 1
    surest = sorted((~right).nonzero()[0].tolist(), key=lambda image: -confidences[image])
    gaps = [confidences[one] - confidences[other] for one, other in pairwise(surest)]
    assert min(gaps, default=1.0) > SURE, "the order of mistakes is not clear"
    return {
        "count": count,
        "accuracy": right.mean(),
        "top_5": np.mean([label in row for label, row in zip(labels, top_5, strict=True)]),
        "loss": np.mean(total - logits[np.arange(count), labels]),
        "calibration_error": error,
        "confusion": confusion.tolist(),
        "predictions": predictions,
        "confidences": confidences,
        "surest": surest,
    }


def scaled(train: Values, val: Values) -> tuple[Values, Values]:
    """Mean 0 and deviation 1 over `train`; a feature that is constant there keeps its scale."""
    mean, deviation = train.mean(0), train.std(0)
    deviation = np.where(deviation > 1e-6 * np.abs(mean), deviation, 1.0)
    return (train - mean) / deviation, (val - mean) / deviation


def neighbour_votes(train: Values, labels: Whole, val: Values, classes: int, k: int) -> Values:
    """Logarithms of the votes of the k nearest by cosine, each exp(s / 0.07): [M, classes]."""
    rows = []
    for query in val:
        near = []
        for value, label in zip(train, labels, strict=True):
            cosine = value @ query / (np.linalg.norm(value) * np.linalg.norm(query))
            near.append((cosine, label))
        near.sort(key=lambda pair: -pair[0])
        if k < len(near):
            assert near[k - 1][0] - near[k][0] > SURE, "the last neighbour is not clear"
        votes = np.zeros(classes)
        for cosine, label in near[:k]:
            votes[label] += np.exp(cosine / 0.07)
        rows.append([np.log(vote) if vote > 0 else -np.inf for vote in votes])
    return np.array(rows)


def regression(values: Values, labels: Whole, classes: int, strength: float) -> Values:
    """Weights [classes, D + 1], the bias last: least mean cross-entropy + strength / 2 |W|^2."""
    count, width = values.shape
    target = np.eye(classes)[labels]

    def objective(flat: Values) -> tuple[float, Values]:
        weight = flat.reshape(classes, width + 1)
        logits = values @ weight[:, :-1].T + weight[:, -1]
        logits -= logits.max(1, keepdims=True)
        total = np.log(np.exp(logits).sum(1, keepdims=True))
        slope = (np.exp(logits - total) - target) / count
        gradient = np.c_[slope.T @ values + strength * weight[:, :-1], slope.sum(0)]
        loss = -(logits - total)[target == 1].mean() + strength / 2 * (weight[:, :-1] ** 2).sum()
        return loss, gradient.ravel()

    options = {"maxiter": 5000, "maxfun": 10000, "gtol": 1e-7, "ftol": 0.0, "maxcor": 30}
    start = np.zeros(classes * (width + 1))
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    assert np.abs(found.jac).max() < 1e-6, found.message
    return found.x.reshape(classes, width + 1)


def linear_answers(
    train: Values, labels: Whole, held: NDArray[np.bool_], val: Values, classes: int
) -> tuple[Values, float]:
    """Logits [M, classes] of the regression whose penalty is the best on what was `held` out.

    And how much they must differ to be clear: what is left of a gradient where an optimiser stops
    moves weights the more, the weaker the penalty is.
    """
    losses = []
    for strength in STRENGTHS:
        weight = regression(train[~held], labels[~held], classes, strength)
        logits = train[held] @ weight[:, :-1].T + weight[:, -1]
        total = torch.from_numpy(logits).logsumexp(1).numpy()
        losses.append(np.mean(total - logits[np.arange(held.sum()), labels[held]]))
    best = int(np.argmin(losses))
    for loss, off in zip(np.delete(losses, best), np.delete(LOSS_OFF, best), strict=True):
        assert loss - off > losses[best] + LOSS_OFF[best], "the penalty is not clear"
    weight = regression(train, labels, classes, STRENGTHS[best])
    return val @ weight[:, :-1].T + weight[:, -1], 1e-3 / STRENGTHS[best]
