"""What `analyze diversity` does: models measured one after the other, kept, and shown."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcmae.analyze.diversity_page import Curve, write_page
from fcmae.analyze.image_sets import draw_part, names_of, place_of
from fcmae.analyze.models import Model, read_models, titled
from fcmae.console.screen import say
from fcmae.findings.machine import describe_run
from fcmae.findings.record import Record, Row, say_written
from fcmae.images import open_images
from fcmae.inference.loop import forward_in_order, require_one_process, require_some
from fcmae.probes.blocks import check_tensor, cosine_distances, each_block
from fcmae.training.devices import Place, choose_device, choose_precision, take_place

KEY = ("digest", "settings", "block")


def run(options: dict[str, Any]) -> Path:
    """Run `analyze diversity` with these options."""
    require_one_process("analyze diversity")
    out, data, tensor = Path(options["out"]).expanduser(), options["data"], options["tensor"]
    device = choose_device(options["device"])
    precision = choose_precision(options["precision"], device)
    whole = open_images(data if data == "sample" else Path(data).expanduser())
    images = Subset(whole, draw_part(whole, options["num_images"]))
    models = read_models(options, device)
    for model in models:
        check_tensor(model.backbone, tensor)
    about = {**describe_run(device), "analysis": "diversity"}
    record = Record(out, about, KEY, same=("analysis",))
    settings = {
        "data": place_of(data),
        "files": names_of(images),
        "tensor": tensor,
        "precision": precision,
    }
    curves = []
    with take_place(device, precision) as place:
        for model, title in titled(models):
            known = {"digest": model.digest, "settings": settings | model.settings}
            before = [record.row(known | {"block": block}) for block in model.blocks]
            if all(before):
                say(f"{title} was measured before")
                found = [row | model.facts for row in before if row]
            else:
                measures = measure(model, images, tensor, place, title)
                found = [model.facts | known | row for row in measures]
                for row in found:
                    record.add(row)
            curves.append(Curve(model.title, model.backbone.model, found))
    sizes = [model.preprocessing.size for model in models]
    about |= {"data": data, "image size": sizes, "tensor": tensor}
    page = write_page(out, curves, about)
    say_written(page)
    return page


def measure(
    model: Model, images: ImageSet[object], tensor: str, place: Place, title: str
) -> list[Row]:
    """Mean and deviation over images of each block's feature cosine distance, a row a block.

    Raises:
        ValueError: if no image can be read.
    """
    backbone = model.backbone.to(place.device)

    def network(pixels: Tensor) -> Tensor:
        found = each_block(backbone, pixels, cosine_distances, tensor)
        return torch.stack(list(found.values()), 1)  # [n, blocks]

    sums = torch.zeros(2, len(model.blocks), dtype=torch.float64)
    number = 0
    failed: dict[str, str] = {}
    for output in forward_in_order(network, images, model.preprocessing, place, title=title):
        failed |= output.unreadable
        for found in output.tensors:
            number += len(output.indices)
            distances = found.double()
            sums += torch.stack([distances.sum(0), distances.square().sum(0)])
    backbone.cpu()
    require_some(number, images, failed, model.preprocessing.channels)
    means, squares = sums / number
    deviations = (squares - means.square()).clamp(min=0).sqrt()
    return [
        {
            "block": block,
            "depth": place_ / max(len(model.blocks) - 1, 1),
            "distance": mean,
            "deviation": deviation,  # over images
            "images": number,
            "unreadable": len(failed),
        }
        for place_, (block, mean, deviation) in enumerate(
            zip(model.blocks, means.tolist(), deviations.tolist(), strict=True)
        )
    ]
