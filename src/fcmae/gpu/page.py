"""What a GPU showed, as sections: the page beside the JSON file, and a part of docs/reproduce.md.

A section is a part. A row that failed, or that there was no time for, has its reason in place of
its values, so that nothing is missing without a word.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fcmae.findings.page import Page, Section, Table
from fcmae.findings.page import write_page as write
from fcmae.report.units import memory, percent, plural, rate

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]
NOT_RUN = "Not yet run on a GPU."
LETTERS = 70  # of a kernel's name
STEP = "224 pixels, mask ratio 0.6."


def write_page(path: Path, record: Row) -> Path:
    """Write the page of a record, finished or not."""
    page = Page(
        kind="What a GPU shows",
        title=str(record["machine"]),
        shows=says(record),
        sections=sections(record),
    )
    run = {name: value for name, value in record.items() if name != "parts"}
    return write(path, page, run)


def line(name: str, row: Row) -> str:
    """A row of a part on one line, for a screen."""
    columns = PARTS[name][2]
    heading = ["", *(title for title, _ in columns[1:])]
    cells = _cells(row, columns)
    return "  ".join(f"{title} {cell}".strip() for title, cell in zip(heading, cells, strict=False))


def says(record: Row) -> list[str]:
    """What matters most, in sentences."""
    parts = {part["name"]: part["rows"] for part in record["parts"]}
    sentences = []
    if wrong := [row for rows in parts.values() for row in rows if _failed(row)]:
        sentences.append(f"{plural(len(wrong), 'row')} failed or disagreed: they are marked below.")
    sentences += _says_of_figure_1(parts.get("figure 1", ()))
    sentences += _says_of_host(parts.get("whole steps", ()))
    sentences += _says_of_graphs(parts.get("graph", ()))
    checked = [row for row in parts.get("kernels agree", ()) if "agrees" in row]
    if checked:
        good = sum(row["agrees"] for row in checked)
        sentences.append(
            f"{good} of {len(checked)} results and gradients of the kernels are those of the "
            "definition in float64."
        )
    return sentences


def _says_of_host(rows: Sequence[Row]) -> list[str]:
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
        f"Of a whole tiled step of {_short(found[-1])}, started kernel by kernel, the device works "
        f"{', '.join(shares)}; the rest of the time it waits for its host."
    ]


def _says_of_graphs(rows: Sequence[Row]) -> list[str]:
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


def sections(record: Row) -> list[Section]:
    """One for each part that has begun, in order."""
    found = []
    for part in record["parts"]:
        title, paragraphs, columns = PARTS[part["name"]]
        rows = part["rows"]
        if rows and all("left_out" in row for row in rows):
            found.append(Section(title, [*paragraphs, f"Left out: {rows[0]['left_out']}."]))
            continue
        heading = [name for name, _ in columns]
        table = Table(heading, [_cells(row, columns) for row in _shown(part["name"], rows)])
        drawn = figure_1(rows) if part["name"] == "figure 1" else None
        alternative = "images a second and memory by size, as in the table" if drawn else ""
        found.append(Section(title, paragraphs, drawn, alternative, table))
    return found


def _shown(name: str, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of a part that are worth a line: all but those that only confirm or lose."""
    if name == "figure 1":  # both modes agree: said by the others' being there
        return [row for row in rows if row.get("agrees") is not True]
    if name == "variants":  # of each kernel the winner, and what failed
        return [row for row in rows if "winner" in row or "error" in row or "left_out" in row]
    return rows


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    name = _cell(row, columns[0][1])
    if "error" in row:
        return [name, f"failed: {row['error'].splitlines()[0]}"]
    if "left_out" in row:
        return [name, f"left out: {row['left_out']}"]
    return [name, *(_cell(row, value) for _, value in columns[1:])]


def _cell(row: Row, value: Callable[[Row], str]) -> str:
    try:
        return value(row)
    except KeyError:  # a row of another kind: what it has is in the JSON file
        return "–"


def _failed(row: Row) -> bool:
    return "error" in row or row.get("agrees") is False


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(name, "–"))


def _number(name: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    return lambda row: "–" if row.get(name) is None else format(row[name] / scale, form)


def _within(outer: str, name: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    inner = _number(name, form, scale)
    return lambda row: inner(row.get(outer) or {})


def _spread(ratio: str, name: str | None = None) -> Callable[[Row], str]:
    """A ratio with its range; `name` where both are by name."""

    def cell(row: Row) -> str:
        value, around = row.get(ratio), row.get(f"{ratio}_range")
        if name is not None:
            value, around = (value or {}).get(name), (around or {}).get(name)
        if value is None:
            return "–"
        return (
            f"{value:.2f}"
            if around is None
            else f"{value:.2f} ({around[0]:.2f} to {around[1]:.2f})"
        )

    return cell


def _agrees(row: Row) -> str:
    agrees = row.get("agrees")
    return "–" if agrees is None else "yes" if agrees else "NO"


def _difference(row: Row) -> str:
    value = row.get("difference")
    value = max(value.values()) if isinstance(value, dict) else value
    return "–" if value is None else f"{value:.1e}"


def _short(row: Row) -> str:
    return str(row["model"]).partition("_")[2] if "model" in row else "–"


def _model_and_batch(row: Row) -> str:
    return f"{_short(row)}, {row['batch_size']}"


def _layout(row: Row) -> str:
    layout = row.get("winner") or row.get("layout") or {}
    values = {name: value for name, value in layout.items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "–"


def _kernel(row: Row) -> str:
    """A kernel's name without what PyTorch's have in common."""
    name = str(row.get("name", "all"))
    for common in ("void ", "at::native::", "(anonymous namespace)::"):
        name = name.replace(common, "")
    return name[:LETTERS].strip("_")


def _same_compiler(row: Row) -> str:
    if row["cache_from"] is None:
        return "none was carried"
    other = [name for name, made in row["cache_from"].items() if made != row["compiler"][name]]
    return f"no: another {' and '.join(other)}" if other else "yes"


def _stage(row: Row) -> str:
    return (
        f"{row['kernel']}, {_short(row)}, {row['stage']}" if "kernel" in row else f"{row['stage']}"
    )


SPEED: Column = ("images/s", lambda row: rate(row["images_per_second"]))
MEMORY: Column = ("memory", lambda row: "–" if row.get("memory") is None else memory(row["memory"]))

OPPONENTS = (
    f"Whole steps with AdamW’s update in turns with ours, bf16; {STEP} Timm trains its dense "
    "classifier; the others compute the same loss."
)
OPPONENT: Sequence[Column] = (
    ("by, size, batch", lambda row: f"{row['opponent']}, {_model_and_batch(row)}"),
    ("images/s", _within("images_per_second", "opponent", ",.0f")),
    ("ours", _within("images_per_second", "tiled", ",.0f")),
    ("ours is faster by", _spread("speedup", "tiled / opponent")),
    ("memory, GB", _within("memory", "opponent", ".1f", 1e9)),
    ("ours", _within("memory", "tiled", ".1f", 1e9)),
    ("first passes, s", _number("first_step", ".1f")),
    ("difference", _difference),
)

# Of each part: its title, what is to be known of it, and its columns; the first names a row.
PARTS: Mapping[str, tuple[str, Sequence[str], Sequence[Column]]] = {
    "rates": (
        "What the device can do",
        ("Products of two large square matrices of random numbers, and copies of 1 GiB.",),
        (
            ("precision", _text("precision")),
            ("products, TFLOP/s", _number("operations_per_second", ".0f", 1e12)),
            ("by", _text("product")),
            ("copies, GB/s read and written", _number("bytes_per_second", ".0f", 1e9)),
        ),
    ),
    "kernels compiled": (
        "Compiling the kernels",
        ("All that pre-training needs at every size, as many at a time as there are cores.",),
        (
            ("for", lambda row: f"compute capability {row.get('capability', '')}"),
            ("kernels", _text("kernels")),
            ("from the cache", _text("from_cache")),
            ("carried from this compiler", _same_compiler),
            ("seconds", _text("seconds")),
            ("failed", lambda row: "; ".join(row["failed"]) or "none"),
        ),
    ),
    "kernels agree": (
        "Kernels against the definition",
        (
            "A block on visible tiles with all its kernels, against masked maps in float64: "
            "relative differences of the result and of each gradient, by norms.",
        ),
        (
            (
                "stage, precision, value",
                lambda row: (
                    f"{row['channels']} channels, side {row['side']}, {row['precision']}"
                    + (f": {row['value']}" if "value" in row else "")
                ),
            ),
            ("difference", _difference),
            ("at most", _number("tolerance", ".0e")),
            ("agrees", _agrees),
        ),
    ),
    "registers": (
        "Registers of the kernels",
        ("Of a thread, as compiled for a block of Base in bf16; a spill is a detour to memory.",),
        (
            (
                "kernel",
                lambda row: (
                    f"{row.get('kernel', 'all')}, {row['channels']} channels, side {row['side']}"
                ),
            ),
            ("registers", _text("registers")),
            ("spills", _text("spills")),
            ("shared bytes", _text("shared")),
            ("warps", _text("warps")),
        ),
    ),
    "doctor": (
        "fcmae doctor",
        (),
        (
            ("check", _text("check")),
            ("found", _text("found")),
            ("allowed", _text("allowed")),
            ("passed", _agrees),
        ),
    ),
    "figure 1": (
        "Figure 1: throughput and memory by size",
        (
            f"Batch 64, 20 forward and backward passes, no update; {STEP} Masked is the paper’s "
            "dense counterpart. Memory is the peak of a step above weights and images. A ratio is "
            "the median over four turns, with the lowest and highest.",
        ),
        (
            ("size, mode", lambda row: f"{_short(row)}, {row.get('mode', '')}"),
            ("precision", lambda row: row.get("precision", "bf16")),
            SPEED,
            MEMORY,
            ("tiled is faster by", _spread("speedup")),
            ("memory of tiled / masked, all held", _number("memory_ratio", ".2f")),
        ),
    ),
    "whole steps": (
        "Whole steps: device and host apart",
        (
            f"Tiled, with AdamW’s update, bf16; {STEP} Device: the sum of a step’s kernels. Host: "
            "a step of two images, whose kernels take next to no time. Where the host takes longer "
            "than the device, the device waits.",
        ),
        (
            ("size, batch", _model_and_batch),
            SPEED,
            ("step, ms", _number("step_seconds", ".2f", 1e-3)),
            ("device, ms", _number("device_seconds", ".2f", 1e-3)),
            ("host, ms", _number("host_seconds", ".2f", 1e-3)),
            ("launches", _number("launches", ",.0f")),
            MEMORY,
            (
                "of the matrix-product rate",
                lambda row: percent(row["of_matrix_products"]),
            ),
        ),
    ),
    "profile": (
        "Where the device’s time goes",
        (f"Kernels of a whole tiled step of 64 images, bf16; {STEP}",),
        (
            (
                "size, kernel",
                lambda row: f"{_short(row)}: {_kernel(row)}",
            ),
            ("calls", _number("calls", ",.0f")),
            ("ms", _number("seconds", ".3f", 1e-3)),
            ("share", lambda row: percent(row["share"])),
        ),
    ),
    "host profile": (
        "Where the host’s time goes",
        (
            "Functions in which a whole tiled step of two images spends its time by itself, "
            "watched by Python’s profiler, which slows small functions down more than large ones.",
        ),
        (
            ("size, function", lambda row: f"{_short(row)}: {row.get('name', 'all')}"),
            ("calls", _number("calls", ",.0f")),
            ("ms", _number("seconds", ".3f", 1e-3)),
            ("share", lambda row: percent(row["share"])),
            ("not watched, ms", _number("alone_seconds", ".2f", 1e-3)),
        ),
    ),
    "graph": (
        "A CUDA graph against kernels started one by one",
        (
            "The same tiled step captured once and replayed with fresh masks. Static is that step "
            "not captured: nothing in it waits for the device.",
        ),
        (
            (
                "size, batch",
                lambda row: (
                    _model_and_batch(row)
                    + {True: ", with update", False: ", without", None: ""}[row.get("update")]
                ),
            ),
            ("images/s, eager", _within("images_per_second", "eager", ",.0f")),
            ("static", _within("images_per_second", "static", ",.0f")),
            ("graph", _within("images_per_second", "graph", ",.0f")),
            ("graph is faster by", _spread("speedup", "graph / eager")),
            ("a replay, ms", _number("replay", ".2f", 1e-3)),
            ("difference", _difference),
        ),
    ),
    "kernel by kernel": (
        "Each kernel against the operators that it replaces",
        ("Tiny, batch 64, bf16, forward and backward at every stage.",),
        (
            ("kernel, size, stage", _stage),
            ("µs", _number("seconds", ".1f", 1e-6)),
            ("operators, µs", _number("eager_seconds", ".1f", 1e-6)),
            ("faster by", _number("ratio", ".2f")),
            ("GB/s", _number("gigabytes_per_second", ".0f")),
            ("difference", _difference),
        ),
    ),
    "variants": (
        "Variants of the kernels",
        (
            "Tiny, batch 64, bf16: the fastest of all ways to divide the work among programs that "
            "were tried. A ratio is to the faster of two times of the default.",
        ),
        (
            ("kernel, size, stage", _stage),
            ("fastest layout", _layout),
            ("µs", _number("seconds", ".1f", 1e-6)),
            (
                "default, µs",
                lambda row: f"{min(row['default_seconds']) / 1e-6:.1f}",
            ),
            ("faster than the default by", _number("ratio", ".2f")),
        ),
    ),
    "opponents": ("Other ways to take the same step", (OPPONENTS,), OPPONENT),
    "inference": (
        "The dense classifier against timm’s",
        ("Same weights, eager, bf16, 224 pixels; they take turns.",),
        (
            (
                "size, batch, what",
                lambda row: f"{_model_and_batch(row)}, {row.get('work', 'forward and step')}",
            ),
            ("images/s, ours", _within("images_per_second", "ours", ",.0f")),
            ("timm", _within("images_per_second", "timm", ",.0f")),
            ("ours is faster by", _spread("speedup")),
        ),
    ),
    "training": (
        "A short run of fcmae pretrain",
        ("On JPEGs of 0.2 megapixels with as many readers as it takes by itself, bf16.",),
        (
            ("size", _short),
            ("batch", _text("batch_size")),
            SPEED,
            ("of the time waiting for images", lambda row: percent(row["waiting"])),
            ("first loss", _number("first_loss", ".3f")),
            ("last loss", _number("last_loss", ".3f")),
        ),
    ),
    "compiled opponents": (
        "Other ways, by PyTorch’s compiler",
        ("As above; the first passes are those in which it compiles.",),
        OPPONENT,
    ),
    "toy study": (
        "The toy study of figures 4 and 5",
        ("10,000 images, 20 epochs, one seed; its own page is in study-reconstruction-gpu.",),
        (
            ("encoder, mask size", lambda row: f"{row['encoder']}, {row['mask_size']} px"),
            ("MSE × 1000", _number("mse", ".2f", 1e-3)),
            ("top-5 error", _number("top_5_error", ".1%")),
            ("top-1 error", _number("top_1_error", ".1%")),
            ("seconds", _text("seconds")),
        ),
    ),
    "tests": (
        "Tests that need a GPU",
        (),
        (("test", _text("test")), ("says", _text("said")), ("all passed", _agrees)),
    ),
}


def figure_1(rows: Sequence[Row], form: str = "svg") -> bytes | None:
    """Figure 1 as bars, where matplotlib is installed and something was measured: SVG or PNG."""
    found = {
        (_short(row), row["mode"]): row
        for row in rows
        if "images_per_second" in row and row.get("precision", "bf16") == "bf16"
    }
    if not found or importlib.util.find_spec("matplotlib") is None:
        return None
    import io

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
