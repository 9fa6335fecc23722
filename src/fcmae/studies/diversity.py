"""The diversity of what a run has learned, for the rows of figure 6."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fcmae.images import Labelled, epoch_order, open_splits
from fcmae.inference.outputs import make_reading, outputs
from fcmae.inference.trained import load_backbone
from fcmae.probes.blocks import each_block
from fcmae.probes.diversity import cosine_distances
from fcmae.studies.results import Row
from fcmae.training.devices import Place, choose_device, choose_precision

IMAGES, AT_A_TIME = 1000, 50


def diversity_of(
    run: Path, data: Path, tensors: Sequence[str], *, device: str, workers: int | None
) -> Row:
    """Feature cosine distance of every block on whole images of val, at most a thousand.

    Args:
        run: a folder of pre-training or fine-tuning.
        data: folder with val/CLASS.
        tensors: of each block, as `probes.blocks.Measured` has them.
        device: as of `pretrain`.
        workers: likewise.

    Returns:
        "diversity": for each tensor its distances, first block first.
    """
    where = choose_device(device)
    place = Place(where, choose_precision("auto", where))
    trained = load_backbone(str(run))
    backbone = trained.backbone.to(where)
    reading = make_reading(
        backbone,
        trained.description,
        image_size=None,
        batch_size=AT_A_TIME,
        workers=workers,
        device=where,
    )

    def network(images: Tensor) -> Tensor:
        found = [each_block(backbone, images, cosine_distances, tensor) for tensor in tensors]
        return torch.stack([torch.stack(list(one.values()), 1) for one in found], 1)

    val = open_splits(data)[1]
    if len(val) > IMAGES:
        val = Labelled(val, sorted(epoch_order(len(val), seed=0, epoch=0)[:IMAGES].tolist()))
    batches = list(outputs(network, val, reading, place, title="diversity"))
    distances = torch.cat([batch.values.double() for batch in batches if batch.indices])
    means = distances.mean(0).tolist()  # [tensors][blocks]
    return {"diversity": dict(zip(tensors, means, strict=True))}
