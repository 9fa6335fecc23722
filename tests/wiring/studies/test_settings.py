"""A study's settings differ in what it compares, and in nothing else; seeds draw anew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from wiring.studies.blocks_by_hand import check_blocks
from wiring.studies.built import (
    STUDIES,
    VALUES,
    WIDE,
    Built,
    Study,
    build,
    check_pretrained,
    drop_paths,
    encoder_of,
)

from fcmae.models.autoencoder import Autoencoder
from fcmae.models.classifier import Classifier
from fcmae.models.contrastive import MomentumContrast
from fcmae.studies.contrastive import contrastive
from fcmae.studies.grn import grn
from fcmae.studies.scaling import scaling

# What a study compares, and nothing else


def differing(runs: dict[str, Built]) -> set[str]:
    """Fields of the plans in which some runs differ.

    Whatever they say, the runs have the same images in the same order, seen alike, the same rate at
    each step, and the same decay of each weight that they both have.
    """
    one, *others = runs.values()
    for other in others:
        for ours, theirs in zip(one.batches, other.batches, strict=True):
            assert ours.indices == theirs.indices
            assert torch.equal(ours.examples[0], theirs.examples[0])
        assert other.rates == one.rates
        ours, theirs = (
            {name: group["weight_decay"] for group in run.task.groups for name in group["names"]}
            for run in (one, other)
        )
        assert all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())
    plans = [flat(run.task.plan.as_dict()) for run in runs.values()]
    return {name for name in plans[0] if any(plan[name] != plans[0][name] for plan in plans)}


def flat(plan: dict[str, Any]) -> dict[str, Any]:
    """All fields but those that follow from others."""
    recipe: dict[str, Any] = plan.pop("recipe")
    return {name: value for name, value in (plan | recipe).items() if name != "departures"}


def check_same_start(runs: dict[str, Built]) -> None:
    """Weights that two runs both have are the same before the first step."""
    one, *others = runs.values()
    for other in others:
        both = one.first.keys() & other.first.keys()
        assert len(both) > len(one.first) / 2
        for name in both:
            assert torch.equal(one.first[name], other.first[name]), name


def test_grn_compares_models_that_differ_in_their_response(studies: Callable[[str], Study]) -> None:
    check_responses(studies("grn"), differing_in={"model", "response"})


def test_normalization_compares_models_that_differ_in_their_response(
    studies: Callable[[str], Study],
) -> None:
    check_responses(studies("normalization"), differing_in={"response"})


def check_responses(study: Study, differing_in: set[str]) -> None:
    """The encoder has the setting's response, before and after; the decoder keeps GRN."""
    before, after = study.all("pretrain"), study.all("finetune")
    for name, built in before.items():
        model = "convnext_tiny" if name == "base" else "convnextv2_tiny"
        assert built.task.plan.model == after[name].task.plan.model == model
        check_blocks(built.task.trained.encoder, name)
        check_blocks(built.task.trained.decoder, "grn")
        check_blocks(after[name].task.trained, name)
        check_pretrained(built, after[name])
    check_same_start(before)
    assert differing(before) == differing_in
    assert differing(after) == differing_in | {"init"}


def test_mask_ratio_compares_what_is_masked(studies: Callable[[str], Study]) -> None:
    visible = dict(zip(STUDIES["mask-ratio"][1], (14, 12, 11, 9, 8, 6, 4, 3, 1), strict=True))
    study = studies("mask-ratio")
    before, after = study.all("pretrain"), study.all("finetune")
    assert {row["name"]: row["visible_patches"] for row in study.rows} == visible
    for name, built in before.items():
        check_masks(built, visible[name])
        check_blocks(built.task.trained, "grn")
        check_pretrained(built, after[name])
    check_same_start(before)
    assert differing(before) == {"mask_ratio", "visible_patches"}
    assert differing(after) == {"init"}


def check_masks(built: Built, visible: int) -> None:
    """So many of 16 patches are seen of each image, others of each and at each step."""
    masks = []
    for batch in built.batches:
        images, mask = built.task.prepare(batch)
        assert mask.shape == (len(images), 4, 4)
        assert ((~mask).sum((1, 2)) == visible).all()
        masks += [tuple(one.flatten().tolist()) for one in mask]
    assert len(set(masks)) > len(images)  # which two steps with the same masks could not have
    tiles: list[int] = []  # that enter the encoder

    def note(_: nn.Module, arguments: tuple[Tensor]) -> None:
        tiles.append(len(arguments[0]))

    with built.task.trained.encoder.downsample_layers[0].register_forward_pre_hook(note):
        built.task.loss(built.task.trained, images, mask)  # of the second step
    assert tiles == [len(images) * visible]


def test_contrastive_compares_what_comes_before_fine_tuning(
    studies: Callable[[str], Study],
) -> None:
    study = studies("contrastive")
    before, after = study.all("pretrain"), study.all("finetune")
    contrast, masked = before["moco-v3"].task.trained, before["fcmae"].task.trained
    assert isinstance(contrast, MomentumContrast)
    assert isinstance(masked, Autoencoder)
    first, second = before["moco-v3"].task.prepare(before["moco-v3"].batches[0])
    assert first.shape == second.shape == (10, 3, 64, 64)  # two views of each image
    assert not torch.equal(first, second)
    check_masks(before["fcmae"], visible=6)  # the paper's ratio of 0.6
    for built in (*before.values(), *after.values()):
        assert built.task.plan.model == "convnextv2_tiny"
        check_blocks(encoder_of(built.task), "grn")
    for name, built in before.items():
        check_pretrained(built, after[name])
    scratch = after["supervised"].first
    assert scratch["stages.0.0.pwconv1.weight"].std() == pytest.approx(0.02, rel=0.1)
    assert not scratch["stages.0.0.grn.gamma"].any()
    pretrained = {name: run for name, run in after.items() if name != "supervised"}
    assert differing(pretrained) == {"init"}


def test_scaling_compares_v1_and_v2_from_scratch_and_pretrained(
    studies: Callable[[str], Study],
) -> None:
    study = studies("scaling")
    before, after = study.all("pretrain"), study.all("finetune")
    for name, built in (before | after).items():
        model, _, method = name.rpartition("-")
        assert built.task.plan.model == model
        response = "base" if model == "convnext_tiny" else "grn"
        check_blocks(built.task.trained, response)
        if method == "fcmae":
            check_pretrained(before[name], built)
            assert isinstance(before[name].task.trained, Autoencoder)
            check_blocks(before[name].task.trained.encoder, response)
            check_masks(before[name], visible=6)
        else:
            assert built.first["stages.0.0.pwconv1.weight"].std() == pytest.approx(0.02, rel=0.1)
    check_same_start(before)
    assert differing(before) == {"model"}
    for method, own in (("supervised", set()), ("fcmae", {"init"})):
        runs = {name: run for name, run in after.items() if name.endswith(method)}
        assert len(runs) == 2
        assert differing(runs) == {"model"} | own


def test_scaling_trains_every_size_that_is_named(images: Path, tmp_path: Path) -> None:
    values = [f"{name}={value}" for name, value in (VALUES | {"size": "nano"}).items()]
    study = build(scaling, images, tmp_path, sizes=("tiny", "atto"), set=values)
    assert len(study.built) == 2 * 6
    for (name, _, _), built in study.built.items():
        model, _, method = name.rpartition("-")
        tiny = model.endswith("tiny")
        assert built.task.plan.model == model
        assert len(encoder_of(built.task).downsample_layers[0][0].weight) == (WIDE if tiny else 8)
        if method == "supervised":
            assert drop_paths(built.task)[-1] == pytest.approx(0.1)


def test_training_from_scratch_differs_from_fine_tuning_in_its_part_of_the_scale_alone(
    images: Path, tmp_path: Path
) -> None:
    same = {
        f"supervised_{name}": VALUES[f"finetuning_{name}"]
        for name in ("epochs", "batch_size", "base_learning_rate")
    }
    values = VALUES | same | {"supervised_drop_path": "false", "supervised_warmup_epochs": 0}
    study = build(contrastive, images, tmp_path, set=[f"{k}={v}" for k, v in values.items()])
    assert differing(study.all("finetune")) == {"init", "layer_decay"}


# Seeds


def test_a_scale_says_how_many_seeds_there_are(images: Path, tmp_path: Path) -> None:
    values = [f"{name}={value}" for name, value in (VALUES | {"seeds": 3}).items()]
    study = build(grn, images, tmp_path, cases=("grn",), set=values)
    assert list(study.built) == [
        ("grn", seed, command) for seed in range(3) for command in ("pretrain", "finetune")
    ]
    assert [row["seed"] for row in study.rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "few"),
    [
        ("grn", {"cases": ("scale",)}),
        ("contrastive", {}),
        ("scaling", {"sizes": ("atto",)}),
        ("normalization", {"responses": ("layer",)}),
        ("mask-ratio", {"ratios": (0.5,)}),
    ],
)
def test_a_seed_decides_weights_order_views_masks_and_labels(
    name: str, few: dict[str, Any], images: Path, tmp_path: Path
) -> None:
    values = [f"{field}={value}" for field, value in VALUES.items()]
    study = build(STUDIES[name][0], images, tmp_path, seeds=(4, 1), set=values, **few)
    for (setting, seed, command), one in study.built.items():
        if command == "finetune" and (setting, seed, "pretrain") in study.built:
            check_pretrained(study.built[setting, seed, "pretrain"], one)
        if seed == 4:
            check_seeds(one, study.built[setting, 1, command])


def check_seeds(one: Built, other: Built) -> None:
    """All that is drawn differs."""
    classifies = isinstance(one.task.trained, Classifier)  # it may begin with trained weights
    for name, value in one.first.items():
        if name == "head.weight" or (not classifies and value.ndim > 1 and ".grn." not in name):
            assert not torch.equal(value, other.first[name]), name
    ours, theirs = (
        {
            run.task.images.name(index): pixels
            for batch in run.batches
            for index, pixels in zip(batch.indices, batch.examples[0], strict=True)
        }
        for run in (one, other)
    )
    assert list(ours) != list(theirs)
    both = ours.keys() & theirs.keys()
    assert both
    assert not any(torch.equal(ours[name], theirs[name]) for name in both)
    if isinstance(one.task.trained, Autoencoder):
        masks = [run.task.prepare(run.batches[0])[1] for run in (one, other)]
        assert not torch.equal(*masks)
    if classifies:
        files = [{run.task.images.name(i) for i in range(14)} for run in (one, other)]
        assert files[0] != files[1]  # other labels
