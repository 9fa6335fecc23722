"""Figure 6: what stands in GRN's place, and how diverse are the features learned with it."""

from pathlib import Path
from typing import Any


def normalization(
    *,
    data: Path,
    out: Path = Path("runs/study-normalization"),
    scale: str = "small",
    responses: tuple[str, ...] = (),
    finetuned: bool = False,
    seeds: tuple[int, ...] = (),
    set: tuple[str, ...] = (),
    device: str = "auto",
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Pre-train with other layers in GRN's place, and draw the paper's figure 6.

    Every setting is an ordinary run of `fcmae pretrain` in OUT/runs. After an interruption the
    same command goes on, and settings and seeds may be added. A run whose loss stops being a
    number is a row that says so.

    Args:
        data: folder with train/CLASS and val/CLASS; classes count only where it is fine-tuned.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and runs.
        scale: small (two cores, half an hour) or paper (Base at 224 pixels, 800 epochs).
        responses: some of none, layer, batch, local, grn. Default: all.
        finetuned: fine-tune each as well, for an accuracy.
        seeds: each is trained with. Default: the scale's, two for small and one for paper.
        set: values of the scale, as field=value, such as num_images=2000 pretraining_epochs=5.
        device: auto, cpu, cuda or mps.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    from fcmae.studies.measured import diversity_of
    from fcmae.studies.normalization_page import LABELS, TENSORS, finding
    from fcmae.studies.runner import Setting
    from fcmae.studies.work import FINETUNING, PRETRAINING, begin, some_of

    responses = some_of("response", responses, LABELS)
    work = begin(
        "normalization",
        data=data,
        out=out,
        scale=scale,
        trains=(PRETRAINING, FINETUNING) if finetuned else (PRETRAINING,),
        assignments=set,
        seeds=seeds,
        device=device,
        workers=workers,
    )
    model = f"convnextv2_{work.scale.size}"
    settings = [
        Setting(
            response,
            seed,
            work.scale.pretraining(model, response=response),
            work.scale.finetuning() if finetuned else None,
            {"model": model},
        )
        for seed in work.seeds
        for response in responses
    ]

    def measure(folder: Path) -> dict[str, Any]:
        return diversity_of(folder, work.data, tuple(TENSORS), device=device, workers=workers)

    return work.run(settings, finding, measure)
