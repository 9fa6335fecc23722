"""What `pretrain` does once its options are known: make the plan, take the folder, train."""

import dataclasses
from pathlib import Path

import torch

from fcmae.commands.pretrain import Pretrain
from fcmae.console.screen import say
from fcmae.images import open_images
from fcmae.images.fixed_images import choose
from fcmae.parallel.processes import is_first
from fcmae.pretraining.interim_probe import open_probe
from fcmae.pretraining.methods import method_of
from fcmae.pretraining.plan import Method, Plan, make_plan
from fcmae.pretraining.task import PretrainingTask
from fcmae.sizes import size_of
from fcmae.training.batching import make_batching
from fcmae.training.devices import Runtime, choose_device
from fcmae.training.plan import Lines, details
from fcmae.training.recipe import announce
from fcmae.training.start import (
    OpenedRun,
    check_resumed,
    open_run,
    warn_of_rounding,
    whole_path,
)
from fcmae.training.trainer import train

EXEMPT = {
    "fixed": "not of biases, norms, GRN and the mask token",
    "paper-code": "not of biases and norms; GRN and the mask token decay, as in the authors' code",
    "nothing": "of everything",
}


def run_pretrain(wanted: Pretrain) -> Path:
    """Run `pretrain` with these options."""
    opened, method = choose_method(open_run(wanted, "pretrain"))
    options = opened.options
    size_of(options.model)  # an unknown model is said before images are read
    device = choose_device(options.device)
    images = open_images(opened.data)
    plan = make_plan(method, options, opened.facts([images], options.in_channels, device))
    batching = make_batching(options, plan.batch_size, device, whole_batches=method.whole_batches)
    pictures = choose(images, plan.in_channels, plan.image_size) if is_first() else None
    check_resumed(opened.resumed, plan, options)
    probe = open_probe(opened, plan, batching.workers) if is_first() else None
    own = {"method": options.method, **plan.facts()}
    torch.manual_seed(plan.seed)
    learner = plan.learner(pictures, opened.out)
    if is_first():
        lines = in_words(plan, device)
        if probe is not None:
            lines.append(("probe", probe.in_words()))
            own["probe"] = probe.as_dict()
        announce(method.source, plan.departures, lines)
        warn_of_rounding(opened, device)
    if opened.takes_first_weights:
        report = learner.load(str(options.init), options.key)
        if is_first():
            say(str(report))

    def make_task(runtime: Runtime) -> PretrainingTask:
        return PretrainingTask(opened.out, plan, learner, images, runtime, batching, probe=probe)

    parameters = sum(parameter.numel() for parameter in learner.encoder.parameters())
    return train(opened, make_task, plan, batching, device, parameters=parameters, own=own)


def choose_method(opened: OpenedRun[Pretrain]) -> tuple[OpenedRun[Pretrain], Method]:
    """The method that is asked for; the options get its number of epochs where they have none."""
    options, resumed = opened.options, opened.resumed
    method = method_of(options.method, options.given)
    if resumed is not None and options.method != resumed.options.method:
        raise ValueError(
            f"method {options.method}: the run in {opened.out} is of {resumed.options.method}: "
            "leave --method out to go on with it, or start another run"
        )
    epochs = method.epochs[0] if options.epochs is None else options.epochs
    probe_data = None if options.probe_data is None else whole_path(options.probe_data)
    options = options.updated({"epochs": epochs, "probe_data": probe_data})
    return dataclasses.replace(opened, options=options), method


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
