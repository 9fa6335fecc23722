"""Every field of a study's scale is found in what is trained."""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from wiring.studies.built import (
    CONTRASTIVE,
    EVERYWHERE,
    FINETUNING,
    FOUND,
    PRETRAINING,
    STUDIES,
    SUPERVISED,
    VALUES,
    Built,
    Study,
    build,
    drop_paths,
    encoder_of,
)

from fcmae.images import decode
from fcmae.studies.contrastive import contrastive
from fcmae.studies.scale import SMALL, Scale
from fcmae.training.journal import Silence
from fcmae.training.validation import Metrics

# Every field of the scale

HALF = Metrics({"accuracy": 0.5}, "accuracy")


def test_every_field_has_a_value_that_is_not_the_scales_and_a_place_where_it_shows() -> None:
    fields = [field.name for field in dataclasses.fields(Scale)]
    assert list(VALUES) == fields
    assert all(str(getattr(SMALL, field)).lower() != str(VALUES[field]) for field in fields)
    shown = set(EVERYWHERE).union(*FOUND.values())
    assert shown == {*fields, "drop_path"}


@pytest.mark.parametrize("name", STUDIES)
def test_every_field_of_the_scale_is_found_in_what_is_trained(
    name: str, studies: Callable[[str], Study]
) -> None:
    study, settings = studies(name), STUDIES[name][1]
    commands = {SUPERVISED: "finetune", FINETUNING: "finetune"}
    assert list(study.built) == [
        (setting, 0, commands.get(part, "pretrain"))
        for setting, parts in settings.items()
        for part in parts
    ]
    for setting, parts in settings.items():
        for part in parts:
            built = study.built[setting, 0, commands.get(part, "pretrain")]
            seeds = len({seed for _, seed, _ in study.built})
            shown = look(part, built) | {"seeds": seeds}
            assert shown == nearly(EVERYWHERE | FOUND[part]), (setting, part)


def nearly(expected: dict[str, Any]) -> dict[str, Any]:
    """Numbers that need not be equal to the bit."""
    return {k: pytest.approx(v) if isinstance(v, float) else v for k, v in expected.items()}


def look(part: str, built: Built) -> dict[str, Any]:
    """Where each field of the scale shows in a run of a part of it."""
    task, batch = built.task, built.batches[0]
    stem = encoder_of(task).downsample_layers[0][0].weight  # [C, 3, s, s]
    shown = {
        "size": len(stem),
        "stem_stride": tuple(stem.shape[2:]),
        "image_size": tuple(batch.examples[0].shape[-2:]),
        f"{part}_epochs": len(built.rates),
        f"{part}_batch_size": len(batch.indices),
        f"{part}_base_learning_rate": max(built.rates),
    }
    if part in (PRETRAINING, CONTRASTIVE):
        names = [task.images.name(index) for index in range(len(task.images))]
        return shown | {"num_images": list(Counter(Path(name).parent for name in names).values())}
    shown |= {
        "num_images": len(task.images),
        "label_share": task.images.counts(),
        "num_val_images": task.val.counts(),
        "patience": epochs_of_patience(task),
    }
    drop_path = drop_paths(task)[-1]
    if part == FINETUNING:
        return shown | {"drop_path": drop_path}
    warmup = built.rates.index(max(built.rates))
    return shown | {"supervised_warmup_epochs": warmup, "supervised_drop_path": drop_path}


def epochs_of_patience(task: Any) -> int | None:
    """After how many epochs that are no better it would stop."""
    for epochs in range(200):
        task.state["best"] = {"epoch": 1, "accuracy": 0.5}
        if task.best.stops(HALF, 1 + epochs, 0, Silence()):
            return epochs
    return None


def test_a_field_of_0_leaves_the_choice_to_the_tables(images: Path, tmp_path: Path) -> None:
    zero = [name for name in VALUES if "base_learning_rate" in name or "batch_size" in name]
    zero += ["finetuning_epochs", "supervised_epochs", "supervised_warmup_epochs", "patience"]
    values = VALUES | dict.fromkeys(zero, 0) | {"num_images": 0, "num_val_images": 0}
    found = build(contrastive, images, tmp_path, set=[f"{k}={v}" for k, v in values.items()])
    # 42 images and 21 of their labels make two batches and one of 16, the least that is chosen.
    unlabelled = {"num_images": [6] * 7, "batch_size": 16, "base_learning_rate": 1.5e-4 * 16 / 256}
    labelled = {
        "num_images": 21,
        "label_share": [3] * 7,
        "num_val_images": [3] * 7,
        "patience": None,
        "epochs": 100,  # at most, of few images
        "batch_size": 16,
        "base_learning_rate": 8e-4 * math.sqrt(16 * 1024) / 256,  # Table 3's
    }
    for part, key, expected in (
        (SUPERVISED, ("supervised", 0, "finetune"), labelled | {"warmup_epochs": 13}),
        (CONTRASTIVE, ("moco-v3", 0, "pretrain"), unlabelled | {"epochs": 7 * 2}),
        (PRETRAINING, ("fcmae", 0, "pretrain"), unlabelled | {"epochs": 11 * 2}),
        (FINETUNING, ("fcmae", 0, "finetune"), labelled),
    ):
        shown = {k.removeprefix(f"{part}_"): v for k, v in look(part, found.built[key]).items()}
        assert {name: shown[name] for name in expected} == nearly(expected), part


@pytest.mark.parametrize(
    ("size", "own", "table"),
    [("nano", 0.1, 0.1), ("tiny", 0.1, 0.2), ("base", 0.5, 0.1), ("large", 0.5, 0.2)],
)
def test_larger_sizes_have_a_drop_path_of_supervised_training(
    size: str, own: float, table: float, images: Path, tmp_path: Path
) -> None:
    for wanted, rate in (("true", own), ("false", table)):
        values = VALUES | {"size": size, "supervised_drop_path": wanted}
        found = build(
            contrastive,
            images,
            tmp_path / wanted,
            methods=("supervised",),
            set=[f"{k}={v}" for k, v in values.items()],
        )
        rates = drop_paths(found.built["supervised", 0, "finetune"].task)
        assert rates == pytest.approx(torch.linspace(0, rate, len(rates)).tolist())


def test_what_is_trained_on_lies_in_train_and_what_is_validated_on_in_val(
    images: Path, studies: Callable[[str], Study]
) -> None:
    study = studies("contrastive")

    def pixels(part: Any) -> set[bytes]:
        return {part.read(i, 3).pixels.numpy().tobytes() for i in range(len(part))}

    train, val = (
        {decode(file, 3).numpy().tobytes() for file in (images / split).rglob("*.png")}
        for split in ("train", "val")
    )
    assert not train & val
    for built in study.built.values():
        assert pixels(built.task.images) < train
    drawn = [pixels(built.task.images) for built in study.all("pretrain").values()]
    assert drawn[0] == drawn[1]
    for built in study.all("finetune").values():
        assert pixels(built.task.images) < drawn[0]
        assert pixels(built.task.val) < val
        assert len(pixels(built.task.val)) == 14
