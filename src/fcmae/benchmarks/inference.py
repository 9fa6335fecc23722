"""The classifier against timm's of the same weights: classifying images, and a fine-tuning step."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from fcmae.benchmarks import command, measuring
from fcmae.benchmarks.arithmetic import CLASSES
from fcmae.commands.benchmark import BenchmarkInference, Rows
from fcmae.models.classifier import create_model
from fcmae.models.layers import GRN
from fcmae.report.record import describe_run
from fcmae.training.devices import Runtime, choose_device, choose_precision, keep_freed_memory
from fcmae.weights.dialects import from_ours

if TYPE_CHECKING:
    from rich.table import Table

SMALLEST = 32  # pixels a side that give a site at the last stage
WARM_UP = 2  # rounds; compilers are busy in the first

Call = Callable[[str, nn.Module, Tensor], None]  # of a library's name, its model and images


@dataclass(frozen=True, slots=True)
class InferenceCase:
    """What is compared: two rows of the table, or four where models are compiled as well."""

    model: str
    image_size: int  # pixels a side
    batch_size: int
    precision: str  # "fp32" or "bf16"


def run_benchmark_inference(options: BenchmarkInference) -> Rows:
    """Measure every combination; show and write the rows."""
    command.check(options)
    for value in options.image_sizes:
        if value < SMALLEST:
            raise ValueError(f"image_sizes: {value} is less than {SMALLEST} pixels, the smallest")
    device = choose_device(options.device)
    keep_freed_memory(device)
    precisions = options.precisions or (choose_precision("auto", device),)
    rows: Rows = []
    with command.use_threads(options.threads), command.progress() as status:
        described = describe_run(device)
        for combination in itertools.product(
            options.models, options.image_sizes, options.batch_sizes, precisions
        ):
            case = InferenceCase(*combination)
            status.update(f"{case.model}, {case.image_size} px, batch {case.batch_size}")
            try:
                rows += measure(case, device, options.repeats, compiled=options.compile)
            except (RuntimeError, MemoryError) as error:
                if not measuring.is_lack_of_memory(error):
                    raise
                rows.append({**asdict(case), "error": measuring.TOO_LARGE})
    command.show_and_write(str(described["machine"]), _table(rows), described, rows, options.json)
    return rows


def measure(case: InferenceCase, device: torch.device, repeats: int, *, compiled: bool) -> Rows:
    """Rows of forward passes and of fine-tuning steps, eager and, if wanted, compiled.

    Raises:
        RuntimeError: if the two libraries do not give the same logits.
    """
    runtime = Runtime(device, case.precision)
    ours, theirs = (model.to(device).eval() for model in pair(case.model))
    generator = torch.Generator().manual_seed(0)
    side = case.image_size
    images = torch.randn(case.batch_size, 3, side, side, generator=generator).to(device)
    eager = {"ours": ours, "timm": theirs}
    kinds: dict[str, dict[str, nn.Module]] = {"eager": eager}
    if compiled:
        kinds["compiled"] = {name: _compiled(model) for name, model in eager.items()}
    for kind, models in kinds.items():
        require_agreement(models, images, runtime, f"{case.model}, {kind}")
    rows = []
    # Forward passes first: steps change the weights, in each library a little differently.
    for work, call in (
        ("forward", _forward(runtime)),
        ("step", _step(eager, runtime, case.batch_size)),
    ):
        for model in eager.values():
            model.train(work == "step")
        for kind, models in kinds.items():
            ways = {name: functools.partial(call, name, model) for name, model in models.items()}
            seconds = measuring.take_turns(ways, runtime, repeats, lambda: images, warm_up=WARM_UP)
            rows.append(
                {
                    **asdict(case),
                    "work": work,
                    "kind": kind,
                    "images_per_second": measuring.images_per_second(seconds, case.batch_size),
                    **measuring.speedup(seconds["timm"], seconds["ours"]),
                    "seconds": seconds,
                }
            )
    return rows


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
    models: dict[str, nn.Module], images: Tensor, runtime: Runtime, name: str
) -> None:
    """Refuse to go on unless both give the same logits.

    Raises:
        RuntimeError: if they differ by more than rounding in this precision.
    """
    with torch.no_grad(), runtime.autocast():
        ours, theirs = (models[library](images).float() for library in ("ours", "timm"))
    relative = measuring.relative_difference(ours, theirs)
    tolerance = measuring.TOLERANCES[runtime.precision]
    if not relative <= tolerance:  # NaN too
        raise RuntimeError(
            f"{name}: our logits and timm's differ by {relative:.1e}, more than {tolerance:.0e} in "
            f"{runtime.precision}; not timed, as one of them is not right"
        )


def _compiled(model: nn.Module) -> nn.Module:
    # Declared as a function; of a module it makes a module.
    return cast(nn.Module, torch.compile(model))


def _forward(runtime: Runtime) -> Call:
    def forward(_: str, model: nn.Module, images: Tensor) -> None:
        with torch.no_grad(), runtime.autocast():
            model(images)

    return forward


def _step(models: dict[str, nn.Module], runtime: Runtime, batch_size: int) -> Call:
    """A fine-tuning step, with an optimiser for each of `models`."""
    labels = torch.arange(batch_size, device=runtime.device) % CLASSES
    optimizers = {
        name: torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
        for name, model in models.items()
    }

    def step(name: str, model: nn.Module, images: Tensor) -> None:
        with runtime.autocast():
            loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers[name].step()
        optimizers[name].zero_grad(set_to_none=True)

    return step


def _table(rows: Rows) -> "Table":
    table = command.table_of(
        "Ratio of images/s, the median over rounds, with the lowest and the highest.",
        ("model", "what"),
        ("ours\nimages/s", "timm\nimages/s", "ours is faster by"),
    )
    for row in rows:
        case = f"{row['model']}\n{row['image_size']} px, batch {row['batch_size']}"
        if "error" in row:
            table.add_row(case, row["error"])
            continue
        speeds = (f"{row['images_per_second'][name]:.1f}" for name in ("ours", "timm"))
        ratio = command.ratio_cell(row["speedup"], row["speedup_range"])
        table.add_row(case, f"{row['work']}, {row['kind']}", *speeds, ratio)
    return table
