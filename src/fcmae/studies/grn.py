"""Table 9: GRN without one or the other of its parts, pre-trained and fine-tuned alike."""

from pathlib import Path
from typing import Any


def grn(
    *,
    data: Path,
    out: Path = Path("runs/study-grn"),
    scale: str = "small",
    cases: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    set: tuple[str, ...] = (),
    device: str = "auto",
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Pre-train and fine-tune with GRN's parts alone, as the paper's Table 9.

    Every setting is two ordinary runs, of `fcmae pretrain` and `fcmae finetune`, in OUT/runs. After
    an interruption the same command goes on, and cases and seeds may be added. A run whose loss
    stops being a number is a row that says so.

    Args:
        data: folder with train/CLASS and val/CLASS.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and runs.
        scale: small (two cores, half an hour) or paper (Base at 224 pixels, 800 epochs).
        cases: some of base (V1), scale, aggregate, normalise, grn. Default: all.
        seeds: each is trained with. Default: the scale's, two for small and one for paper.
        set: values of the scale, as field=value, such as num_images=2000 pretraining_epochs=5.
        device: auto, cpu, cuda or mps.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    from fcmae.studies.grn_page import CASES, finding
    from fcmae.studies.runner import Setting
    from fcmae.studies.work import begin, some_of

    cases = some_of("case", cases, CASES)
    work = begin(
        "grn",
        data=data,
        out=out,
        scale=scale,
        assignments=set,
        seeds=seeds,
        device=device,
        workers=workers,
    )
    size = work.scale.size
    pretraining = {
        case: work.scale.pretraining(f"convnext_{size}")
        if case == "base"
        else work.scale.pretraining(f"convnextv2_{size}", response=case)
        for case in cases
    }
    settings = [
        Setting(case, seed, options, work.scale.finetuning(), {"model": options["model"]})
        for seed in work.seeds
        for case, options in pretraining.items()
    ]
    return work.run(settings, finding)
