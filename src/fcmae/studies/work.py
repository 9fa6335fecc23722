"""How a study begins: options checked, images chosen, what was trained before taken up again."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fcmae.devices import choose_device
from fcmae.errors import unknown
from fcmae.findings.figures import save
from fcmae.findings.machine import describe_run
from fcmae.findings.page import Finding, Page, Section, write_page
from fcmae.findings.record import Record, Row, say_written
from fcmae.images import open_splits
from fcmae.studies import runner
from fcmae.studies.claims import RULE
from fcmae.studies.rows import trained_in_words
from fcmae.studies.runner import KEY, Setting
from fcmae.studies.scale import Scale, scale_of
from fcmae.studies.subset import part_of
from fcmae.tasks.settings import override


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
            write(folder, finding(rows, self.record.run), self.record.run)

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


def write(folder: Path, finding: Finding, run: Mapping[str, Any]) -> None:
    """Figure and page, at whose end stands how it was done."""
    drawn = save(finding.figure, folder)
    sections = (
        Section("Figure", finding.reading, drawn, finding.alternative),
        Section("Table", table=finding.table),
        Section("How it was done", (trained_in_words(run), RULE)),
    )
    page = Page(finding.kind, finding.title, finding.shows, sections)
    write_page(folder / "page.html", page, run)


def begin(
    study: str,
    *,
    data: Path,
    out: Path,
    scale: str,
    assignments: tuple[str, ...],
    seeds: tuple[int, ...],
    device: str,
    workers: int | None,
) -> Work:
    """Check the options that all studies have, and open what there is in `out`.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    chosen = override(scale_of(scale), assignments)
    check_scale(chosen)
    seeds = each_once("seeds", seeds or tuple(range(chosen.seeds)))
    for seed in seeds:
        if seed < 0:
            raise ValueError(f"seeds {seed}: numbers from 0 are needed")
    where = choose_device(device)
    data, out = data.expanduser().absolute(), out.expanduser().absolute()
    train, val = open_splits(data)
    if out.resolve().is_relative_to(data.resolve()):
        raise ValueError(f"out {out} lies inside data {data}: choose a folder outside")
    settings = {
        "study": study,
        "scale": scale,
        **asdict(chosen),
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


def check_scale(scale: Scale) -> None:
    """Refuse numbers that no run could have; the commands that are run check the rest."""
    for name, value in asdict(scale).items():
        if not isinstance(value, str) and value < 0:
            raise ValueError(f"{name} {value} is not usable: it must be 0 or more")
    if scale.seeds < 1:
        raise ValueError("seeds 0 is not usable: it must be 1 or more")
    if scale.pretraining_epochs < 1:
        raise ValueError("pretraining_epochs 0 is not usable: it must be 1 or more")
