"""What `analyze selectivity` does: models measured one after the other, kept, and shown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from fcmae.analyze.image_sets import draw_part, names_of, place_of
from fcmae.analyze.models import Model, read_models, titled
from fcmae.analyze.selectivity_measure import Measured, measure
from fcmae.analyze.selectivity_page import write_page
from fcmae.console.screen import say, shown
from fcmae.findings.machine import describe_run
from fcmae.findings.record import Record, say_written
from fcmae.images import Labelled
from fcmae.inference.evaluate import open_data
from fcmae.inference.loop import require_one_process
from fcmae.probes.selectivity import activities, distance
from fcmae.sizes import size_of
from fcmae.storage.atomic import save_tensors
from fcmae.storage.digest import digest
from fcmae.training.devices import Place, choose_device, choose_precision, take_place

KEY = ("digest", "settings", "block")


def run(options: dict[str, Any]) -> Path:
    """Run `analyze selectivity` with these options."""
    require_one_process("analyze selectivity")
    out, activity = Path(options["out"]).expanduser(), options["activity"]
    device = choose_device(options["device"])
    precision = choose_precision(options["precision"], device)
    activities(torch.zeros(1, 1, 1, 1), activity)  # an unknown one is said before images are read
    whole = open_data(options["data"], options["split"])
    images = whole.subset(draw_part(whole, options["num_images"]))
    models = read_models(options, device)
    check_depths(models)
    if options["num_images"] is not None and len(set(images.labels)) < 2:
        raise ValueError(
            f"num_images {options['num_images']}: all that are drawn are of one class, and "
            "selectivity is of one class against the others: take more"
        )
    about = {**describe_run(device), "analysis": "selectivity"}
    record = Record(out, about, KEY, same=("analysis",))
    settings = {
        "data": place_of(options["data"]),
        "files": names_of(images),
        "activity": activity,
        "precision": precision,
    }
    with take_place(device, precision) as place:
        found = [
            measured(model, images, record, settings | model.settings, place, title)
            for model, title in titled(models)
        ]
    add_distances(found, record)
    sizes = [model.preprocessing.size for model in models]
    about |= {"data": options["data"], "image size": sizes, "activity": activity}
    page = write_page(out, found, about)
    say_written(page)
    return page


def check_depths(models: Sequence[Model]) -> None:
    """Refuse models whose blocks cannot be laid over each other one by one."""
    depths = {model.label: size_of(model.backbone.model).depths for model in models}
    if len(set(depths.values())) > 1:
        listed = ", ".join(f"{label} has {shown(depth)}" for label, depth in depths.items())
        raise ValueError(
            f"weights: {listed} blocks in the four stages, and they are laid over each other block "
            "by block: give models with as many"
        )


def measured(
    model: Model,
    images: Labelled,
    record: Record,
    settings: Mapping[str, Any],
    place: Place,
    title: str,
) -> Measured:
    """A model as it was measured before in the same way, or else now."""
    known = {"digest": model.digest, "settings": settings}
    name = digest(json.dumps(value).encode() for value in known.values())
    path = record.path.parent / "indices" / f"{name}.safetensors"
    rows = [row for block in model.blocks if (row := record.row(known | {"block": block}))]
    if path.exists() and len(rows) == len(model.blocks):
        say(f"{title} was measured before")
        stored = load_file(path)
        rows = [row | model.facts for row in rows]  # it may be called otherwise now
        indices = {block: stored[block].double() for block in model.blocks}
        return Measured(model.title, model.backbone.model, rows, indices)
    found = measure(model, images, settings["activity"], place, title)
    path.parent.mkdir(exist_ok=True)
    save_tensors(path, {block: index.float() for block, index in found.indices.items()}, known)
    found = replace(found, rows=[model.facts | known | row for row in found.rows])
    for row in found.rows:
        record.add(row)
    return found


def add_distances(found: Sequence[Measured], record: Record) -> None:
    """Say in the rows how far each block's distribution is from that of the first model."""
    first = found[0]
    for model in found:
        for row in model.rows:
            apart = first.active(row["block"]), model.active(row["block"])
            compared = model is not first and all(map(len, apart))
            row["distance"] = distance(*apart) if compared else None
            row["distance_from"] = first.title if compared else None
            record.add(row)
