"""Fine-tuning, from weights and a folder of classes to a classifier and a report (Tables 2-6)."""

from pathlib import Path

from fcmae.tasks.training.given import with_given


@with_given
def finetune(
    *,
    out: str,
    data: str | None = None,
    init: str | None = None,
    key: str | None = None,
    model: str | None = None,
    stage: str = "1k",
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | str | None = None,
    stem_stride: int | None = None,
    in_channels: int | None = None,
    label_share: float = 1.0,
    patience: int | None = None,
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
    workers: int | None = None,
    dry_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    given: frozenset[str] = frozenset(),
) -> Path:
    """Train a classifier on labelled images, from pre-trained weights or from scratch.

    Up to 50,000 images, it departs from the tables in what they need: shorter, learning rate by
    the batch size's square root, a short warm-up, and an average of weights that starts quickly.
    `--dry-run` and the report name each departure.

    Ctrl-C and SIGTERM save the run and leave with exit code 130 or 143; `--resume` then goes on
    as if nothing had happened, also after a crash. Under torchrun the processes share each batch.

    Args:
        out: run folder; it gets weights.safetensors of the last epoch, best.safetensors of the one
            with the best validation accuracy, report.html, metrics.jsonl, checkpoints.
        data: folder with train/CLASS and val/CLASS; or "sample", the photographs that come with
            scikit-image. Needed unless a run is resumed.
        init: run folder of a pre-training or fine-tuning, or a weights file of any dialect. Its
            head is never taken over. Default: from scratch.
        key: which of several states of a .pth file to take, such as model_ema.
        model: see `fcmae models`. Default: that of the weights, from scratch convnextv2_atto.
        stage: which of the paper's tables to follow: 1k (Tables 2-4), 22k (5) or 22k-to-1k (6).
        epochs: passes over the images. Default: the table's; at most 100 for up to 50,000 images.
        batch_size: images a step, over all processes and micro-batches. Default: the largest power
            of two that leaves 32 steps an epoch, at most the table's.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: that of the weights,
            or 224.
        stem_stride: 4; or 1 or 2 for images of 32 to 96 pixels. Default: that of the weights, or 4.
        in_channels: channels of the images. Default: those of the weights, or 3.
        label_share: share of the training labels to use, the same of each class, drawn by the seed.
        patience: epochs without a better validation accuracy after which to stop. Default: never.
        statistics: mean and deviation that pixels are normalised with: imagenet, data (measured on
            up to 1000 images), or auto: those of the weights, or imagenet for 3 channels, or data.
        set: fields of the recipe without an option of their own, as field=value, such as
            base_learning_rate=3e-4 layer_decay=0.8 drop_path=0.2 mixup=0 ema=0.
        seed: decides the head's start, the order of images, what is drawn for them, and drop path.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        decoding: fast or exact. Fast decodes a JPEG that is much larger than its crop at a half, a
            quarter or an eighth of its size: the same crops, less than a grey level off on
            average. What is measured and looked at is decoded exactly in either case.
        micro_batch_size: images at a time on one device; lower it when memory runs out. The
            gradient is accumulated up to the batch size. Default: 64.
        checkpoint_blocks: recompute blocks in the backward pass: less memory, a third more time.
        compile: let torch.compile compile each block, which makes the first step a minute longer
            or more. On a processor the later steps are slower than without it.
        checkpoint_minutes: minutes between checkpoints.
        workers: processes that read images, for each device. Default: 1 on the CPU, which trains
            with the others; else the cores, at most 8.
        dry_run: say what would be done, and do nothing.
        resume: go on with the run in `out`, with its options. Those that say where and how may be
            given anew (device, micro_batch_size, checkpoint_blocks, compile, checkpoint_minutes,
            workers; data, if the folder moved); any other must be as it was.
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
    from fcmae.tasks.finetuning.run import start  # torch takes seconds to import: not for --help

    return start(options, given)
