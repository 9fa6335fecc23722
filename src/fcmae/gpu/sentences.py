"""What a record comes to, in sentences, first what matters most."""

import statistics
from collections.abc import Sequence

from fcmae.console.units import percent, plural
from fcmae.gpu.cells import Row, short


def sentences(record: Row) -> list[str]:
    """What matters most."""
    parts = {part["name"]: part["rows"] for part in record["parts"]}
    found = []
    wrong = [row for rows in parts.values() for row in rows if is_failed(row)]
    if wrong:
        found.append(f"{plural(len(wrong), 'row')} failed or disagreed, as marked below.")
    found += _of_figure_1(parts.get("figure 1", ()))
    found += _of_host(parts.get("whole steps", ()))
    found += _of_graphs(parts.get("graph", ()))
    checked = [row for row in parts.get("kernels agree", ()) if "agrees" in row]
    if checked:
        good = sum(row["agrees"] for row in checked)
        found.append(
            f"{good} of {len(checked)} results and gradients of the kernels are those of the "
            "definition in float64."
        )
    return found


def is_failed(row: Row) -> bool:
    """Whether a row failed or disagreed; one that was left out did neither."""
    return "error" in row or row.get("agrees") is False


def _of_figure_1(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if "speedup" in row and row["precision"] == "bf16"]
    if not found:
        return []
    faster = [row["speedup"] for row in found]
    share = [row["memory_ratio"] for row in found]
    slower = sum(value < 1 for value in faster)
    return [
        "At batch 64 in bf16, tiled steps that are started kernel by kernel are "
        f"{min(faster):.2f} to {max(faster):.2f} times as fast as masked ones (median "
        f"{statistics.median(faster):.2f}), slower at {slower} of {plural(len(found), 'size')} of "
        f"V2, and hold {min(share):.2f} to {max(share):.2f} of the memory. The paper’s figure 1, "
        "on another GPU and in fp32, has 1.3 times and a half on average."
    ]


def _of_host(rows: Sequence[Row]) -> list[str]:
    """At which batches the device waits for its host, by the largest model."""
    found = [row for row in rows if "device_seconds" in row]
    if not found:
        return []
    model = found[-1]["model"]
    shares = [
        f"{percent(min(row['device_seconds'] / row['step_seconds'], 1))} at batch "
        f"{row['batch_size']}"
        for row in found
        if row["model"] == model
    ]
    return [
        f"Of a whole tiled step of {short(found[-1])}, started kernel by kernel, the device works "
        f"{', '.join(shares)}; the rest of the time it waits for its host."
    ]


def _of_graphs(rows: Sequence[Row]) -> list[str]:
    found = [row["speedup"]["graph / eager"] for row in rows if "speedup" in row]
    if not found:
        return []
    return [
        f"Captured as a CUDA graph, the same step is {min(found):.2f} to {max(found):.2f} times as "
        "fast, which is what there is to be gained from a host that is not in the way."
    ]


def _says_of_figure_1(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if "speedup" in row and row["precision"] == "bf16"]
    if not found:
        return []
    faster = [row["speedup"] for row in found]
    less = [1 / row["memory_ratio"] for row in found]
    return [
        f"Tiled steps are {sum(faster) / len(faster):.2f} times as fast as masked ones "
        f"({min(faster):.2f} to {max(faster):.2f}) with {sum(less) / len(less):.2f} times less "
        f"memory, averaged over {plural(len(found), 'size')} of V2 at batch 64 in bf16; the "
        "paper’s figure 1 has 1.3 and 2 times, on another GPU and in fp32."
    ]
