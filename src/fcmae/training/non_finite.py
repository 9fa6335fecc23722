"""Where a loss stopped being a number: which images, and which layer first."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.images import Batch
from fcmae.parallel.processes import gather
from fcmae.storage import atomic
from fcmae.training.devices import Runtime
from fcmae.training.engine import NonFiniteError, value_of
from fcmae.training.task import Task


def explain(
    error: NonFiniteError, task: Task, batches: Iterable[Batch[Any]], runtime: Runtime, out: Path
) -> str:
    """Find the images and the layer behind a loss that is not a number, and write them down.

    Args:
        error: of the step.
        task: with the weights that the step began with.
        batches: of the step, in this process.
        runtime: device and processes.
        out: the run folder.
    """
    parts = (
        (*task.prepare(batch), [task.images.name(index) for index in batch.indices])
        for batch in batches
    )
    task.trained.eval()  # one by one, images would have no share in what drop path drew

    def loss(images: Tensor, other: Any) -> Tensor:
        with torch.no_grad(), runtime.autocast():
            return value_of(task.loss(task.trained, images, other))

    with torch.compiler.set_stance("force_eager"):  # compiled blocks hide their layers
        causes = merge(gather(diagnose(task.trained, parts, loss)))
    found = {"step": error.step, "what": str(error), **causes}
    path = out / "non_finite.json"
    if runtime.first:
        atomic.write_text(path, json.dumps(found, indent=2) + "\n")
    or_precision = "" if runtime.precision == "fp32" else " or --precision fp32"
    return (
        f"{in_words(found)} (all in {path}). The weights before this step are kept in "
        f"{out / 'checkpoints'}. Look at these images, or start again with a lower "
        f"learning rate (--set base_learning_rate=...){or_precision}."
    )


def first_non_finite(module: nn.Module, run: Callable[[], object]) -> str | None:
    """The first layer, in the order in which `run` passes them, whose output is not finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return note

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in module.named_modules()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def diagnose(
    module: nn.Module,
    parts: Iterable[tuple[Tensor, Any, list[str]]],
    loss: Callable[[Tensor, Any], Tensor],
) -> dict[str, Any]:
    """Pass a step's images through the model again, one by one, and see where it breaks.

    Args:
        module: the model, with the weights that the step began with.
        parts: images, what else their loss needs, and their names, of each micro-batch.
        loss: of images.

    Returns:
        "layer": the first with a value that is not finite, or None when the forward pass is sound
        (the gradient overflowed); "images": names of those whose own loss is not finite.
    """
    layer, names = None, []
    for images, other, labels in parts:
        for i, name in enumerate(labels):
            values: list[Tensor] = []
            one = slice(i, i + 1)

            def run(
                images: Tensor = images[one], other: Any = other[one], to: list[Tensor] = values
            ) -> None:
                to.append(loss(images, other))

            found = first_non_finite(module, run)  # runs the image, whatever is known already
            layer = layer or found
            if not values[-1].isfinite():
                names.append(name)
    return {"layer": layer, "images": names}


def merge(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all processes found, each in its own images."""
    layers = [part["layer"] for part in found if part["layer"] is not None]
    return {
        "layer": layers[0] if layers else None,
        "images": [name for part in found for name in part["images"]],
    }


def in_words(found: dict[str, Any]) -> str:
    """What was found, in a line."""
    layer = found["layer"] or "none, the gradient overflowed"
    names = ", ".join(found["images"][:5]) or "none by itself"
    more = " ..." if len(found["images"]) > 5 else ""
    return f"{found['what']}; first layer that is not finite: {layer}; images: {names}{more}"
