"""Section D's comparison: momentum contrast, masked pre-training, and none, of one encoder."""

from pathlib import Path
from typing import Any


def contrastive(
    *,
    data: Path,
    out: Path = Path("runs/study-contrastive"),
    scale: str = "small",
    methods: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    set: tuple[str, ...] = (),
    device: str = "auto",
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Train ConvNeXt V2 from scratch, after MoCo v3 and after FCMAE, and compare accuracies.

    Every setting is one or two ordinary runs, of `fcmae pretrain` and `fcmae finetune`, in
    OUT/runs. After an interruption the same command goes on, and methods and seeds may be added.

    Args:
        data: folder with train/CLASS and val/CLASS.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and runs.
        scale: small (two cores, half an hour) or paper (Base at 224 pixels, 1600 epochs of FCMAE,
            300 of MoCo v3, 300 of supervised training).
        methods: some of supervised, moco-v3, fcmae. Default: all.
        seeds: each is trained with. Default: the scale's, two for small and one for paper.
        set: values of the scale, as field=value, such as num_images=2000 contrastive_epochs=5.
        device: auto, cpu, cuda or mps.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    from fcmae.studies.contrastive_page import LABELS, finding
    from fcmae.studies.runner import Setting
    from fcmae.studies.work import (
        CONTRASTIVE,
        FINETUNING,
        PRETRAINING,
        SUPERVISED,
        begin,
        some_of,
    )

    methods = some_of("method", methods, LABELS)
    work = begin(
        "contrastive",
        data=data,
        out=out,
        scale=scale,
        long=True,
        trains=(SUPERVISED, CONTRASTIVE, PRETRAINING, FINETUNING),
        assignments=set,
        seeds=seeds,
        device=device,
        workers=workers,
    )
    model = f"convnextv2_{work.scale.size}"
    trainings = {
        "supervised": (None, work.scale.supervised(model)),
        "moco-v3": (work.scale.contrastive(model), work.scale.finetuning()),
        "fcmae": (work.scale.pretraining(model), work.scale.finetuning()),
    }
    settings = [
        Setting(method, seed, *trainings[method], {"model": model})
        for seed in work.seeds
        for method in methods
    ]
    return work.run(settings, finding)
