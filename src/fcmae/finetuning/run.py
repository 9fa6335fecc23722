"""What `finetune` does once its options are known: weights, plan, folder, run."""

import contextlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fcmae.commands.finetune import Finetune
from fcmae.console.screen import say, shown
from fcmae.finetuning.plan import FinetuningPlan, settle
from fcmae.finetuning.task import FinetuningTask
from fcmae.images import Labelled, Unreadable, digest, open_splits, share
from fcmae.images.fixed_images import choose
from fcmae.inference.load import load_backbone
from fcmae.models.classifier import Classifier, create_model
from fcmae.models.layers import compile_blocks
from fcmae.models.responses import USUAL
from fcmae.optim import layer_ids
from fcmae.sizes import size_of
from fcmae.training import run_folder
from fcmae.training.batching import check_statistics, make_pace, warn_of_rounding
from fcmae.training.config import description, heading
from fcmae.training.departures import announce
from fcmae.training.devices import Place, choose_device, choose_precision, is_first
from fcmae.training.image_options import (
    DECODING_IN_WORDS,
    normalisation,
    parse_decoding,
    parse_image_size,
)
from fcmae.training.start import (
    begins,
    complete,
    name_of_init,
    open_run,
    refuse_inside,
    rehearse,
    train,
)
from fcmae.weights import load_weights

LOOKS = 6  # images that are read before anything is written
IMBALANCED = 3  # the largest class has so many times the images of the smallest


class Init(NamedTuple):
    """What a run takes from the weights that it starts with."""

    path: str
    model: str
    in_channels: int
    stem_stride: int
    response: str
    image_size: tuple[int, int]
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None


def start(wanted: Finetune) -> Path:
    """Run `finetune` with these options."""
    options, given = wanted.as_dict(), wanted.given
    out, stored = open_run(options, "finetune")
    if options["init"] is not None:
        options["init"] = str(Path(options["init"]).expanduser().absolute())
    options = complete(options, given, stored)
    refuse_inside(out, options["data"])
    device = choose_device(options["device"])
    plan_before = stored and stored["plan"]
    init = read_init(options, plan_before)
    train_images, val = open_splits(options["data"])
    images = share(train_images, options["label_share"], options["seed"])
    plan = make_plan(options, given, init, images, val, device, plan_before)
    pace = make_pace(options, plan.batch_size, device)
    check_statistics(plan.recipe.response, options, stored)
    check_pairs(plan, pace.local_batch_size, pace.micro_batch_size)
    if is_first():
        for part in (images, val):
            choose(part, plan.in_channels, plan.image_size)  # what cannot be read is said now
        check_depth(plan, images)
    if stored is not None:
        run_folder.compare(plan.as_dict(), stored["plan"])
    model = make_model(plan, options["init"], options["key"], load=begins(out, stored))
    model.checkpoint_blocks = pace.checkpoint_blocks
    if pace.compile_blocks:
        compile_blocks(model)
    if is_first():
        announce(plan.table, plan.departures, details(plan, images, device))
        if stored is not None:
            warn_of_rounding(stored, options, device)

    def make_task(place: Place) -> FinetuningTask:
        workers, micro = pace.workers, pace.micro_batch_size
        return FinetuningTask(
            out, plan, images, val, model, place, workers=workers, micro_batch_size=micro
        )

    if options["dry_run"]:
        layers = layer_ids(plan.model, plan.recipe.layer_decay_kind)
        rehearse(make_task(Place(device, plan.precision)), plan.learning_rate, pace, layers)
        return out
    config = describe(options, plan, images, model, device) if stored is None else None
    train(out, make_task, pace, options, config, device=device, precision=plan.precision)
    return out


def read_init(options: dict[str, Any], plan: dict[str, Any] | None) -> Init:
    """The model and its images, as the weights have them, unless an option says otherwise."""
    chosen = {name: options[name] for name in ("model", "in_channels", "stem_stride")}
    if plan is not None:  # of a resumed run, whose first weights no longer matter
        facts = {name: plan[name] for name in chosen} | {"response": plan["recipe"]["response"]}
        size, statistics = tuple(plan["image_size"]), (tuple(plan["mean"]), tuple(plan["std"]))
    elif options["init"] is None:
        facts = {"model": "convnextv2_atto", "in_channels": 3, "stem_stride": 4, "response": USUAL}
        size, statistics = (224, 224), None
    else:
        found = load_backbone(options["init"], options["key"])
        facts = {name: getattr(found.backbone, name) for name in (*chosen, "response")}
        said = found.description
        size, statistics = said.image_size, None
        if "mean" not in said.assumed:
            statistics = (said.mean, said.std)
    for name, value in chosen.items():
        if value is not None:
            if options["init"] is not None and value != facts[name]:
                raise ValueError(
                    f"{name} {value}: the weights {options['init']} are of {name} {facts[name]}: "
                    f"leave {name} out, or give weights of such a model"
                )
            facts[name] = value
    size_of(facts["model"])  # an unknown model is said before images are read
    if options["image_size"] is not None:
        size = parse_image_size(options["image_size"])
    stride = 8 * facts["stem_stride"]
    if min(size) < stride:
        raise ValueError(
            f"image size {size[0]}x{size[1]}: both sides must be at least {stride}, the total "
            "stride; a smaller stem_stride takes smaller images"
        )
    return Init(name_of_init(options), **facts, image_size=size, statistics=statistics)


def make_plan(
    options: dict[str, Any],
    given: Collection[str],
    init: Init,
    images: Labelled,
    val: Labelled,
    device: torch.device,
    stored: dict[str, Any] | None,
) -> FinetuningPlan:
    """The plan that these options come to for these images and weights.

    What was measured or found out when a run began is kept when it is resumed: measuring again
    could differ in the last bit.
    """
    if stored is not None and "statistics" not in given:
        mean, std = tuple(stored["mean"]), tuple(stored["std"])
    elif init.statistics is not None and options["statistics"] == "auto":
        mean, std = init.statistics
    else:
        mean, std = normalisation(options["statistics"], init.in_channels, images)
    if stored is None or "precision" in given:
        precision = choose_precision(options["precision"], device)
    else:
        precision = stored["precision"]
    names = [part.name(index) for part in (images, val) for index in range(len(part))]
    return settle(
        model=init.model,
        stage=options["stage"],
        images=len(images),
        batch_size=options["batch_size"],
        epochs=options["epochs"],
        init=init.path,
        response=init.response,
        in_channels=init.in_channels,
        seed=options["seed"],
        patience=options["patience"],
        assignments=tuple(options["set"]),
        given=given,
        data=options["data"],
        names=digest(names),
        val_images=len(val),
        classes=images.classes,
        stem_stride=init.stem_stride,
        image_size=init.image_size,
        label_share=options["label_share"],
        precision=precision,
        decoding=parse_decoding(options["decoding"]),
        mean=mean,
        std=std,
    )


def check_pairs(plan: FinetuningPlan, local: int, micro: int) -> None:
    """Refuse to tear the pairs that mixup and cutmix mix: neighbours in the global batch."""
    if not (plan.recipe.mixup or plan.recipe.cutmix):
        return
    if plan.batch_size == 1:
        raise ValueError(
            "batch size 1: mixup and cutmix need pairs: make it larger, or leave them out with "
            "--set mixup=0 cutmix=0"
        )
    torn = (local != plan.batch_size and local % 2) or (micro != local and micro % 2)
    if torn:
        raise ValueError(
            f"micro_batch_size {micro}, {local} images a process: mixup and cutmix mix neighbours, "
            "so both must be even; or leave them out with --set mixup=0 cutmix=0"
        )


def check_depth(plan: FinetuningPlan, images: Labelled) -> None:
    """Refuse RandAugment for images that are not of 8 bits, as far as a look at a few tells."""
    if not plan.recipe.rand_augment[0]:
        return
    for index in range(0, len(images), max(len(images) // LOOKS, 1)):
        with contextlib.suppress(Unreadable):
            if images.read(index, plan.in_channels).dtype != torch.uint8:
                raise ValueError(
                    f"rand_augment needs images of 8 bits, and {images.name(index)} has more: "
                    "leave it out with --set rand_augment=0,0"
                )


def make_model(
    plan: FinetuningPlan, path: str | None, key: str | None, *, load: bool
) -> Classifier:
    """The classifier with its first weights; the head is fresh, also where the file has one."""
    torch.manual_seed(plan.seed)
    model = create_model(
        plan.model,
        num_classes=len(plan.classes),
        in_channels=plan.in_channels,
        stem_stride=plan.stem_stride,
        drop_path=plan.recipe.drop_path,
        head_init=plan.recipe.head_init,
        response=plan.recipe.response,
    )
    if load and path is not None:
        head = {name: value.clone() for name, value in model.head.state_dict().items()}
        report = load_weights(model, path, key=key)
        model.head.load_state_dict(head)
        if is_first():
            say(str(report))
    return model


def details(plan: FinetuningPlan, images: Labelled, device: torch.device) -> list[tuple[str, str]]:
    """What `--dry-run` and every run print first."""
    recipe, (height, width), counts = plan.recipe, plan.image_size, images.counts()
    lines = [
        ("model", f"{plan.model}, {plan.in_channels} channels, stem stride {plan.stem_stride}"),
        ("from", plan.init),
        (
            "data",
            f"{plan.data}: {plan.images} images of {len(plan.classes)} classes, "
            f"{min(counts)} to {max(counts)} a class; {plan.val_images} to validate on",
        ),
        ("image size", f"{height} x {width} pixels"),
        (
            "steps",
            f"{plan.steps} = {plan.epochs} epochs x {plan.steps_per_epoch}, "
            f"batch size {plan.batch_size}",
        ),
        (
            "learning rate",
            f"{plan.learning_rate:.3g}, scaled by the batch size ({recipe.learning_rate_scaling}); "
            f"warm-up {plan.warmup_steps} steps, then a cosine to "
            f"{recipe.minimum_learning_rate:g}",
        ),
        ("layers", layers_in_words(plan)),
        ("weight decay", f"{recipe.weight_decay:g}, not of biases, norms and GRN"),
        (
            "normalisation",
            f"mean {shown([round(v, 4) for v in plan.mean])}; "
            f"deviation {shown([round(v, 4) for v in plan.std])}",
        ),
        ("decoding", DECODING_IN_WORDS[plan.decoding]),
        ("device", f"{device}, {plan.precision}"),
    ]
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


def describe(
    options: dict[str, Any],
    plan: FinetuningPlan,
    images: Labelled,
    model: Classifier,
    device: torch.device,
) -> dict[str, Any]:
    """What `config.json` says of a new run."""
    settled = plan.as_dict()
    return {
        **heading("finetune"),
        "model": {
            "name": plan.model,
            "in_channels": plan.in_channels,
            "stem_stride": plan.stem_stride,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        "init": plan.init,
        "data": {
            "path": plan.data,
            "images": plan.images,
            "val_images": plan.val_images,
            "classes": len(plan.classes),
        },
        "label_share": plan.label_share,
        "image_size": plan.image_size,
        "batch_size": plan.batch_size,
        "epochs": plan.epochs,
        "steps": plan.steps,
        "learning_rate": plan.learning_rate,
        "table": plan.table,
        "departures": settled["departures"],
        "recipe": settled["recipe"],
        "statistics": {"mean": plan.mean, "std": plan.std},
        "precision": plan.precision,
        "decoding": plan.decoding,
        **description(options, settled, device),
    }
