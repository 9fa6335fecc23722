"""What every analysis does: it starts, takes up what was measured before, and ends with a page."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcmae.analyze.images import describe_images
from fcmae.analyze.models import AnalyzedBackbone
from fcmae.commands.analyze import Diversity, Selectivity
from fcmae.console.screen import say
from fcmae.images import ImageSet
from fcmae.inference.loop import Outputs, forward_in_order, require_one_process
from fcmae.probes.blocks import Measure, each_block
from fcmae.report.findings import Finding, Table, write_finding
from fcmae.report.record import Record, Row, describe_run, say_written
from fcmae.training.devices import Runtime, choose_device, choose_precision, start_runtime

Column = tuple[str, Callable[[Any], str]]

KEY = ("digest", "settings")  # the fields of a row that tell it from others


def start(name: str, device: str, precision: str) -> Runtime:
    """Where the analysis of this name computes, which is in one process.

    Raises:
        ValueError: under torchrun, or for a device or a precision that there is not.
    """
    require_one_process(f"analyze {name}")
    chosen = choose_device(device)
    return start_runtime(chosen, choose_precision(precision, chosen))


def open_record(
    name: str, out: str | Path, runtime: Runtime, facts: Mapping[str, Any], key: Sequence[str] = KEY
) -> Record:
    """What an analysis measured so far.

    Args:
        name: of the analysis; a folder has the results of one.
        out: the folder.
        runtime: where this call computes.
        facts: what else results.json says of this call.
        key: the fields of a row that tell it from others.
    """
    run = {**describe_run(runtime.device), "analysis": name, **facts}
    return Record(Path(out).expanduser(), run, key, same=("analysis",))


def table_of(
    first: str, rows: Iterable[tuple[str, Row]], columns: Mapping[str, Column], caption: str = ""
) -> Table:
    """Rows as a table of the page.

    Args:
        first: the heading of the rows' names.
        rows: each with its name.
        columns: by heading, the field of the rows and how it is written; None is left empty.
        caption: below the table.
    """
    lines = []
    for name, row in rows:
        values = [(row.get(field), write) for field, write in columns.values()]
        lines.append([name, *("" if value is None else write(value) for value, write in values)])
    return Table((first, *columns), lines, caption)


def publish(record: Record, finding: Finding, facts: Mapping[str, Any]) -> Path:
    """Write the page and its figure beside the record, and say so.

    Args:
        record: what was measured.
        finding: what is shown.
        facts: what else the page says of this call.
    """
    page = write_finding(record.path.parent, finding, {**record.run, **facts})
    say_written(page)
    return page


class BlockAnalysis:
    """An analysis of all blocks over a set of images, with a row a block, model after model.

    Args:
        name: of the analysis.
        options: where images and results are.
        runtime: where to compute.
        models: all that are compared.
        images: what they are run over.
        measured: the option that says what is measured, and its value.
    """

    def __init__(
        self,
        name: str,
        options: Selectivity | Diversity,
        runtime: Runtime,
        models: Sequence[AnalyzedBackbone],
        images: ImageSet[int | None],
        measured: Mapping[str, str],
    ) -> None:
        self.runtime, self.models, self.images = runtime, models, images
        self.record = open_record(name, options.out, runtime, {}, (*KEY, "block"))
        self.settings = {
            **describe_images(options.data, images),
            **measured,
            "precision": runtime.precision,
        }
        sizes = [model.preprocessing.size for model in models]
        self.facts = {"data": str(options.data), "image size": sizes, **measured}

    def key(self, model: AnalyzedBackbone) -> Row:
        """What tells a model's rows from others; that of a block has its name as well."""
        return {"digest": model.digest, "settings": {**self.settings, **model.settings}}

    def title(self, model: AnalyzedBackbone) -> str:
        """What the screen says of it: "1 of 2: runs/a"."""
        number, of = self.models.index(model) + 1, len(self.models)
        return f"{number} of {of}: {model.label}" if of > 1 else model.label

    def kept_rows(self, model: AnalyzedBackbone) -> list[Row]:
        """The rows of all blocks as they were measured before; none unless all of them were."""
        keys = [self.key(model) | {"block": block} for block in model.blocks]
        kept = [row for key in keys if (row := self.record.row(key))]
        if len(kept) < len(keys):
            return []
        say(f"{self.title(model)} was measured before")
        return [row | model.facts for row in kept]  # it may be called otherwise now

    def keep_rows(self, model: AnalyzedBackbone, rows: Sequence[Row]) -> list[Row]:
        """Keep the rows of all blocks, with what tells them from others."""
        whole = [model.facts | self.key(model) | row for row in rows]
        for row in whole:
            self.record.add(row)
        return whole

    def outputs(
        self, model: AnalyzedBackbone, measure: Measure, tensor: str = "block"
    ) -> Iterator[Outputs]:
        """What `measure` [n, D] gives of each block, side by side, batch after batch of images."""
        backbone = model.backbone.to(self.runtime.device)

        def network(pixels: Tensor) -> Tensor:
            return torch.cat(list(each_block(backbone, pixels, measure, tensor).values()), 1)

        title = self.title(model)
        yield from forward_in_order(
            network, self.images, model.preprocessing, self.runtime, title=title
        )
        backbone.cpu()

    def publish(self, finding: Finding) -> Path:
        """Write the page."""
        return publish(self.record, finding, self.facts)
