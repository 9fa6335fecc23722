"""Analyses: what trained models make of images, measured and shown (appendix C and D)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fcmae.commands.command import Options, command
from fcmae.commands.shared import Precision, Reading, Split

Activity = Literal["rectified", "absolute"]
# Which tensor of a block is measured; the paper does not say which its figures show.
# block: its output, after the residual addition;
# branch: what is added to its input;
# grn: what leaves GRN, or what stands in GRN's place; not in V1;
# widened: what enters the last linear layer, 4 times as wide: after GRN in V2, after GELU in V1.
BlockTensor = Literal["block", "branch", "grn", "widened"]
Mask = Literal["random", "block", "boxes"]


@dataclass(frozen=True, kw_only=True)
class FewImages(Options):
    """Which images are shown, and where the results go.

    Args:
        images: image files; give these or `data`.
        data: folder of images, a .txt file with one path a line, or "sample"; some of them, at even
            distances, are taken.
        num_images: how many of `data`.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
    """

    images: Sequence[str | Path] = ()
    data: str | Path | None = None
    num_images: int = 4
    device: str = "auto"
    precision: Precision = "auto"


@dataclass(frozen=True, kw_only=True)
class Selectivity(Reading):
    """Measure how much each channel answers to one class alone, as the paper's figure 2.

    The class selectivity index (Morcos et al. 2018) of a channel is (a - b) / (a + b): a is the
    largest of its class-conditional mean activities, b the mean of those of the other classes.
    0: all classes alike, 1: one class alone. It is measured on the output of every residual block.
    Sums by class are kept, not activities, so that data may have any size. Files that cannot be
    read are left out and counted.

    Models that were measured are kept in `out`: after an interruption, the same command goes on
    with the next, and models may be added.

    Args:
        weights: runs' folders, or .safetensors or .pth files, of encoders or classifiers with the
            same number of blocks, drawn over each other. The paper's are a V1 and a V2 after
            pre-training.
        data: folder of images, DIR/SPLIT/CLASS/...; where DIR has neither a folder train nor val,
            DIR/CLASS/...; or "sample". The paper's is ImageNet's val.
        split: train or val.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and indices/,
            every channel's index.
        activity: what counts as a channel's activity, since a block's output is not rectified:
            rectified, the mean over space of max(x, 0); or absolute, of |x|.
        num_images: so many of them, drawn the same each time. Default: all.

    Returns:
        The page.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    weights: Sequence[str | Path]
    data: str | Path
    split: Split = "val"
    out: str | Path = Path("runs/analyze-selectivity")
    activity: Activity = "rectified"
    num_images: int | None = None


@dataclass(frozen=True, kw_only=True)
class Diversity(Reading):
    """Measure how unlike each other the channels of every block are, as in the paper's figure 6.

    The feature cosine distance is the mean over all pairs of channels of (1 - cosine) / 2 of their
    flattened maps, averaged over images: 0 where all channels are alike, 0.5 where they are
    unrelated. Images are whole: nothing is masked. Files that cannot be read are left out and
    counted.

    Models that were measured are kept in `out`: after an interruption, the same command goes on
    with the next, and models may be added.

    Args:
        weights: runs' folders, or .safetensors or .pth files, of encoders or classifiers; a curve
            each, over normalised depth.
        data: folder of images, nested or flat; a .txt file with one path a line; or "sample".
        out: folder of results.json, results.csv, figure.png, figure.svg and page.html.
        tensor: of each block, since the paper does not say which: block, its output; branch, what
            is added to its input; grn, what leaves GRN (V2 alone); or widened, what enters its last
            linear layer, after GRN in V2 and after GELU in V1.
        num_images: so many of them, drawn the same each time; all where there are fewer.

    Returns:
        The page.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    weights: Sequence[str | Path]
    data: str | Path
    out: str | Path = Path("runs/analyze-diversity")
    tensor: BlockTensor = "block"
    num_images: int | None = 1000


@dataclass(frozen=True, kw_only=True)
class Activations(FewImages):
    """Draw the channels of one block for a few images, models side by side.

    Each channel is a small map. Dead channels, close to zero everywhere, and saturated ones, the
    same value everywhere, tell nothing of an image: all of the block's channels are counted.

    Args:
        weights: runs' folders, or .safetensors or .pth files, of encoders or classifiers.
        out: folder of results.json and results.csv, which keep the numbers of earlier calls, and of
            figure.png, figure.svg and page.html, which show this call.
        block: STAGE.INDEX, both from 0, as in the weights' names: 2.5 is stages.2.5. Default: the
            last of the third stage, whose maps are still large enough to look at.
        tensor: of the block: widened, what enters its last linear layer, as in the main paper;
            block, its output; branch, what is added to its input; grn, what leaves GRN (V2 alone).
        channels: maps for each image, of channels at even distances; all where there are fewer.
        key: which of the states of .pth files, such as model_ema. Default: their only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say. Larger images have larger maps.

    Returns:
        The page.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    weights: Sequence[str | Path]
    out: str | Path = Path("runs/analyze-activations")
    block: str | None = None
    tensor: BlockTensor = "widened"
    channels: int = 64
    key: str | None = None
    image_size: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class Reconstruct(FewImages):
    """Mask images, and draw what pre-trained models make of what is left.

    Each row is an image under a mask: the image, what the model sees, and its reconstruction, in
    which visible patches are the image's own. Mask ratios and patch sizes may differ from those
    of the training. Images are cropped to the largest centred window of the right shape.

    Args:
        weights: folders of pre-training runs, whose last checkpoint has the decoder as well;
            weights.safetensors alone has not.
        out: folder of results.json and results.csv, which keep the numbers of earlier calls, and of
            figure.png, figure.svg and page.html, which show this call.
        mask: random, patch by patch as in training; block, rectangles of patches until as many are
            masked; or boxes, every patch that one of `boxes` touches.
        mask_ratios: shares of the patches to mask, one after the other. Default: the first run's.
        patch_sizes: pixels a side of a patch, one after the other; multiples of the runs' total
            stride, 8 times the stem's. Default: the first run's.
        boxes: x,y,width,height in pixels of the cropped image, from its upper left corner.
        seed: of random and block-wise masks. The same seed masks the same patches.
        image_size: pixels, one number for squares or HEIGHTxWIDTH, multiples of the patch sizes.
            Default: the first run's.

    Returns:
        The page.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    weights: Sequence[str | Path]
    out: str | Path = Path("runs/analyze-reconstruct")
    mask: Mask = "random"
    mask_ratios: Sequence[float] = ()
    patch_sizes: Sequence[int] = ()
    boxes: Sequence[str] = ()
    seed: int = 0
    image_size: int | str | None = None


selectivity = command(Selectivity, "fcmae.analyze.selectivity_indices:run_selectivity", Path)
diversity = command(Diversity, "fcmae.analyze.diversity_by_depth:run_diversity", Path)
activations = command(Activations, "fcmae.analyze.activation_maps:run_activations", Path)
reconstruct = command(Reconstruct, "fcmae.analyze.reconstructions:run_reconstruct", Path)
