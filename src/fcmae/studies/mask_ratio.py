"""Figure 3: how the share of an image that is masked decides what fine-tuning reaches."""

from pathlib import Path
from typing import Any

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def mask_ratio(
    *,
    data: Path,
    out: Path = Path("runs/study-mask-ratio"),
    scale: str = "small",
    ratios: tuple[float, ...] = (),
    seeds: tuple[int, ...] = (),
    set: tuple[str, ...] = (),
    device: str = "auto",
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Pre-train with several mask ratios, fine-tune alike, and draw the paper's figure 3.

    Every setting is two ordinary runs, of `fcmae pretrain` and `fcmae finetune`, in OUT/runs. After
    an interruption the same command goes on, and ratios and seeds may be added. A run whose loss
    stops being a number is a row that says so.

    Args:
        data: folder with train/CLASS and val/CLASS.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and runs.
        scale: small (two cores, an hour) or paper (Base at 224 pixels, 800 epochs).
        ratios: shares of patches to mask. Default: 0.1, 0.2 ... 0.9.
        seeds: each is trained with. Default: the scale's, two for small and one for paper.
        set: values of the scale, as field=value, such as num_images=2000 pretraining_epochs=5.
        device: auto, cpu, cuda or mps.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    from fcmae.models.masks import num_visible
    from fcmae.sizes import total_stride
    from fcmae.studies.mask_ratio_page import finding
    from fcmae.studies.runner import Setting
    from fcmae.studies.work import begin, each_once

    ratios = each_once("ratios", ratios) or RATIOS
    for ratio in ratios:
        if not 0 < ratio < 1:
            raise ValueError(f"ratios {ratio}: shares between 0 and 1 are needed, such as 0.6")
    work = begin(
        "mask-ratio",
        data=data,
        out=out,
        scale=scale,
        assignments=set,
        seeds=seeds,
        device=device,
        workers=workers,
    )
    chosen = work.scale
    patches = (chosen.image_size // total_stride(chosen.stem_stride)) ** 2
    model = f"convnextv2_{chosen.size}"
    settings = [
        Setting(
            f"{ratio:g}",
            seed,
            chosen.pretraining(model, mask_ratio=ratio),
            chosen.finetuning(),
            {"model": model, "visible_patches": num_visible(patches, ratio), "patches": patches},
        )
        for seed in work.seeds
        for ratio in ratios
    ]
    return work.run(settings, finding)
