"""The optimiser's groups, for `--dry-run`: how fast each layer learns, and what decays."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from fcmae.console import screen


def show_groups(
    groups: Sequence[Mapping[str, Any]], peak: float, layers: Mapping[str, int] | None = None
) -> None:
    """Print a row for each learning rate: its layer, and the parameters that decay or do not.

    Args:
        groups: as of `optim.parameter_groups`.
        peak: learning rate of a group of scale 1.
        layers: the layer of each parameter, where layers have rates of their own.
    """
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    names: dict[float, str] = {}
    for group in groups:
        scale = group.get("scale", 1.0)
        decays = group["weight_decay"] > 0
        counts[scale][not decays] += sum(parameter.numel() for parameter in group["params"])
        names[scale] = group["names"][0]
    table = Table(box=box.SIMPLE)
    for column in ("layer", "scale", "learning rate", "parameters that decay", "that do not"):
        table.add_column(column, justify="right")
    for scale, (decayed, spared) in sorted(counts.items()):
        layer = "all" if layers is None or len(counts) == 1 else str(layers[names[scale]])
        table.add_row(layer, f"{scale:.3g}", f"{peak * scale:.3g}", f"{decayed:,}", f"{spared:,}")
    screen.console.print(table)
