"""Pre-training, from a folder of images to an encoder and a report (section 3, Table 1)."""

from pathlib import Path

from fcmae.tasks.training.given import with_given


@with_given
def pretrain(
    *,
    out: str,
    data: str | None = None,
    init: str | None = None,
    key: str | None = None,
    method: str = "fcmae",
    model: str = "convnextv2_atto",
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | str = 224,
    patch_size: int | None = None,
    stem_stride: int = 4,
    in_channels: int = 3,
    mask_ratio: float = 0.6,
    statistics: str = "auto",
    set: tuple[str, ...] = (),
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    decoding: str = "fast",
    micro_batch_size: int | None = None,
    checkpoint_blocks: bool = False,
    compile: bool = False,
    checkpoint_minutes: float = 5.0,
    probe_data: str | None = None,
    probe_every: int | None = None,
    workers: int | None = None,
    dry_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    given: frozenset[str] = frozenset(),
) -> Path:
    """Pre-train a ConvNeXt on unlabelled images, by default by reconstructing what is masked.

    Ctrl-C and SIGTERM save the run and leave with exit code 130 or 143; `--resume` then goes on
    as if nothing had happened, also after a crash. Under torchrun the processes share each batch.

    Args:
        out: run folder; it gets weights.safetensors, report.html, metrics.jsonl, checkpoints.
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
        statistics: mean and deviation that pixels are normalised with: imagenet, data (measured on
            up to 1000 images), or auto: imagenet for 3 channels, data otherwise.
        set: fields of the recipe without an option of their own, as field=value, such as
            base_learning_rate=3e-4 warmup_epochs=10 weight_decay=0.1 norm_pix=false.
        seed: decides the weights' start, the order of images, crops and masks.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        decoding: fast or exact. Fast decodes a JPEG that is much larger than its crop at a half, a
            quarter or an eighth of its size: the same crops, less than a grey level off on
            average. What is measured and looked at is decoded exactly in either case.
        micro_batch_size: images at a time on one device; lower it when memory runs out. The
            gradient is accumulated up to the batch size. Default: 64. Not of moco-v3, whose loss
            compares all images of a batch.
        checkpoint_blocks: recompute blocks in the backward pass: less memory, a third more time.
        compile: let torch.compile compile each block, which makes the first step a minute longer
            or more. On a processor the later steps are slower than without it.
        checkpoint_minutes: minutes between checkpoints.
        probe_data: labelled images, DIR/train/CLASS and DIR/val/CLASS, or "sample": how many of
            at most 500 of val have the class of their 20 nearest of at most 2000 of train, by the
            encoder's features, is measured as the run goes on. Nothing is trained on them.
        probe_every: epochs between two such measurements; there is one before the first epoch
            and one after the last too.
        workers: processes that read images, for each device. Default: 1 on the CPU, which trains
            with the others; else the cores, at most 8.
        dry_run: say what would be done, and do nothing.
        resume: go on with the run in `out`, with its options. Those that say where and how may be
            given anew (device, micro_batch_size, checkpoint_blocks, compile, checkpoint_minutes,
            workers, probe_every; data and probe_data, if the folder moved); any other must be as
            it was.
        overwrite: delete the run in `out` first.
        given: set by whom it is called, not by you.

    Returns:
        The run folder.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
        Interrupted: after a signal, once the state is saved.
        RuntimeError: if the loss stops being a number, naming step, images and layer.
    """
    options = dict(locals())
    options.pop("given")
    from fcmae.tasks.pretraining.run import start  # torch takes seconds to import: not for --help

    return start(options, given)
