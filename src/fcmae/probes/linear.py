"""The linear probe: multinomial logistic regression on features that are held fixed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fcmae.images import epoch_order
from fcmae.images.order import mix
from fcmae.probes.features import Features

STRENGTHS = (1.0, 0.1, 0.01, 1e-3)
HELD_OUT = 5  # every fifth image of a class
LOGITS = 1 << 22  # at a time: they fit in memory, whatever the number of images and classes


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """Logits are values · weightᵀ + bias.

    Attributes:
        weight: float64 [classes, D].
        bias: float64 [classes].
        strength: of the penalty that it was fitted with.
    """

    weight: Tensor
    bias: Tensor
    strength: float

    def __call__(self, values: Tensor) -> Tensor:
        """[N, D] -> logits, float64 [N, classes]."""
        return F.linear(values.double(), self.weight, self.bias)


def fit(
    train: Features,
    num_classes: int,
    strength: float,
    *,
    start: LinearProbe | None = None,
    tolerance: float = 1e-5,
) -> LinearProbe:
    """Minimise mean cross-entropy + strength / 2 · |weight|²; the bias is not penalised.

    The minimum is one, so that `start` decides only how long it takes. By LBFGS in float64.

    Args:
        train: N images with their classes.
        num_classes: number of classes.
        strength: of the penalty; with C of other libraries, 1 / (C N).
        start: where to begin; None for zero.
        tolerance: stop once no entry of the gradient is larger (or after 5000 iterations).
    """
    values = train.values.double()
    weight = values.new_zeros(num_classes, values.shape[1]) if start is None else start.weight
    bias = values.new_zeros(num_classes) if start is None else start.bias
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=5000,
        history_size=20,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
    rows = max(LOGITS // num_classes, 1)
    parts = [*zip(torch.split(values, rows), torch.split(train.labels, rows), strict=True)]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = strength / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        for some, labels in parts:
            part = F.cross_entropy(F.linear(some, weight, bias), labels, reduction="sum")
            part = part / len(values)
            part.backward()  # type: ignore[no-untyped-call]
            loss = loss + part.detach()
        return loss.detach()

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return LinearProbe(weight.detach(), bias.detach(), strength)


def fit_linear_probe(
    train: Features, num_classes: int, strengths: Sequence[float] = STRENGTHS
) -> LinearProbe:
    """Fit with the strength that has the least cross-entropy on a fifth of `train`, then on all.

    The fifth is drawn by class, the same each time; a class of a single image keeps it. If all are
    such, nothing is left to choose by, and the strongest is taken, which trusts them least.

    Args:
        train: N images with their classes, the features of about unit scale.
        num_classes: number of classes.
        strengths: of the penalty, to choose from.
    """
    fitted, held = held_out(train)
    losses: dict[float, float] = {}
    probe = None
    for strength in sorted(strengths, reverse=True):
        probe = fit(fitted, num_classes, strength, start=probe)
        if not len(held.values):
            break
        losses[strength] = F.cross_entropy(probe(held.values), held.labels).item()
    chosen = min(losses, key=lambda strength: losses[strength]) if losses else max(strengths)
    return fit(train, num_classes, chosen)


def held_out(train: Features) -> tuple[Features, Features]:
    """What to fit on, and a fifth of each class: one image at least where there are two."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(train.labels.tolist()):
        by_class[label].append(row)
    held = torch.zeros(len(train.labels), dtype=torch.bool, device=train.labels.device)
    for label, rows in by_class.items():
        count = max(1, len(rows) // HELD_OUT) if len(rows) > 1 else 0
        drawn = epoch_order(len(rows), mix(label), epoch=0)[:count]
        held[[rows[place] for place in drawn.tolist()]] = True
    return train.rows(~held), train.rows(held)
