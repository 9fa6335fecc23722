"""Tables 7 and 8: what the architecture and the pre-training do, each alone and together."""

from pathlib import Path
from typing import Any


def scaling(
    *,
    data: Path,
    out: Path = Path("runs/study-scaling"),
    scale: str = "small",
    sizes: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    set: tuple[str, ...] = (),
    device: str = "auto",
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Train V1 and V2, from scratch and after FCMAE, at chosen sizes, as the paper's Table 7.

    Every setting is one or two ordinary runs, of `fcmae pretrain` and `fcmae finetune`, in
    OUT/runs. After an interruption the same command goes on, and sizes and seeds may be added.

    Args:
        data: folder with train/CLASS and val/CLASS.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and runs.
        scale: small (two cores, half an hour) or paper (224 pixels, 1600 epochs of
            pre-training).
        sizes: some of atto, femto, pico, nano, tiny, base, large. Default: the scale's.
        seeds: each is trained with. Default: the scale's, two for small and one for paper.
        set: values of the scale, as field=value, such as num_images=2000 pretraining_epochs=5.
        device: auto, cpu, cuda or mps.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    from fcmae.recipes.lookup import COLUMNS
    from fcmae.studies.runner import Setting
    from fcmae.studies.scaling_page import CASES, FCMAE, finding
    from fcmae.studies.work import FINETUNING, PRETRAINING, SUPERVISED, begin, some_of

    known = [size for size in COLUMNS if size != "huge"]  # there is no Huge of V1
    if sizes:
        sizes = some_of("size", sizes, known)
    work = begin(
        "scaling",
        data=data,
        out=out,
        scale=scale,
        long=True,
        trains=(SUPERVISED, PRETRAINING, FINETUNING),
        assignments=set,
        seeds=seeds,
        device=device,
        workers=workers,
    )
    chosen = work.scale
    settings = [
        Setting(
            f"{family}_{size}-{method.lower()}",
            seed,
            chosen.pretraining(f"{family}_{size}") if method == FCMAE else None,
            chosen.finetuning() if method == FCMAE else chosen.supervised(f"{family}_{size}"),
            {"model": f"{family}_{size}", "method": method},
        )
        for seed in work.seeds
        for size in sizes or (chosen.size,)
        for family, method in CASES
    ]
    return work.run(settings, finding)
