"""What `pretrain` does once its options are known: make the plan, take the folder, train."""

from pathlib import Path
from typing import Any

import torch

from fcmae.commands.pretrain import Pretrain
from fcmae.console.screen import say
from fcmae.images import open_images
from fcmae.images.fixed_images import choose
from fcmae.models.encoder import Encoder
from fcmae.pretraining.interim_probe import InterimProbe, open_probe
from fcmae.pretraining.methods import method_of
from fcmae.pretraining.plan import Method, Plan, make_plan
from fcmae.pretraining.task import PretrainingTask
from fcmae.sizes import size_of
from fcmae.training.batching import make_batching
from fcmae.training.devices import Place, choose_device, is_first
from fcmae.training.dry_run import rehearse
from fcmae.training.plan import Lines, details
from fcmae.training.recipe import announce
from fcmae.training.run_folder import describe
from fcmae.training.start import OpenedRun, check_resumed, open_run, warn_of_rounding
from fcmae.training.trainer import train

EXEMPT = {
    "fixed": "not of biases, norms, GRN and the mask token",
    "paper-code": "not of biases and norms; GRN and the mask token decay, as in the authors' code",
    "nothing": "of everything",
}


def start(wanted: Pretrain) -> Path:
    """Run `pretrain` with these options."""
    opened = open_run(wanted, "pretrain")
    out, options, resumed = opened.out, opened.options, opened.resumed
    method = choose_method(opened)
    size_of(options.model)  # an unknown model is said before images are read
    device = choose_device(options.device)
    images = open_images(opened.data)
    mean, std = opened.statistics(options.in_channels, images)
    plan = make_plan(
        method,
        options,
        init=opened.name_of_init,
        images=len(images),
        names=[images.name(index) for index in range(len(images))],
        mean=mean,
        std=std,
        precision=opened.precision(device),
    )
    batching = make_batching(options, plan.batch_size, device, whole_batches=method.whole_batches)
    pictures = choose(images, plan.in_channels, plan.image_size) if is_first() else None
    check_resumed(resumed, plan, options)
    probe = open_probe(opened, plan, batching.workers) if is_first() else None
    if is_first():
        lines = in_words(plan, device) + ([("probe", probe.in_words())] if probe else [])
        announce(method.source, plan.departures, lines)
        if resumed is not None:
            warn_of_rounding(resumed, options, device)

    def make_task(place: Place) -> PretrainingTask:
        torch.manual_seed(plan.seed)
        learner = plan.learner(pictures, out)
        if opened.takes_first_weights:
            report = learner.load(str(options.init), options.key)
            if place.first:
                say(str(report))
        return PretrainingTask(out, plan, learner, images, place, batching, probe=probe)

    if options.dry_run:
        rehearse(make_task(Place(device, plan.precision)), batching)
        return out
    config = None
    if resumed is None:
        settled = options.updated({"epochs": plan.epochs, "probe_data": probe and probe.data})
        config = configuration(settled, plan, device, probe)
    train(out, make_task, batching, device, plan.precision, config, overwrite=options.overwrite)
    return out


def choose_method(opened: OpenedRun[Pretrain]) -> Method:
    """The method that is asked for."""
    name, resumed = opened.options.method, opened.resumed
    method = method_of(name, opened.options.given)
    if resumed is not None and name != resumed.options.method:
        raise ValueError(
            f"method {name}: the run in {opened.out} is of {resumed.options.method}: leave "
            "--method out to go on with it, or start another run"
        )
    return method


def in_words(plan: Plan, device: torch.device) -> Lines:
    """What `--dry-run` and every run print first."""
    recipe = plan.recipe
    return details(
        plan,
        device,
        [("data", f"{plan.data}: {plan.images} images"), *plan.details()],
        scaling=f" = {recipe.base_learning_rate:g} x {plan.batch_size} / 256,",
        optimisation=[("weight decay", f"{recipe.weight_decay:g}, {EXEMPT[recipe.decay_exempt]}")],
    )


def configuration(
    options: Pretrain, plan: Plan, device: torch.device, probe: InterimProbe | None
) -> dict[str, Any]:
    """What the `config.json` of a new run says."""
    with torch.device("meta"):
        encoder = Encoder(
            plan.model,
            in_channels=plan.in_channels,
            stem_stride=plan.stem_stride,
            response=plan.recipe.response,
        )
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    own = {"method": options.method, **plan.facts()}
    if probe is not None:
        own["probe"] = probe.as_dict()
    return describe("pretrain", options, plan, device, parameters=parameters, own=own)
