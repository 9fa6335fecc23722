"""Pre-training, from a folder of images to an encoder and a report (section 3, Table 1)."""

from dataclasses import dataclass
from pathlib import Path

from fcmae.commands.command import command
from fcmae.commands.shared import Training


@dataclass(frozen=True, kw_only=True)
class Pretrain(Training):
    """Pre-train a ConvNeXt on unlabelled images, by default by reconstructing what is masked.

    Ctrl-C and SIGTERM save the run and leave with exit code 130 or 143; `--resume` then goes on
    as if nothing had happened, also after a crash. Under torchrun the processes share each batch.

    Args:
        data: folder of images, nested or flat; or a .txt file with one path a line; or "sample",
            the photographs that come with scikit-image. Needed unless a run is resumed.
        init: run folder or weights file of any dialect, whose encoder to go on from with a fresh
            decoder; it must be of the model that is named. Default: fresh weights.
        key: which of several states of a .pth file to take, such as model_ema.
        method: fcmae, masked pre-training; or moco-v3, contrastive: views of an image are told from
            those of the others in the batch (appendix D compares the two). Its recipe is its own.
        model: see `fcmae models`; V1 names work too.
        epochs: passes over the images. Default: 800 (Table 1: 800 or 1600); of moco-v3, 300.
        batch_size: images a step, over all processes and micro-batches. Default: the largest power
            of two that leaves 32 steps an epoch, at most the paper's 4096.
        image_size: pixels, one number for squares or HEIGHTxWIDTH; multiples of the patch size.
        patch_size: pixels a side of what is masked together; a multiple of 8 x stem stride, which
            is the default: 32 with the paper's stem. Of fcmae alone.
        stem_stride: 4; or 1 or 2 for images of 32 to 96 pixels.
        in_channels: channels of the images; images of other channel counts are converted by the
            rule of `fcmae.images.decode`, or count as unreadable.
        mask_ratio: share of patches to mask. Of fcmae alone.
        probe_data: labelled images, DIR/train/CLASS and DIR/val/CLASS, or "sample": how many of
            at most 500 of val have the class of their 20 nearest of at most 2000 of train, by the
            encoder's features, is measured as the run goes on. Nothing is trained on them.
        probe_every: epochs between two such measurements; there is one before the first epoch
            and one after the last too.

    Returns:
        The run folder.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
        Interrupted: after a signal, once the state is saved.
        RuntimeError: if the loss stops being a number, naming step, images and layer.
    """

    method: str = "fcmae"
    model: str = "convnextv2_atto"
    epochs: int | None = None
    batch_size: int | None = None
    image_size: int | str = 224
    patch_size: int | None = None
    stem_stride: int = 4
    in_channels: int = 3
    mask_ratio: float = 0.6
    probe_data: str | Path | None = None
    probe_every: int | None = None


pretrain = command(Pretrain, "fcmae.pretraining.run:run_pretrain", Path)
