"""What `finetune` does once its options are known: weights, plan, folder, training."""

import contextlib
from collections import Counter
from pathlib import Path

import torch

from fcmae.commands.finetune import Finetune
from fcmae.finetuning.first_weights import make_model, read_first_weights
from fcmae.finetuning.plan import FinetuningPlan, make_plan
from fcmae.finetuning.task import FinetuningTask
from fcmae.images import Labelled, Unreadable, open_splits, share
from fcmae.images.fixed_images import choose
from fcmae.optim import layer_ids
from fcmae.parallel.processes import is_first
from fcmae.training.batching import Batching, make_batching
from fcmae.training.devices import Runtime, choose_device
from fcmae.training.plan import Lines, details
from fcmae.training.recipe import announce
from fcmae.training.start import check_resumed, open_run, warn_of_rounding
from fcmae.training.trainer import train

TRIED = 6  # images that are read before anything is written
IMBALANCED = 3  # the largest class has so many times the images of the smallest


def run_finetune(wanted: Finetune) -> Path:
    """Run `finetune` with these options."""
    opened = open_run(wanted, "finetune")
    options = opened.options
    device = choose_device(options.device)
    first = read_first_weights(opened)
    train_images, val = open_splits(opened.data)
    images = share(train_images, options.label_share, options.seed)
    facts = opened.facts([images, val], first.in_channels, device, first.statistics)
    plan = make_plan(options, first, facts, len(val), images.classes)
    batching = make_batching(options, plan.batch_size, device)
    check_pairs(plan, batching)
    if is_first():
        for part in (images, val):
            choose(part, plan.in_channels, plan.image_size)  # what cannot be read is said now
        check_depth(plan, images)
    check_resumed(opened.resumed, plan, options)
    model = make_model(plan, opened)
    if is_first():
        announce(plan.table, plan.departures, in_words(plan, images, device))
        warn_of_rounding(opened, device)

    def make_task(runtime: Runtime) -> FinetuningTask:
        return FinetuningTask(opened.out, plan, images, val, model, runtime, batching)

    own = {
        "data": {
            "path": plan.data,
            "images": plan.images,
            "val_images": plan.val_images,
            "classes": len(plan.classes),
        },
        "label_share": plan.label_share,
        "table": plan.table,
    }
    return train(
        opened,
        make_task,
        plan,
        batching,
        device,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        own=own,
        layers=layer_ids(plan.model, plan.recipe.layer_decay_kind),
    )


def check_pairs(plan: FinetuningPlan, batching: Batching) -> None:
    """Refuse to tear the pairs that mixup and cutmix mix: neighbours in the global batch."""
    if not (plan.recipe.mixup or plan.recipe.cutmix):
        return
    if plan.batch_size == 1:
        raise ValueError(
            "batch size 1: mixup and cutmix need pairs: make it larger, or leave them out with "
            "--set mixup=0 cutmix=0"
        )
    local, micro = batching.local_batch_size, batching.micro_batch_size
    torn = (local != plan.batch_size and local % 2) or (micro != local and micro % 2)
    if torn:
        raise ValueError(
            f"micro_batch_size {micro}, {local} images a process: mixup and cutmix mix neighbours, "
            "so both must be even; or leave them out with --set mixup=0 cutmix=0"
        )


def check_depth(plan: FinetuningPlan, images: Labelled) -> None:
    """Refuse RandAugment for images that are not of 8 bits, as far as a few of them tell."""
    if not plan.recipe.rand_augment[0]:
        return
    for index in range(0, len(images), max(len(images) // TRIED, 1)):
        with contextlib.suppress(Unreadable):
            if images.read(index, plan.in_channels).pixels.dtype != torch.uint8:
                raise ValueError(
                    f"rand_augment needs images of 8 bits, and {images.name(index)} has more: "
                    "leave it out with --set rand_augment=0,0"
                )


def in_words(plan: FinetuningPlan, images: Labelled, device: torch.device) -> Lines:
    """What `--dry-run` and every run print first."""
    recipe, (height, width), counts = plan.recipe, plan.image_size, images.counts()
    per_class = f"{min(counts)} to {max(counts)} a class"
    of_classes = f"{plan.images} images of {len(plan.classes)} classes, {per_class}"
    lines = details(
        plan,
        device,
        [
            ("from", plan.init),
            ("data", f"{plan.data}: {of_classes}; {plan.val_images} to validate on"),
            ("image size", f"{height} x {width} pixels"),
        ],
        scaling=f", scaled by the batch size ({recipe.learning_rate_scaling});",
        optimisation=[
            ("layers", layers_in_words(plan)),
            ("weight decay", f"{recipe.weight_decay:g}, not of biases, norms and GRN"),
        ],
    )
    if max(counts) > IMBALANCED * min(counts):
        order = sorted(range(len(counts)), key=counts.__getitem__)
        few, many = order[0], order[-1]
        lines.append(
            (
                "imbalance",
                f"{plan.classes[many]} has {counts[many]} images, {plan.classes[few]} "
                f"{counts[few]}: look at the accuracy of each class, not at the mean alone",
            )
        )
    return lines


def layers_in_words(plan: FinetuningPlan) -> str:
    """How the learning rate falls from the head to the stem."""
    recipe = plan.recipe
    ids = layer_ids(plan.model, recipe.layer_decay_kind)
    if recipe.layer_decay == 1:
        return "all at the same rate"
    counts = Counter(ids.values())
    first, last = min(counts), max(counts)
    return (
        f"{len(counts)} by {recipe.layer_decay_kind}, each at {recipe.layer_decay:g} of the next "
        f"one's rate: the stem at {recipe.layer_decay ** (last - first):.3g}"
    )
