"""What `pretrain` does once its options are known: settle the plan, take the folder, run."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from fcmae.commands.pretrain import Pretrain
from fcmae.console.screen import say, shown
from fcmae.images import ImageSet, open_images
from fcmae.images.fixed_images import choose
from fcmae.models.encoder import Encoder
from fcmae.pretraining.contrastive_plan import ContrastivePlan
from fcmae.pretraining.interim_probe import InterimProbe, open_probe
from fcmae.pretraining.methods import EncoderTask, Method, method_of
from fcmae.pretraining.plan import Plan
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


def start(wanted: Pretrain) -> Path:
    """Run `pretrain` with these options."""
    options, given = wanted.as_dict(), wanted.given
    out, stored = open_run(options, "pretrain")
    if options["init"] is not None:
        options["init"] = str(Path(options["init"]).expanduser().absolute())
    if options["probe_data"] not in (None, "sample"):
        options["probe_data"] = str(Path(options["probe_data"]).expanduser().absolute())
    options = complete(options, given, stored)
    method = choose_method(options, given, stored)
    refuse_inside(out, options["data"])
    size_of(options["model"])  # an unknown model is said before images are read
    device = choose_device(options["device"])
    images = open_images(options["data"])
    plan = make_plan(method, options, given, images, device, stored and stored["plan"])
    pace = make_pace(options, plan.batch_size, device, whole_batches=method.whole_batches)
    check_statistics(plan.recipe.response, options, stored)
    pictures = choose(images, plan.in_channels, plan.image_size) if is_first() else None
    if stored is not None:
        run_folder.compare(plan.as_dict(), stored["plan"])
    probe = open_probe(options, out, plan, pace.workers, stored) if is_first() else None
    if is_first():
        lines = details(method, plan, str(device))
        lines += [("probe", probe.in_words())] if probe else []
        announce(method.recipe, plan.departures, lines)
        if stored is not None:
            warn_of_rounding(stored, options, device)

    def make_task(place: Place) -> EncoderTask:
        task = method.task(out, plan, images, pictures, place, pace, probe=probe)
        if options["init"] is not None and begins(out, stored):
            report = task.load(options["init"], options["key"])
            if place.first:
                say(str(report))
        return task

    if options["dry_run"]:
        rehearse(make_task(Place(device, plan.precision)), plan.learning_rate, pace)
        return out
    config = describe(method, options, plan, device, probe) if stored is None else None
    train(out, make_task, pace, options, config, device=device, precision=plan.precision)
    return out


def choose_method(
    options: dict[str, Any], given: Collection[str], stored: dict[str, Any] | None
) -> Method:
    """The method that is asked for; without a number of epochs, the options get its own."""
    name = options["method"]
    method = method_of(name, given)
    before = name if stored is None else stored["options"].get("method", "fcmae")
    if name != before:
        raise ValueError(
            f"method {name}: the run in {options['out']} is of {before}: leave --method out to go "
            "on with it, or start another run"
        )
    if options["epochs"] is None:
        options["epochs"] = method.epochs
    return method


def make_plan(
    method: Method,
    options: dict[str, Any],
    given: Collection[str],
    images: ImageSet[object],
    device: torch.device,
    stored: dict[str, Any] | None,
) -> Plan | ContrastivePlan:
    """The plan that these options come to for these images.

    What was measured or found out when a run began is kept when it is resumed: measuring again
    could differ in the last bit.
    """
    channels, statistics = options["in_channels"], options["statistics"]
    if stored is None or "statistics" in given:
        mean, std = normalisation(statistics, channels, images)
    else:
        mean, std = tuple(stored["mean"]), tuple(stored["std"])
    if stored is None or "precision" in given:
        precision = choose_precision(options["precision"], device)
    else:
        precision = stored["precision"]
    return method.settle(
        data=options["data"],
        init=name_of_init(options),
        images=len(images),
        names=[images.name(index) for index in range(len(images))],
        model=options["model"],
        in_channels=channels,
        stem_stride=options["stem_stride"],
        image_size=parse_image_size(options["image_size"]),
        batch_size=options["batch_size"],
        epochs=options["epochs"],
        seed=options["seed"],
        precision=precision,
        decoding=parse_decoding(options["decoding"]),
        mean=mean,
        std=std,
        assignments=tuple(options["set"]),
        given=given,
        **{name: options[name] for name in method.options},
    )


def details(method: Method, plan: Plan | ContrastivePlan, device: str) -> list[tuple[str, str]]:
    """What `--dry-run` and every run print first."""
    recipe = plan.recipe
    return [
        ("model", f"{plan.model}, {plan.in_channels} channels, stem stride {plan.stem_stride}"),
        ("data", f"{plan.data}: {plan.images} images"),
        *method.details(plan),
        (
            "steps",
            f"{plan.steps} = {plan.epochs} epochs x {plan.steps_per_epoch}, "
            f"batch size {plan.batch_size}",
        ),
        (
            "learning rate",
            f"{plan.learning_rate:.3g} = {recipe.base_learning_rate:g} x {plan.batch_size} / 256, "
            f"warm-up {plan.warmup_steps} steps, then a cosine to {recipe.minimum_learning_rate:g}",
        ),
        ("weight decay", f"{recipe.weight_decay:g}, {EXEMPT[recipe.decay_exempt]}"),
        ("normalisation", f"mean {_rounded(plan.mean)}; deviation {_rounded(plan.std)}"),
        ("decoding", DECODING_IN_WORDS[plan.decoding]),
        ("device", f"{device}, {plan.precision}"),
    ]


EXEMPT = {
    "fixed": "not of biases, norms, GRN and the mask token",
    "paper-code": "not of biases and norms; GRN and the mask token decay, as in the authors' code",
    "nothing": "of everything",
}


def _rounded(values: tuple[float, ...]) -> str:
    return shown([round(value, 4) for value in values])


def describe(
    method: Method,
    options: dict[str, Any],
    plan: Plan | ContrastivePlan,
    device: torch.device,
    probe: InterimProbe | None,
) -> dict[str, Any]:
    """What `config.json` says of a new run."""
    settled = plan.as_dict()
    return {
        **heading("pretrain"),
        "method": options["method"],
        "model": {
            "name": plan.model,
            "in_channels": plan.in_channels,
            "stem_stride": plan.stem_stride,
            "parameters": _encoder_parameters(plan),
        },
        "init": plan.init,
        "data": {"path": plan.data, "images": plan.images},
        "image_size": plan.image_size,
        **method.facts(plan),
        "batch_size": plan.batch_size,
        "epochs": plan.epochs,
        "steps": plan.steps,
        "learning_rate": plan.learning_rate,
        "departures": settled["departures"],
        "recipe": settled["recipe"],
        "statistics": {"mean": plan.mean, "std": plan.std},
        "precision": plan.precision,
        "decoding": plan.decoding,
        **({"probe": probe.as_dict()} if probe else {}),
        **description(options, settled, device),
    }


def _encoder_parameters(plan: Plan | ContrastivePlan) -> int:
    with torch.device("meta"):
        encoder = Encoder(
            plan.model,
            in_channels=plan.in_channels,
            stem_stride=plan.stem_stride,
            response=plan.recipe.response,
        )
    return sum(parameter.numel() for parameter in encoder.parameters())
