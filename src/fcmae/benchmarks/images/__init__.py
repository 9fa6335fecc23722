"""How many photographs a core reads: Pillow's usual pipeline, and ours, exact and fast."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcmae.benchmarks.options import check_counts, use_threads
from fcmae.errors import check_target

if TYPE_CHECKING:
    from fcmae.benchmarks.images.reading import Readers

SUFFIXES = (".jpg", ".jpeg")


def benchmark_images(
    *,
    data: Path | None = None,
    megapixels: tuple[float, ...] = (0.2, 3.0, 12.0),
    images: int = 8,
    image_size: int = 224,
    repeats: int = 7,
    json: Path | None = None,
) -> list[dict[str, Any]]:
    """Time decoding and random crops of JPEGs on one core, as pre-training asks for them.

    Compared are Pillow's usual pipeline (decode, RandomResizedCrop of bicubic interpolation, flip)
    and the loader's two ways, exact and fast, which are slower where simplejpeg is missing: rows
    name their decoder. They take turns on the same files and the same crops, so that a busy machine
    disturbs them alike; ratios are medians of the ratios within a round.
    Nothing is timed before its crops were found to be those of a full decoding that is resized by
    antialiased bicubic interpolation: exact to the bit, the others up to a level of 255 on average.

    Args:
        data: folder of photographs, or .txt file with a path a line, of which JPEGs at even
            distances are read. Default: photographs made for this, four wide to three high.
        megapixels: sizes of those that are made, 1 = 10^6 pixels.
        images: photographs of each size, or of `data`.
        image_size: pixels a side of a crop.
        repeats: rounds; each draws other crops.
        json: file to write rows, machine, versions, command and date to.

    Returns:
        One row a size, as in the JSON file: times in seconds a round, errors in levels of 255.

    Raises:
        ValueError: if an argument cannot be used, or a photograph cannot be read.
        RuntimeError: if crops are not as they should be: wrong results are not timed.
    """
    for name, value in (("images", images), ("image_size", image_size), ("repeats", repeats)):
        check_counts(name, value)
    for size in megapixels:
        if not 0.01 <= size <= 80:
            raise ValueError(f"megapixels: {size:g} is not from 0.01 to 80")
    if json is not None:
        check_target("json", json)

    import torch
    from rich.console import Console

    from fcmae.benchmarks.images.photographs import make_photographs
    from fcmae.benchmarks.images.reading import Readers
    from fcmae.findings.machine import describe_run
    from fcmae.findings.record import write_rows

    screen, progress = Console(), Console(stderr=True)
    rows = []
    with use_threads(1), progress.status("") as status:
        run = describe_run(torch.device("cpu"))
        if data is not None:
            status.update(str(data))
            rows.append(_row(str(data), Readers(_choose(data, images), image_size), repeats))
        for size in megapixels if data is None else ():
            status.update(f"photographs of {size:g} megapixels")
            with tempfile.TemporaryDirectory() as folder:
                paths = make_photographs(Path(folder), images, size)
                rows.append(_row("made", Readers(paths, image_size), repeats))
    screen.print(f"{run['machine']}; torch {torch.__version__}")
    screen.print(_table(rows))
    if json is not None:
        write_rows(json, run, rows)
    return rows


def _choose(data: Path, number: int) -> list[Path]:
    """JPEGs at even distances in the order of their names."""
    from fcmae.images import list_images

    paths = [path for path in list_images(data) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise ValueError(
            f"data {str(data)!r} holds no JPEG: give a folder with {' or '.join(SUFFIXES)} files"
        )
    number = min(number, len(paths))
    return [paths[index * len(paths) // number] for index in range(number)]


def _row(source: str, readers: "Readers", repeats: int) -> dict[str, Any]:
    from fcmae.benchmarks.timing import ratios
    from fcmae.images.jpeg import import_simplejpeg

    errors = readers.require_agreement()
    seconds: dict[str, list[float]] = {name: [] for name in readers.pipelines}
    for turn in range(repeats):
        for name, pipeline in readers.pipelines.items():
            began = time.perf_counter()
            pipeline(turn)
            seconds[name].append(time.perf_counter() - began)
    number = len(readers.paths)
    speedup = {
        f"{name} / pillow": ratios(seconds["pillow"], values)
        for name, values in seconds.items()
        if name != "pillow"
    }
    return {
        "photographs": source,
        "images": number,
        **readers.describe(),
        "image_size": readers.size[0],
        "decoder": "simplejpeg" if import_simplejpeg() else "Pillow",  # of exact and fast
        "images_per_second": {
            name: number / statistics.median(values) for name, values in seconds.items()
        },
        "speedup": {name: statistics.median(values) for name, values in speedup.items()},
        "speedup_range": {name: [values[0], values[-1]] for name, values in speedup.items()},
        "pixel_error": errors,
        "seconds": seconds,
    }


def _table(rows: Sequence[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE,
        caption="Speed: of one core; ratio of images/s, the median over rounds and their range. "
        "Error: distance to a full decoding that is resized by antialiased bicubic interpolation, "
        "in levels of 255.",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column("photographs", overflow="fold")
    table.add_column("pipeline")
    for heading in ("images/s", "faster than\nPillow by", "error:\nmean", "\nmax"):
        table.add_column(heading, justify="right")
    for row in rows:
        names = list(row["images_per_second"])
        table.add_row(
            f"{row['photographs']}\n{row['megapixels']:.2g} megapixels",
            "\n".join(names),
            "\n".join(f"{row['images_per_second'][name]:.1f}" for name in names),
            "\n".join(_times(row, name) for name in names),
            "\n".join(f"{row['pixel_error'][name]['mean']:.2f}" for name in names),
            "\n".join(f"{row['pixel_error'][name]['max']:.0f}" for name in names),
        )
        table.add_section()
    return table


def _times(row: dict[str, Any], name: str) -> str:
    key = f"{name} / pillow"
    if key not in row["speedup"]:
        return ""
    low, high = row["speedup_range"][key]
    return f"{row['speedup'][key]:.2f}x ({low:.2f} to {high:.2f})"
