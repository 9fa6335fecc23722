"""What is done, in order of worth: whenever the time ends, what is missing is worth less."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fcmae.errors import unknown
from gpu.precompile import MODELS, stages_of
from gpu.variants import KERNELS

Cases = tuple[Mapping[str, Any], ...]

ATTO, TINY, BASE = "convnextv2_atto", "convnextv2_tiny", "convnextv2_base"
# Opponents that PyTorch's compiler has minutes of work with come after what is done sooner.
EAGER = ("gathered tokens", "SparK's masking")
COMPILED = ("masked, compiled", "tiled, compiled", "timm, channels last, compiled")


@dataclass(frozen=True, slots=True)
class Part:
    """Calls of one function, each in its turn."""

    name: str
    function: str  # "module:name", called with the device and the keywords of a case
    cases: Cases
    seconds: float  # the most that a case may take


def parts(data: Path | None, out: Path) -> list[Part]:
    """All parts, for a GPU of the size of an H100.

    Args:
        data: folder of labelled images for the toy study; None: it is left out.
        out: folder of what it writes.
    """
    agreeing = tuple(
        {"channels": width, "side": side, "precision": precision}
        for precision in ("bf16", "fp32")
        for side, width in stages_of(TINY)
    )
    of_base = tuple({"channels": width, "side": side} for side, width in stages_of(BASE))
    sizes = (*_each("model", *MODELS), {"model": TINY, "precision": "fp32"})
    stages = tuple({"model": TINY, "stage": stage} for stage in (1, 2, 3, 4))
    variants = tuple({"kernel": kernel, **stage} for kernel in KERNELS for stage in stages)
    classifiers = tuple(
        {"model": model, "batch_size": size} for model in (ATTO, TINY) for size in (1, 64)
    )
    opponent = "gpu.opponents:time_opponent"
    return [
        Part("rates", "gpu.device:measure_rates", _each("precision", "bf16", "fp32"), 30),
        Part("kernels compiled", "gpu.precompile:measure", ({},), 90),
        Part("kernels agree", "gpu.correctness:check_block", agreeing, 30),
        Part("registers", "gpu.correctness:compiled_kernels", of_base, 30),
        Part("doctor", "gpu.correctness:examine_encoder", ({},), 60),
        Part("figure 1", "gpu.figure_1:figure_1", sizes, 40),
        Part("whole steps", "gpu.device_time:measure_step", _each_batch(64, 256, 1024), 30),
        Part("profile", "gpu.device_time:profile_step", _each("model", TINY, BASE), 30),
        Part("host profile", "gpu.device_time:profile_host", _each("model", ATTO, TINY), 30),
        Part("graph", "gpu.graphs:time_graph", _each_batch(64, 256), 30),
        Part("kernel by kernel", "gpu.kernels:time_kernels", stages, 30),
        Part("variants", "gpu.variants:time_variants", variants, 30),
        Part("opponents", opponent, _opponents(EAGER), 40),
        Part("inference", "gpu.opponents:time_inference", classifiers, 30),
        Part("training", "gpu.training:pretrain_shortly", _each("model", ATTO, TINY), 90),
        Part("compiled opponents", opponent, _opponents(COMPILED), 150),
        *([] if data is None else [_toy(data, out)]),
        Part("tests", "gpu.correctness:run_tests", ({"folder": "tests"},), 300),
    ]


def _toy(data: Path, out: Path) -> Part:
    given = {
        "data": str(data),
        "out": str(out / "study-reconstruction-gpu"),
        "num_images": 10_000,
        "epochs": 20,
    }
    cases = tuple(
        {**given, "encoder": encoder, "mask_size": size}
        for size in (2, 8, 1, 4, 16)
        for encoder in ("convnext", "convnext-grn", "transformer")
    )
    return Part("toy study", "gpu.training:toy_study", cases, 120)


def _opponents(names: Sequence[str]) -> Cases:
    return tuple({"opponent": name, "model": TINY, "batch_size": 64} for name in names)


def _each(name: str, *values: str) -> Cases:
    return tuple({name: value} for value in values)


def _each_batch(*sizes: int) -> Cases:
    return tuple(
        {"model": model, "batch_size": size} for size in sizes for model in (ATTO, TINY, BASE)
    )


def rehearsal(everything: Sequence[Part], device: str) -> list[Part]:
    """The same parts with tiny cases, to be tried anywhere: a processor is enough for most."""
    precision = "fp32" if device == "cpu" else "bf16"
    cases = _rehearsed({"model": ATTO, "image_size": 64, "precision": precision})
    assert {part.name for part in everything} <= set(cases), everything
    return [replace(part, cases=cases[part.name], seconds=600) for part in everything]


# Those without a loop: not every NumPy lets Triton's interpreter run loops.
NARROW = ("LayerNorm, forward", "LayerNorm, backward")


def _rehearsed(step: Mapping[str, Any]) -> Mapping[str, Cases]:
    """The cases of each part; `step` is what those of a whole step have in common.

    On a processor, which is told by its precision, there are no graphs.
    """
    precision = step["precision"]
    sites = {"model": ATTO, "stage": 4, "batch_size": 1, "image_size": 64}
    block = {"channels": 16, "side": 2}
    run = {"model": ATTO, "photographs": 4, "copies": 3, "batch_size": 4, "image_size": 64}
    return {
        "rates": ({"precision": precision, "repeats": 1},),
        "kernels compiled": ({"limit": 1},),
        "kernels agree": ({**block, "precision": precision, "images": 2, "cells": 3},),
        "registers": (block,),
        "doctor": ({},),
        "figure 1": ({**step, "batch_size": 2, "steps": 4},),
        "whole steps": ({**step, "batch_size": 3, "turns": 2, "steps": 1},),
        "profile": ({**step, "batch_size": 2, "steps": 1, "top": 3},),
        "host profile": ({**step, "steps": 1, "top": 3},),
        "graph": () if precision == "fp32" else ({**step, "batch_size": 2},),
        "kernel by kernel": ({**sites, "kernels": NARROW, "repeats": 1, "calls": 1},),
        "variants": ({**sites, "kernel": "LayerNorm, forward"},),
        "opponents": ({**step, "opponent": "gathered tokens", "batch_size": 2},),
        "compiled opponents": (),
        "inference": ({**step, "batch_size": 2, "repeats": 1},),
        "training": ({**run, "epochs": 2, "workers": 0},),
        "toy study": (),
        "tests": ({"folder": "tests/recipes"},),
    }


def chosen(everything: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """The parts of these names, in their own order; all where none is named."""
    known = [part.name for part in everything]
    for name in names:
        if name not in known:
            raise unknown("part", name, known)
    return [part for part in everything if not names or part.name in names]
