"""Of each part: its title, what is to be known of it, and the columns of its table."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fcmae.console.units import memory, percent
from fcmae.gpu.cells import (
    Column,
    agrees,
    all_held,
    difference,
    kernel,
    layout,
    milliseconds,
    model_and_batch,
    number,
    of_mode,
    same_compiler,
    short,
    speed,
    spread,
    stage,
    text,
    within,
)

STEP = "224 pixels, mask ratio 0.6"


class Words(NamedTuple):
    """What is shown of a part beside its numbers."""

    title: str
    paragraphs: Sequence[str]
    columns: Sequence[Column]  # the first names a row


OPPONENTS = (
    f"Whole steps with AdamW’s update in turns with ours, bf16; {STEP}. Timm trains its dense "
    "classifier; the others compute the same loss."
)
OPPONENT: Sequence[Column] = (
    ("by, size, batch", lambda row: f"{row['opponent']}, {model_and_batch(row)}"),
    ("images/s", within("images_per_second", "opponent", ",.0f")),
    ("ours", within("images_per_second", "tiled", ",.0f")),
    ("ours is faster by", spread("speedup", "tiled / opponent")),
    ("memory, GB", within("memory", "opponent", ".1f", 1e9)),
    ("ours", within("memory", "tiled", ".1f", 1e9)),
    ("first passes, s", number("first_step", ".1f")),
    ("difference", difference),
)

PARTS: Mapping[str, Words] = {
    "rates": Words(
        "What the device can do",
        (
            "Products of two large square matrices of random numbers (fp32 without TF32), and "
            "copies of 1 GiB.",
        ),
        (
            ("precision", text("precision")),
            ("products, TFLOP/s", number("operations_per_second", ".0f", 1e12)),
            ("by", text("product")),
            ("copies, GB/s read and written", number("bytes_per_second", ".0f", 1e9)),
        ),
    ),
    "kernels compiled": Words(
        "Compiling the kernels",
        ("All that pre-training needs at every size, as many at a time as there are cores.",),
        (
            ("for", lambda row: f"compute capability {row.get('capability', '')}"),
            ("kernels", text("kernels")),
            ("from the cache", text("from_cache")),
            ("carried from this compiler", same_compiler),
            ("seconds", text("seconds")),
            ("failed", lambda row: "; ".join(row["failed"]) or "none"),
        ),
    ),
    "kernels agree": Words(
        "Kernels against the definition",
        (
            "A block on visible tiles with all its kernels, against masked maps in float64: "
            "relative differences, by norms, of the result and of each gradient. Shown is the "
            "value that differs most.",
        ),
        (
            (
                "channels, side of a tile, precision",
                lambda row: f"{row['channels']}, {row['side']}, {row['precision']}",
            ),
            ("agree", lambda row: f"{row['good']} of {row['of']}"),
            ("worst", text("value")),
            ("difference", difference),
            ("at most", number("tolerance", ".0e")),
        ),
    ),
    "registers": Words(
        "Registers of the kernels",
        ("Of a thread, as compiled for a block of Base in bf16; a spill is a detour to memory.",),
        (
            (
                "kernel",
                lambda row: (
                    f"{row.get('kernel', 'all')}, {row['channels']} channels, side {row['side']}"
                ),
            ),
            ("registers", text("registers")),
            ("spills", text("spills")),
            ("shared bytes", text("shared")),
            ("warps", text("warps")),
        ),
    ),
    "doctor": Words(
        "fcmae doctor",
        (),
        (
            ("check", text("check")),
            ("found", text("found")),
            ("allowed", text("allowed")),
            ("passed", agrees),
        ),
    ),
    "figure 1": Words(
        "Figure 1: throughput and memory by size",
        (
            f"Batch 64, 20 forward and backward passes of each mode in turns, no update; {STEP}. "
            "Masked is the paper’s dense counterpart. A ratio is the median over four turns, with "
            "the lowest and highest; by the device, it is that of the sums of a step’s kernels, "
            "whatever the host does. Memory is all that is held at the peak of a step: weights, "
            "images, gradients and activations.",
        ),
        (
            ("size, precision", lambda row: f"{short(row)}, {row['precision']}"),
            ("images/s, tiled", of_mode("tiled", speed)),
            ("masked", of_mode("masked", speed)),
            ("tiled is faster by", of_mode("masked", spread("speedup"))),
            ("by the device", of_mode("masked", number("device_speedup", ".2f"))),
            ("memory, tiled", of_mode("tiled", all_held)),
            ("masked", of_mode("masked", all_held)),
            ("tiled / masked", of_mode("masked", number("memory_ratio", ".2f"))),
        ),
    ),
    "whole steps": Words(
        "Whole steps: device and host apart",
        (
            f"Tiled, with AdamW’s update, bf16; {STEP}. Device: the sum of a step’s kernels. Host: "
            "a step of two images, whose kernels take next to no time; where it takes longer than "
            "the device, the device waits. The host’s own speed differs from part to part: compare "
            "within a row. Memory is that of a step above weights, optimiser and images. The last "
            "column is the arithmetic that a step needs, a second, against plain products of large "
            "matrices in the same turns.",
        ),
        (
            ("size, batch", model_and_batch),
            ("images/s", speed),
            ("step, ms", milliseconds),
            ("device, ms", number("device_seconds", ".2f", 1e-3)),
            ("host, ms", number("host_seconds", ".2f", 1e-3)),
            ("launches", number("launches", ",.0f")),
            ("memory", lambda row: memory(row["memory"])),
            ("of the matrix-product rate", lambda row: percent(row["of_matrix_products"])),
        ),
    ),
    "profile": Words(
        "Where the device’s time goes",
        (f"Kernels of a whole tiled step of 64 images, bf16; {STEP}.",),
        (
            (
                "size, kernel",
                lambda row: f"{short(row)}: {kernel(row)}",
            ),
            ("calls", number("calls", ",.0f")),
            ("ms", number("seconds", ".3f", 1e-3)),
            ("share", lambda row: percent(row["share"])),
        ),
    ),
    "host profile": Words(
        "Where the host’s time goes",
        (
            "Functions in which a whole tiled step of two images spends its time by itself, "
            "watched by Python’s profiler, which slows small functions down more than large ones: "
            "in the last column, beside all functions, is a step that nobody watches.",
        ),
        (
            ("size, function", lambda row: f"{short(row)}: {row.get('name', 'all')}"),
            ("calls", number("calls", ",.0f")),
            ("ms", number("seconds", ".3f", 1e-3)),
            ("share", lambda row: percent(row["share"])),
            ("a step not watched, ms", number("alone_seconds", ".2f", 1e-3)),
        ),
    ),
    "graph": Words(
        "A CUDA graph against kernels started one by one",
        (
            "The same tiled step captured once and replayed with fresh masks: a measurement only, "
            "`fcmae pretrain` has it not. Static is that step not captured: nothing in it waits "
            "for the device. The difference is the graph’s to eager, of loss and gradient.",
        ),
        (
            (
                "size, batch",
                lambda row: (
                    model_and_batch(row)
                    + {True: ", with update", False: ", without", None: ""}[row.get("update")]
                ),
            ),
            ("images/s, eager", within("images_per_second", "eager", ",.0f")),
            ("static", within("images_per_second", "static", ",.0f")),
            ("graph", within("images_per_second", "graph", ",.0f")),
            ("graph is faster by", spread("speedup", "graph / eager")),
            ("a replay, ms", number("replay", ".2f", 1e-3)),
            ("difference", difference),
        ),
    ),
    "kernel by kernel": Words(
        "Each kernel against the operators that it replaces",
        (
            "Tiny, batch 64, bf16. Ten calls one after another, in turns: where starting a kernel "
            "takes longer than running it, as for most of these, that is what is timed. How long "
            "they run is in the profile and in the variants.",
        ),
        (
            ("kernel, size, stage", stage),
            ("µs", number("seconds", ".1f", 1e-6)),
            ("operators, µs", number("eager_seconds", ".1f", 1e-6)),
            ("faster by", number("ratio", ".2f")),
            ("difference", difference),
        ),
    ),
    "variants": Words(
        "Variants of the kernels",
        (
            "Tiny, batch 64, bf16: the fastest of all ways to divide the work among programs that "
            "were tried. A ratio is to the faster of two times of the default.",
        ),
        (
            ("kernel, size, stage", stage),
            ("fastest layout", layout),
            ("µs", number("seconds", ".1f", 1e-6)),
            (
                "default, µs",
                lambda row: f"{min(row['default_seconds']) / 1e-6:.1f}",
            ),
            ("faster than the default by", number("ratio", ".2f")),
        ),
    ),
    "opponents": Words("Other ways to take the same step", (OPPONENTS,), OPPONENT),
    "inference": Words(
        "The dense classifier against timm’s",
        ("Same weights, eager, bf16, 224 pixels; they take turns.",),
        (
            (
                "size, batch, what",
                lambda row: f"{model_and_batch(row)}, {row.get('work', 'forward and step')}",
            ),
            ("images/s, ours", within("images_per_second", "ours", ",.0f")),
            ("timm", within("images_per_second", "timm", ",.0f")),
            ("ours is faster by", spread("speedup")),
        ),
    ),
    "training": Words(
        "A short run of fcmae pretrain",
        ("On JPEGs of 0.2 megapixels with as many readers as it takes by itself, bf16.",),
        (
            ("size", short),
            ("batch", text("batch_size")),
            ("images/s", speed),
            ("of the time waiting for images", lambda row: percent(row["waiting"])),
            ("first loss", number("first_loss", ".3f")),
            ("last loss", number("last_loss", ".3f")),
        ),
    ),
    "compiled opponents": Words(
        "Other ways, by PyTorch’s compiler",
        ("As above; the first passes are those in which it compiles.",),
        OPPONENT,
    ),
    "toy study": Words(
        "The toy study of figures 4 and 5",
        ("10,000 images, 20 epochs, one seed; its own page is in study-reconstruction-gpu.",),
        (
            ("encoder, mask size", lambda row: f"{row['encoder']}, {row['mask_size']} px"),
            ("MSE × 1000", number("mse", ".2f", 1e-3)),
            ("top-5 error", number("top_5_error", ".1%")),
            ("top-1 error", number("top_1_error", ".1%")),
            ("seconds", text("seconds")),
        ),
    ),
    "tests": Words(
        "Tests that need a GPU",
        (),
        (("test", text("test")), ("says", text("said")), ("all passed", agrees)),
    ),
}
