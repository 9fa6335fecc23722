"""Of each part: its title, what is to be known of it, and the columns of its table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fcmae.console.units import memory, percent, rate

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]  # its heading, and a row's cell
LETTERS = 70  # of a kernel's name
STEP = "224 pixels, mask ratio 0.6"


def cells(row: Row, columns: Sequence[Column]) -> list[str]:
    """A row's cells, or its name and a reason; a dash where the row has nothing to say."""
    name = _cell(row, columns[0][1])
    if "error" in row:
        return [name, f"failed: {str(row['error']).partition(chr(10))[0]}"]
    if "left_out" in row:
        return [name, f"left out: {row['left_out']}"]
    return [name, *(_cell(row, value) for _, value in columns[1:])]


def _cell(row: Row, value: Callable[[Row], str]) -> str:
    try:
        return value(row)
    except Exception:  # a row of another kind: what it has is in the JSON file
        return "–"


def short(row: Row) -> str:
    """The model's size."""
    return str(row["model"]).partition("_")[2] if "model" in row else "–"


def words(form: str) -> Callable[[Row], str]:
    """Fields of a row in words, as `form` has them in braces; `size` is the model's."""
    return lambda row: form.format_map({"size": short(row), **row})


def named(name: str, form: str, whole: str = "all") -> Callable[[Row], str]:
    """The same, with `whole` where `name` is missing in a row that stands for all."""
    return lambda row: words(form)({name: whole, **row})


def number(name: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    """A number in units of `scale`, by Python's format."""
    return lambda row: _shown_number(row.get(name), form, scale)


def _shown_number(value: float | str | None, form: str, scale: float = 1.0) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else format(value / scale, form)  # "inf", "nan"


def within(outer: str, name: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    """A number of a field that has several by name."""
    inner = number(name, form, scale)
    return lambda row: inner(row.get(outer) or {})


def share(name: str) -> Callable[[Row], str]:
    """A share of one, in per cent."""
    return lambda row: percent(row[name])


def spread(ratio: str, name: str | None = None) -> Callable[[Row], str]:
    """A ratio with its range; `name` where both are by name."""

    def cell(row: Row) -> str:
        value, around = row.get(ratio), row.get(f"{ratio}_range")
        if name is not None:
            value, around = (value or {}).get(name), (around or {}).get(name)
        if value is None:
            return "–"
        spread = "" if around is None else f" ({around[0]:.2f} to {around[1]:.2f})"
        return f"{value:.2f}{spread}"

    return cell


def of_mode(mode: str, value: Callable[[Row], str]) -> Callable[[Row], str]:
    """A cell of figure 1's row, of one mode; its reason where there is none."""

    def cell(size: Row) -> str:
        row = size.get(mode)
        if row is None:
            return "–"
        return str(row["error"]) if "error" in row else value(row)

    return cell


def agrees(row: Row) -> str:
    """Whether a row does; a dash where nobody asked."""
    value = row.get("agrees")
    return "–" if value is None else "yes" if value else "NO"


def difference(row: Row) -> str:
    """The largest, where there are several."""
    value = row.get("difference")
    found = list(value.values()) if isinstance(value, dict) else [value]
    words = [one for one in found if isinstance(one, str)]  # of what is not a number
    numbers = [one for one in found if isinstance(one, float)]
    return words[0] if words else _shown_number(max(numbers, default=None), ".1e")


def layout(row: Row) -> str:
    """A kernel's layout, the winner's where a row names one."""
    found = row.get("winner") or row.get("layout") or {}
    values = {name: value for name, value in found.items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "–"


def kernel(row: Row) -> str:
    """The size, and a kernel's name without what PyTorch's have in common."""
    name = str(row.get("name", "all"))
    for common in ("void ", "at::native::", "(anonymous namespace)::"):
        name = name.replace(common, "")
    return f"{short(row)}: {name[:LETTERS].strip('_')}"


def same_compiler(row: Row) -> str:
    """Whether a carried cache is from the compiler that is here."""
    if row["cache_from"] is None:
        return "none was carried"
    other = [name for name, made in row["cache_from"].items() if made != row["compiler"][name]]
    return f"no: another {' and '.join(other)}" if other else "yes"


def stage(row: Row) -> str:
    """Kernel, size and stage; the stage alone of a row that stands for all kernels."""
    return words("{kernel}, {size}, {stage}" if "kernel" in row else "{stage}")(row)


def speed(row: Row) -> str:
    """Images a second."""
    return rate(row["images_per_second"])


def all_held(row: Row) -> str:
    """Memory at the peak of a step, with what is held before it."""
    return memory(row["held"] + row["memory"])


def milliseconds(row: Row) -> str:
    """A step's, the median over turns, with the lowest and highest."""
    turns = [1e3 * seconds for seconds in row["turns"]]
    return f"{1e3 * row['step_seconds']:.1f} ({min(turns):.1f} to {max(turns):.1f})"


def with_update(row: Row) -> str:
    """Size and batch, and whether AdamW's step is part of it."""
    update = {True: ", with update", False: ", without", None: ""}[row.get("update")]
    return words("{size}, {batch_size}")(row) + update


class Description(NamedTuple):
    """What is shown of a part beside its numbers."""

    title: str
    paragraphs: Sequence[str]
    columns: Sequence[Column]  # the first names a row

    @staticmethod
    def of(title: str, paragraph: str, *columns: Column) -> "Description":
        """With one paragraph or, if that is empty, none."""
        return Description(title, (paragraph,) if paragraph else (), columns)


OPPONENTS = (
    f"Whole steps with AdamW’s update in turns with ours, bf16; {STEP}. Timm trains its dense "
    "classifier; the others compute the same loss."
)
OPPONENT: Sequence[Column] = (
    ("by, size, batch", words("{opponent}, {size}, {batch_size}")),
    ("images/s", within("images_per_second", "opponent", ",.0f")),
    ("ours", within("images_per_second", "tiled", ",.0f")),
    ("ours is faster by", spread("speedup", "tiled / opponent")),
    ("memory, GB", within("memory", "opponent", ".1f", 1e9)),
    ("ours", within("memory", "tiled", ".1f", 1e9)),
    ("first passes, s", number("first_step", ".1f")),
    ("difference", difference),
)

PARTS: Mapping[str, Description] = {
    "rates": Description.of(
        "What the device can do",
        "Products of two large square matrices of random numbers (fp32 without TF32), and "
        "copies of 1 GiB.",
        ("precision", words("{precision}")),
        ("products, TFLOP/s", number("operations_per_second", ".0f", 1e12)),
        ("by", words("{product}")),
        ("copies, GB/s read and written", number("bytes_per_second", ".0f", 1e9)),
    ),
    "kernels compiled": Description.of(
        "Compiling the kernels",
        "All that pre-training needs at every size, as many at a time as there are cores.",
        ("for", named("capability", "compute capability {capability}", "")),
        ("kernels", words("{kernels}")),
        ("from the cache", words("{from_cache}")),
        ("carried from this compiler", same_compiler),
        ("seconds", words("{seconds}")),
        ("failed", lambda row: "; ".join(row["failed"]) or "none"),
    ),
    "kernels agree": Description.of(
        "Kernels against the definition",
        "A block on visible tiles with all its kernels, against masked maps in float64: "
        "relative differences, by norms, of the result and of each gradient. Shown is the "
        "value that differs most.",
        ("channels, side of a tile, precision", words("{channels}, {side}, {precision}")),
        ("agree", words("{good} of {of}")),
        ("worst", words("{value}")),
        ("difference", difference),
        ("at most", number("tolerance", ".0e")),
    ),
    "registers": Description.of(
        "Registers of the kernels",
        "Of a thread, as compiled for a block of Base in bf16; a spill is a detour to memory.",
        ("kernel", named("kernel", "{kernel}, {channels} channels, side {side}")),
        ("registers", words("{registers}")),
        ("spills", words("{spills}")),
        ("shared bytes", words("{shared}")),
        ("warps", words("{warps}")),
    ),
    "doctor": Description.of(
        "fcmae doctor",
        "",
        ("check", words("{check}")),
        ("found", words("{found}")),
        ("allowed", words("{allowed}")),
        ("passed", agrees),
    ),
    "figure 1": Description.of(
        "Figure 1: throughput and memory by size",
        f"Batch 64, 20 forward and backward passes of each mode in turns, no update; {STEP}. "
        "Masked is the paper’s dense counterpart. A ratio is the median over four turns, with "
        "the lowest and highest; by the device, it is that of the sums of a step’s kernels, "
        "whatever the host does. Memory is all that is held at the peak of a step: weights, "
        "images, gradients and activations.",
        ("size, precision", words("{size}, {precision}")),
        ("images/s, tiled", of_mode("tiled", speed)),
        ("masked", of_mode("masked", speed)),
        ("tiled is faster by", of_mode("masked", spread("speedup"))),
        ("by the device", of_mode("masked", number("device_speedup", ".2f"))),
        ("memory, tiled", of_mode("tiled", all_held)),
        ("masked", of_mode("masked", all_held)),
        ("tiled / masked", of_mode("masked", number("memory_ratio", ".2f"))),
    ),
    "whole steps": Description.of(
        "Whole steps: device and host apart",
        f"Tiled, with AdamW’s update, bf16; {STEP}. Device: the sum of a step’s kernels. Host: "
        "a step of two images, whose kernels take next to no time; where it takes longer than "
        "the device, the device waits. The host’s own speed differs from part to part: compare "
        "within a row. Memory is that of a step above weights, optimiser and images. The last "
        "column is the arithmetic that a step needs, a second, against plain products of large "
        "matrices in the same turns.",
        ("size, batch", words("{size}, {batch_size}")),
        ("images/s", speed),
        ("step, ms", milliseconds),
        ("device, ms", number("device_seconds", ".2f", 1e-3)),
        ("host, ms", number("host_seconds", ".2f", 1e-3)),
        ("launches", number("launches", ",.0f")),
        ("memory", lambda row: memory(row["memory"])),
        ("of the matrix-product rate", share("of_matrix_products")),
    ),
    "profile": Description.of(
        "Where the device’s time goes",
        f"Kernels of a whole tiled step of 64 images, bf16; {STEP}.",
        ("size, kernel", kernel),
        ("calls", number("calls", ",.0f")),
        ("ms", number("seconds", ".3f", 1e-3)),
        ("share", share("share")),
    ),
    "host profile": Description.of(
        "Where the host’s time goes",
        "Functions in which a whole tiled step of two images spends its time by itself, "
        "watched by Python’s profiler, which slows small functions down more than large ones: "
        "in the last column, beside all functions, is a step that nobody watches.",
        ("size, function", named("name", "{size}: {name}")),
        ("calls", number("calls", ",.0f")),
        ("ms", number("seconds", ".3f", 1e-3)),
        ("share", share("share")),
        ("a step not watched, ms", number("alone_seconds", ".2f", 1e-3)),
    ),
    "graph": Description.of(
        "A CUDA graph against kernels started one by one",
        "The same tiled step captured once and replayed with fresh masks: a measurement only, "
        "`fcmae pretrain` has it not. Static is that step not captured: nothing in it waits "
        "for the device. The difference is the graph’s to eager, of loss and gradient.",
        ("size, batch", with_update),
        ("images/s, eager", within("images_per_second", "eager", ",.0f")),
        ("static", within("images_per_second", "static", ",.0f")),
        ("graph", within("images_per_second", "graph", ",.0f")),
        ("graph is faster by", spread("speedup", "graph / eager")),
        ("a replay, ms", number("replay", ".2f", 1e-3)),
        ("difference", difference),
    ),
    "kernel by kernel": Description.of(
        "Each kernel against the operators that it replaces",
        "Tiny, batch 64, bf16. Ten calls one after another, in turns: where starting a kernel "
        "takes longer than running it, as for most of these, that is what is timed. How long "
        "they run is in the profile and in the variants.",
        ("kernel, size, stage", stage),
        ("µs", number("seconds", ".1f", 1e-6)),
        ("operators, µs", number("eager_seconds", ".1f", 1e-6)),
        ("faster by", number("ratio", ".2f")),
        ("difference", difference),
    ),
    "variants": Description.of(
        "Variants of the kernels",
        "Tiny, batch 64, bf16: the fastest of all ways to divide the work among programs that "
        "were tried. A ratio is to the faster of two times of the default.",
        ("kernel, size, stage", stage),
        ("fastest layout", layout),
        ("µs", number("seconds", ".1f", 1e-6)),
        ("default, µs", lambda row: f"{min(row['default_seconds']) / 1e-6:.1f}"),
        ("faster than the default by", number("ratio", ".2f")),
    ),
    "opponents": Description.of(
        "Other ways to take the same step",
        OPPONENTS,
        *OPPONENT,
    ),
    "inference": Description.of(
        "The dense classifier against timm’s",
        "Same weights, eager, bf16, 224 pixels; they take turns.",
        (
            "size, batch, what",
            named("work", "{size}, {batch_size}, {work}", "forward and step"),
        ),
        ("images/s, ours", within("images_per_second", "ours", ",.0f")),
        ("timm", within("images_per_second", "timm", ",.0f")),
        ("ours is faster by", spread("speedup")),
    ),
    "training": Description.of(
        "A short run of fcmae pretrain",
        "On JPEGs of 0.2 megapixels with as many readers as it takes by itself, bf16.",
        ("size", short),
        ("batch", words("{batch_size}")),
        ("images/s", speed),
        ("of the time waiting for images", share("waiting")),
        ("first loss", number("first_loss", ".3f")),
        ("last loss", number("last_loss", ".3f")),
    ),
    "compiled opponents": Description.of(
        "Other ways, by PyTorch’s compiler",
        "As above; the first passes are those in which it compiles.",
        *OPPONENT,
    ),
    "toy study": Description.of(
        "The toy study of figures 4 and 5",
        "10,000 images, 20 epochs, one seed; its own page is in study-reconstruction-gpu.",
        ("encoder, mask size", words("{encoder}, {mask_size} px")),
        ("MSE × 1000", number("mse", ".2f", 1e-3)),
        ("top-5 error", number("top_5_error", ".1%")),
        ("top-1 error", number("top_1_error", ".1%")),
        ("seconds", words("{seconds}")),
    ),
    "tests": Description.of(
        "Tests that need a GPU",
        "",
        ("test", words("{test}")),
        ("says", words("{said}")),
        ("all passed", agrees),
    ),
}
