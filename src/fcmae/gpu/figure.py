"""Figure 1 of the paper's appendix as bars: throughput and memory by size, tiled beside masked."""

import io
from collections.abc import Callable, Sequence

from fcmae.gpu.cells import Row, short


def draw_figure_1(rows: Sequence[Row], form: str = "svg") -> bytes | None:
    """Figure 1 as bars, where matplotlib is installed and something was measured: SVG or PNG."""
    found = {
        (short(row), row["mode"]): row
        for row in rows
        if "images_per_second" in row and row.get("precision", "bf16") == "bf16"
    }
    try:
        import matplotlib  # noqa: F401 (what is there may still not fit NumPy)
    except ImportError:
        return None
    if not found:
        return None
    from fcmae.findings.figures import DOTS, Panel, Series, draw

    sizes = tuple(dict.fromkeys(size for size, _ in found))
    labels = {"masked": "dense, masked (the paper’s counterpart)", "tiled": "tiled (ours)"}

    def series(value: Callable[[Row], float]) -> tuple[Series, ...]:
        return tuple(
            Series(
                mode,
                label,
                tuple(
                    value(found[size, mode]) if (size, mode) in found else None for size in sizes
                ),
            )
            for mode, label in labels.items()
        )

    panels = [
        Panel(
            "training throughput (images/s)",
            "size of the model",
            sizes,
            series(lambda row: row["images_per_second"]),
        ),
        Panel(
            "most memory held (GB)",
            "size of the model",
            sizes,
            series(lambda row: (row["held"] + row["memory"]) / 1e9),
        ),
    ]
    picture = io.BytesIO()
    dated = {"metadata": {"Date": None}} if form == "svg" else {"dpi": DOTS}
    draw([panels], bars=True).savefig(picture, format=form, **dated)
    return picture.getvalue()
