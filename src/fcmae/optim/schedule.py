"""The learning rate as a function of the step."""

import math


def scaled_learning_rate(base: float, batch_size: float) -> float:
    """The linear scaling rule: base x batch size / 256 (appendix A.2)."""
    return base * batch_size / 256


def learning_rate(
    step: int, *, peak: float, steps: int, warmup_steps: int, minimum: float = 0.0
) -> float:
    """Linear warm-up from 0, then half a cosine; per step, as in the authors' code.

    Args:
        step: counted from 0; the rate is that of the step's beginning.
        peak: reached at `warmup_steps`.
        steps: of the whole run; `minimum` would be reached at the step after the last.
        warmup_steps: 0 starts at the peak.
        minimum: end of the cosine.
    """
    if step < warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / max(steps - warmup_steps, 1)
    return minimum + (peak - minimum) * 0.5 * (1 + math.cos(math.pi * progress))
