"""The diversity of what a run has learned, for the rows of figure 6."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fcmae.commands.shared import Reading
from fcmae.images import draw, open_splits
from fcmae.inference.load import load_backbone
from fcmae.inference.loop import choose_preprocessing, forward_in_order
from fcmae.probes.blocks import cosine_distances, each_block
from fcmae.studies.results import Row
from fcmae.training.devices import Runtime, choose_device, choose_precision

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
    runtime = Runtime(where, choose_precision("auto", where))
    trained = load_backbone(str(run))
    backbone = trained.backbone.to(where)
    reading = Reading(batch_size=AT_A_TIME, workers=workers)
    preprocessing = choose_preprocessing(reading, backbone, trained.description, where)

    def network(images: Tensor) -> Tensor:
        found = [each_block(backbone, images, cosine_distances, tensor) for tensor in tensors]
        return torch.stack([torch.stack(list(one.values()), 1) for one in found], 1)

    val = open_splits(data)[1]
    val = val.subset(draw(len(val), IMAGES))
    batches = forward_in_order(network, val, preprocessing, runtime, title="diversity")
    distances = torch.cat([tensor.double() for batch in batches for tensor in batch.tensors])
    means = distances.mean(0).tolist()  # [tensors][blocks]
    return {"diversity": dict(zip(tensors, means, strict=True))}
