"""How a study begins: options checked, images chosen, what was trained before taken up again."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fcmae.errors import unknown
from fcmae.findings.figures import save
from fcmae.findings.machine import describe_run
from fcmae.findings.page import Finding, Page, Section, write_page
from fcmae.findings.record import Record, Row, say_written
from fcmae.images import Labelled, open_splits, share
from fcmae.inference.loop import require_one_process
from fcmae.sizes import size_of, total_stride
from fcmae.studies import runner
from fcmae.studies.claims import RULE
from fcmae.studies.rows import trained_in_words
from fcmae.studies.runner import KEY, Setting
from fcmae.studies.scale import Scale, scale_of
from fcmae.studies.subset import SALTS, drawn, part_of
from fcmae.training.devices import choose_device
from fcmae.training.plan import default_batch_size
from fcmae.training.recipe import override

# The parts of a scale, as its fields begin. Pre-training, of either kind, is on all images and has
# no table by size that its numbers could be left to.
PRETRAINING, CONTRASTIVE, FINETUNING, SUPERVISED = (
    "pretraining",
    "contrastive",
    "finetuning",
    "supervised",
)
NO_TABLE = (PRETRAINING, CONTRASTIVE)
WHICH = {"seeds"}  # of a scale: which settings there are, not what they are


@dataclass(frozen=True, slots=True)
class Work:
    """A study that may begin."""

    data: Path  # what is trained on: the user's folder, or links to a part of it
    scale: Scale
    seeds: tuple[int, ...]
    device: str
    workers: int | None
    record: Record

    def run(
        self,
        settings: Sequence[Setting],
        finding: Callable[[Sequence[Row], dict[str, Any]], Finding],
        measure: Callable[[Path], Row] | None = None,
    ) -> list[Row]:
        """Train what has no row yet; figure and page are written after each row.

        Args:
            settings: what to train.
            finding: what rows, and what `results.json` says of the run, come to.
            measure: as of `runner.run`.
        """
        folder = self.record.path.parent

        def show(rows: Sequence[Row]) -> None:
            write(folder, finding(rows, self.record.run), rows, self.record.run)

        rows = runner.run(
            settings,
            self.record,
            data=self.data,
            device=self.device,
            workers=self.workers,
            measure=measure,
            show=show,
        )
        say_written(folder / "page.html")
        return rows


def write(folder: Path, finding: Finding, rows: Sequence[Row], run: Mapping[str, Any]) -> None:
    """Figure and page, at whose end stands how it was done."""
    drawn = save(finding.figure, folder)
    sections = (
        Section("Figure", finding.reading, drawn, finding.alternative),
        Section("Table", table=finding.table),
        Section("How it was done", (trained_in_words(rows, run), RULE)),
    )
    page = Page(finding.kind, finding.title, finding.shows, sections)
    write_page(folder / "page.html", page, run)


def begin(
    study: str,
    *,
    data: Path,
    out: Path,
    scale: str,
    long: bool = False,
    trains: Sequence[str] = (PRETRAINING, FINETUNING),
    assignments: tuple[str, ...],
    seeds: tuple[int, ...],
    device: str,
    workers: int | None,
) -> Work:
    """Check the options that all studies have, and open what there is in `out`.

    Args:
        study: its name.
        data: folder of train/CLASS and val/CLASS.
        out: folder of its results.
        scale: a name.
        long: whether the paper's own is the longer pre-training.
        trains: the parts of the scale that it trains by, the first words of their fields.
        assignments: of the scale, as field=value.
        seeds: none for the scale's.
        device: as of `pretrain`.
        workers: likewise.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    require_one_process(f"study {study}")
    chosen = override(scale_of(scale, long=long), assignments)
    check_scale(chosen, trains)
    seeds = each_once("seeds", seeds or tuple(range(chosen.seeds)))
    for seed in seeds:
        if seed < 0:
            raise ValueError(f"seeds {seed}: numbers from 0 are needed")
    where = choose_device(device)
    data, out = data.expanduser().absolute(), out.expanduser().absolute()
    train, val = open_splits(data)
    if out.resolve().is_relative_to(data.resolve()):
        raise ValueError(f"out {out} lies inside data {data}: choose a folder outside")
    train, val = (
        drawn(images, number, salt)
        for images, number, salt in zip(
            (train, val), (chosen.num_images, chosen.num_val_images), SALTS.values(), strict=True
        )
    )
    check_batches(chosen, trains, train)
    values = {name: value for name, value in asdict(chosen).items() if name not in WHICH}
    settings = {
        "study": study,
        "scale": scale,
        **values,
        "data": str(data),
        "images": [len(train), len(val)],
        "classes": len(train.classes),
    }
    record = Record(out, {**describe_run(where), "settings": settings}, KEY, same=("settings",))
    part = part_of(data, out / "images", train=chosen.num_images, val=chosen.num_val_images)
    return Work(part, chosen, seeds, device, workers, record)


def some_of(field: str, wanted: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """What is to be compared: all that is known, unless some are named, each once.

    Raises:
        ValueError: for a name that is unknown or given twice.
    """
    for name in wanted:
        if name not in known:
            raise unknown(field, name, known)
    return each_once(f"{field}s", wanted) or tuple(known)


def each_once(field: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Refuse a value that is given twice: it would be trained once and counted twice."""
    twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
    if twice:
        raise ValueError(f"{field}: {twice[0]} is given twice: give each once")
    return tuple(values)


def check_scale(scale: Scale, trains: Sequence[str]) -> None:
    """Refuse numbers that no run could have, before the first is trained."""
    for name, value in asdict(scale).items():
        if not isinstance(value, str) and value < 0:
            raise ValueError(f"{name} {value} is not usable: it must be 0 or more")
    at_least_one = ["seeds", *(f"{part}_epochs" for part in trains if part in NO_TABLE)]
    for name in at_least_one:
        if getattr(scale, name) < 1:
            raise ValueError(f"{name} 0 is not usable: it must be 1 or more")
    size_of(f"convnextv2_{scale.size}")
    stride = total_stride(scale.stem_stride)
    if scale.image_size < stride or scale.image_size % stride:
        raise ValueError(
            f"image_size {scale.image_size} is not usable: a multiple of {stride} is needed, 8 "
            "times the stem stride"
        )


def check_batches(scale: Scale, trains: Sequence[str], train: Labelled) -> None:
    """Refuse batches that are larger than what there is to train on."""
    labelled = share(train, scale.label_share, seed=0)
    for part in trains:
        images = train if part in NO_TABLE else labelled
        batch = getattr(scale, f"{part}_batch_size")
        if batch > len(images):
            raise ValueError(
                f"{part}_batch_size {batch} is more than the {len(images)} images to train on: "
                f"--set {part}_batch_size={default_batch_size(len(images), batch)}, or more images "
                "or labels (num_images, label_share)"
            )
