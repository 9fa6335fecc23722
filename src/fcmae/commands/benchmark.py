"""Benchmarks: what steps, operators, classifiers and the reading of images cost on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fcmae.commands.command import Options, command

Number = Literal["fp32", "bf16"]  # a precision that was chosen
Sweep = Literal["mask-ratio", "image-size", "batch", "size"]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Computing(Options):
    """Where it computes.

    Args:
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        threads: processor threads. Default: as many as PyTorch takes by itself.
    """

    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Measuring(Options):
    """How it is measured, and where that is written.

    Args:
        repeats: rounds; medians are taken over them, and fewer than 7 are too few.
        json: a file to write rows, machine, versions, command and date to.
    """

    repeats: int = 7
    json: str | Path | None = None


@dataclass(frozen=True, kw_only=True)
class BenchmarkPretraining(Measuring, Computing):
    """Time whole pre-training steps in the modes dense, masked and tiled, and timm's classifier.

    Each step is forward, backward and AdamW on fixed random images with a fresh mask. The modes
    take turns, so that a busy machine disturbs them alike; ratios are medians of the ratios within
    a round. Dense hides nothing from its encoder, with the same decoder and loss; timm trains its
    own model of the same name on labels of the same images. Each row has the difference between its
    tiled and masked steps; where that is more than rounding, the row says that it is not right, and
    the command ends with an error once all rows are shown and written. A combination that does not
    fit in memory is a row that says so. Plain matrix products take a turn too: they show which
    share of the device's rate is used.

    Args:
        models: names of `fcmae.list_models()`; every combination with what follows is run.
            Default: Atto and Tiny; Base on CUDA and Atto elsewhere in a sweep, and in a sweep over
            the sizes all of V2, up to Base where there is no CUDA.
        batch_sizes: images a step. Default: 64 on CUDA; elsewhere 16 for models up to Nano, 8
            for Tiny and Small, 4 for larger ones, which fits 8 GB; 4 in sweeps over image size and
            size; six of them in a sweep over batch.
        image_sizes: pixels a side, multiples of 32. Default: 224, or six from 96 to 384 in a
            sweep over them.
        mask_ratios: shares of patches to mask. Default: the paper's 0.6, or six from 0.25 to 0.9
            in a sweep over them.
        precisions: of the forward pass. Default: bf16 where CUDA multiplies it, else fp32.
        sweep: draw speed and memory over the mask ratio, the image size, the batch or the model's
            size, with what arithmetic allows, in results.json, results.csv, figure.png, figure.svg
            and page.html.
        out: folder of a sweep's files. Default: runs/sweep-NAME. A sweep that was cut off goes on;
            its rows are in results.json, and `json` is for a run without a sweep.

    Returns:
        One row a combination, as in the JSON file: times in seconds, memory in bytes.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if tiled and masked steps of a row do not agree; all were shown and written.
    """

    models: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    image_sizes: tuple[int, ...] = ()
    mask_ratios: tuple[float, ...] = ()
    precisions: tuple[Number, ...] = ()
    sweep: Sweep | None = None
    out: str | Path | None = None


@dataclass(frozen=True, kw_only=True)
class BenchmarkInference(Measuring, Computing):
    """Time the classifier against timm's model of the same name and the same weights.

    Forward alone, and a fine-tuning step: forward, backward and AdamW. The weights are ours in
    timm's names; nothing is timed before both were found to give the same logits. The libraries
    take turns, and ratios are medians of the ratios within a round.

    Args:
        models: names of `fcmae.list_models()`.
        batch_sizes: images at a time.
        image_sizes: pixels a side, 32 or more.
        precisions: of the forward pass. Default: bf16 where CUDA multiplies it, else fp32.
        compile: also time both compiled by torch.compile, which takes minutes first.

    Returns:
        A row for each combination, of eager and compiled models, forward alone and a whole step.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if the two libraries do not give the same logits.
    """

    models: tuple[str, ...] = ("convnextv2_atto", "convnextv2_tiny")
    batch_sizes: tuple[int, ...] = (1, 32)
    image_sizes: tuple[int, ...] = (224,)
    precisions: tuple[Number, ...] = ()
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class BenchmarkOperators(Measuring, Computing):
    """Time each implementation of each operator on the sites of a model's four stages.

    The implementations take turns, and ratios against the plain one are medians of the ratios
    within a round. Nothing is timed before results and gradients were found to agree. What the
    device could do is measured in the same rounds: an operator is as fast as can be where it takes
    the time of its arithmetic at the rate of large matrix products, or of reading and writing its
    sites once at the rate of a copy, whichever is longer.

    Args:
        model: a name of `fcmae.list_models()`, which decides the channels.
        batch_size: images. Default: 64 on CUDA, 16 elsewhere.
        image_size: pixels a side, a multiple of 32.
        mask_ratio: share of patches to mask.
        precision: fp32 or bf16. Default: bf16 where CUDA multiplies it, else fp32.

    Returns:
        One row for each implementation at each stage, as in the JSON file; times in seconds.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if two implementations do not agree: wrong results are not timed.
    """

    model: str = "convnextv2_atto"
    batch_size: int | None = None
    image_size: int = 224
    mask_ratio: float = 0.6
    precision: Number | None = None


@dataclass(frozen=True, kw_only=True)
class BenchmarkImages(Measuring):
    """Time decoding and random crops of JPEGs on one core, as pre-training asks for them.

    Compared are Pillow's usual pipeline (decode, RandomResizedCrop of bicubic interpolation, flip)
    and the loader's two ways, exact and fast, which are slower where simplejpeg is missing: rows
    name their decoder. They take turns on the same files and the same crops, so that a busy machine
    disturbs them alike; ratios are medians of the ratios within a round.
    Nothing is timed before its crops were found to be those of a full decoding that is resized by
    antialiased bicubic interpolation: exact to the bit, the others up to a level of 255 on average.

    Args:
        data: folder of photographs, or .txt file with a path a line, of which JPEGs at even
            distances are read. Default: photographs made for this, four wide to three high.
        megapixels: sizes of those that are made, 1 = 10^6 pixels.
        images: photographs of each size, or of `data`.
        image_size: pixels a side of a crop.

    Returns:
        One row a size, as in the JSON file: times in seconds a round, errors in levels of 255.

    Raises:
        ValueError: if an argument cannot be used, or a photograph cannot be read.
        RuntimeError: if crops are not as they should be: wrong results are not timed.
    """

    data: str | Path | None = None
    megapixels: tuple[float, ...] = (0.2, 3.0, 12.0)
    images: int = 8
    image_size: int = 224


@dataclass(frozen=True, kw_only=True)
class SparseEfficiency(Computing):
    """Throughput and memory of pre-training steps by size, drawn as the paper's figure 1.

    Masked, dense and tiled steps take turns. A size that does not fit in memory is a row that says
    so, and one whose tiled and masked steps do not agree is shown and said to be not right. What
    was measured is kept, and a second call goes on.

    Args:
        models: names of `fcmae.list_models()`. Default: every size of V2.
        batch_size: images a step. Default: the paper's 64 on CUDA, 4 elsewhere.
        precision: fp32 or bf16. Default: bf16 where CUDA multiplies it, else fp32; the paper's was
            fp32.
        steps: forward and backward steps of each mode; medians are taken over them. The paper's
            are 20.
        out: folder of results.json, results.csv, figure.png, figure.svg and page.html.

    Returns:
        One row a size, as in results.json: times in seconds, memory in bytes.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if tiled and masked steps of a size do not agree; all were shown and written.
    """

    models: tuple[str, ...] = ()
    batch_size: int | None = None
    precision: Number | None = None
    steps: int = 20
    out: str | Path = Path("runs/sparse-efficiency")


pretraining = command(
    BenchmarkPretraining, "fcmae.benchmarks.pretraining.cases:run_benchmark_pretraining", Rows
)
inference = command(BenchmarkInference, "fcmae.benchmarks.inference:run_benchmark_inference", Rows)
operators = command(
    BenchmarkOperators, "fcmae.benchmarks.operators.comparison:run_benchmark_operators", Rows
)
images = command(BenchmarkImages, "fcmae.benchmarks.images:run_benchmark_images", Rows)
sparse_efficiency = command(
    SparseEfficiency, "fcmae.benchmarks.sparse_efficiency:run_sparse_efficiency", Rows
)
