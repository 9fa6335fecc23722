"""Our classifier and timm's of the same weights, timed in turns."""

import functools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from fcmae.benchmarks.arithmetic import CLASSES
from fcmae.benchmarks.timing import ratios, seconds_of
from fcmae.models.classifier import create_model
from fcmae.models.layers import GRN
from fcmae.training.devices import Place
from fcmae.weights.dialects import from_ours

# Relative difference of logits between the two libraries: rounding, with a margin of ten.
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}
WARM_UP = 2  # rounds; compilers are busy in the first

Call = Callable[[str, nn.Module], None]  # of a library's name and its model


@dataclass(frozen=True, slots=True)
class InferenceCase:
    """What is compared: two rows of the table, or four where models are compiled as well."""

    model: str
    image_size: int  # pixels a side
    batch_size: int
    precision: str  # "fp32" or "bf16"


def measure_inference(
    case: InferenceCase, place: Place, repeats: int, *, compiled: bool
) -> list[dict[str, Any]]:
    """Rows of forward passes and of fine-tuning steps, eager and, if wanted, compiled.

    Raises:
        RuntimeError: if the two libraries do not give the same logits.
    """
    ours, theirs = (model.to(place.device).eval() for model in pair(case.model))
    generator = torch.Generator().manual_seed(0)
    side = case.image_size
    images = torch.randn(case.batch_size, 3, side, side, generator=generator).to(place.device)
    eager = {"ours": ours, "timm": theirs}
    kinds: dict[str, dict[str, nn.Module]] = {"eager": eager}
    if compiled:
        kinds["compiled"] = {name: _compiled(model) for name, model in eager.items()}
    for kind, models in kinds.items():
        require_agreement(models, images, place, f"{case.model}, {kind}")
    rows = []
    # Forward passes first: steps change the weights, in each library a little differently.
    for work, call in (
        ("forward", _forward(images, place)),
        ("step", _step(eager, images, place)),
    ):
        for model in eager.values():
            model.train(work == "step")
        for kind, models in kinds.items():
            rows.append(_row(case, work, kind, _turns(models, call, place, repeats)))
    return rows


def time_inference(
    device: torch.device,
    *,
    model: str,
    batch_size: int,
    image_size: int = 224,
    precision: str = "bf16",
    repeats: int = 15,
) -> Iterator[dict[str, Any]]:
    """Rows of `measure_inference` for eager models.

    Args:
        device: where.
        model: a name of `fcmae.list_models()`.
        batch_size: images at a time.
        image_size: pixels a side.
        precision: fp32 or bf16.
        repeats: rounds; medians are taken over them.
    """
    case = InferenceCase(model, image_size, batch_size, precision)
    yield from measure_inference(case, Place(device, precision), repeats, compiled=False)


def pair(model: str) -> tuple[nn.Module, nn.Module]:
    """Our classifier and timm's with the same weights, through the names that files go through.

    GRN's are not left at zero, where a mistake in it would not show.
    """
    import timm

    generator = torch.Generator().manual_seed(0)
    ours = create_model(model, num_classes=CLASSES)
    for module in ours.modules():
        if isinstance(module, GRN):
            nn.init.normal_(module.gamma, std=0.2, generator=generator)
            nn.init.normal_(module.beta, std=0.2, generator=generator)
    theirs: nn.Module = timm.create_model(model, num_classes=CLASSES)
    theirs.load_state_dict(from_ours(ours.state_dict(), "timm"), strict=True)
    return ours, theirs


def require_agreement(
    models: dict[str, nn.Module], images: Tensor, place: Place, name: str
) -> None:
    """Refuse to go on unless both give the same logits.

    Raises:
        RuntimeError: if they differ by more than rounding in this precision.
    """
    with torch.no_grad(), place.autocast():
        ours, theirs = (models[library](images).float() for library in ("ours", "timm"))
    relative = ((ours - theirs).norm() / theirs.norm()).item()
    if not relative <= TOLERANCES[place.precision]:  # NaN too
        raise RuntimeError(
            f"{name}: our logits and timm's differ by {relative:.1e}, more than "
            f"{TOLERANCES[place.precision]:.0e} in {place.precision}; not timed, as one of them is "
            "not right"
        )


def _compiled(model: nn.Module) -> nn.Module:
    # Declared as a function; of a module it makes a module.
    return cast(nn.Module, torch.compile(model))


def _forward(images: Tensor, place: Place) -> Call:
    def forward(_: str, model: nn.Module) -> None:
        with torch.no_grad(), place.autocast():
            model(images)

    return forward


def _step(models: dict[str, nn.Module], images: Tensor, place: Place) -> Call:
    """A fine-tuning step, with an optimiser for each of `models`."""
    labels = torch.arange(len(images), device=images.device) % CLASSES
    optimizers = {
        name: torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
        for name, model in models.items()
    }

    def step(name: str, model: nn.Module) -> None:
        with place.autocast():
            loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers[name].step()
        optimizers[name].zero_grad(set_to_none=True)

    return step


def _turns(
    models: dict[str, nn.Module], call: Call, place: Place, repeats: int
) -> dict[str, list[float]]:
    """Seconds of each library's call, round by round."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(-WARM_UP, repeats):
        for name, model in models.items():
            value = seconds_of(functools.partial(call, name, model), place)
            if turn >= 0:
                seconds[name].append(value)
    return seconds


def _row(
    case: InferenceCase, work: str, kind: str, seconds: dict[str, list[float]]
) -> dict[str, Any]:
    faster = ratios(seconds["timm"], seconds["ours"])
    return {
        **asdict(case),
        "work": work,
        "kind": kind,
        "images_per_second": {
            name: case.batch_size / statistics.median(times) for name, times in seconds.items()
        },
        "speedup": statistics.median(faster),
        "speedup_range": [faster[0], faster[-1]],
        "seconds": seconds,
    }
