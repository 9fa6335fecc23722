"""How far two ways to run the same step are apart, and what is said of those that are too far."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

# Relative difference of loss and gradient between modes: rounding, with a margin of ten.
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}

Gradient = tuple[Tensor, Tensor]  # the loss, and the gradient of all parameters as one vector


def difference(ours: Gradient, theirs: Gradient) -> dict[str, float]:
    """Relative differences, by norms, of `loss` and `gradient`; infinite if one is not a number."""
    pairs = zip(("loss", "gradient"), ours, theirs, strict=True)
    return {name: _relative(one, other) for name, one, other in pairs}


def _relative(ours: Tensor, theirs: Tensor) -> float:
    relative = ((ours - theirs).norm() / theirs.norm()).item()
    return math.inf if math.isnan(relative) else relative


def verdict(found: Mapping[str, float], precision: str) -> dict[str, Any]:
    """The fields of a row about it: `difference`, and whether that is rounding in `agrees`."""
    return {"difference": dict(found), "agrees": max(found.values()) <= TOLERANCES[precision]}


def objection(row: Mapping[str, Any]) -> str | None:
    """What must be said of a row whose steps do not agree; None of one where nobody looked."""
    if row.get("agrees") is not False:
        return None
    worst, tolerance = max(row["difference"].values()), TOLERANCES[row["precision"]]
    return f"tiled and masked differ by {worst:.2g}, more than {tolerance:g}: not right"


def require_agreement(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to end well where rows, which were shown and written, are not right.

    Raises:
        RuntimeError: if tiled and masked steps of a row differ by more than rounding.
    """
    wrong = {row["model"]: said for row in rows if (said := objection(row))}
    if wrong:
        words = "; ".join(f"{model}: {said}" for model, said in wrong.items())
        raise RuntimeError(f"{words}: `fcmae doctor` says more")
