"""What the tests of whole runs share: what runs leave, and processes that train a tiny model."""

import json
import os
import socket
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from wiring.small import tiny_sizes

import fcmae
from fcmae.training.trainer import Trainer

Command = Callable[..., Path]
STEPS = 9


class Kind(NamedTuple):
    """A way to train: three epochs of three steps."""

    command: Command
    options: dict[str, Any]


SHARED: dict[str, Any] = {
    "epochs": 3, "batch_size": 8, "stem_stride": 2, "workers": 0, "device": "cpu",
}  # fmt: skip
KINDS = {
    "fcmae": Kind(
        fcmae.pretrain,
        {
            **SHARED,
            "micro_batch_size": 3,  # 3 + 3 + 2: the last is smaller
            "image_size": "32x48",
            "set": ("decoder_width=16", "base_learning_rate=0.01", "warmup_epochs=0.5"),
        },
    ),
    "moco-v3": Kind(
        fcmae.pretrain,
        {
            **SHARED,
            "method": "moco-v3",
            "image_size": "32x48",
            "set": ("hidden_width=24", "projection_width=8", "base_learning_rate=0.01"),
        },
    ),
    "finetune": Kind(
        fcmae.finetune,
        {
            **SHARED,
            "micro_batch_size": 4,
            "image_size": 32,
            # All that is random is on, and the rate is high enough to see a difference.
            "set": ("mixup=0.8", "cutmix=1", "drop_path=0.2", "base_learning_rate=0.002"),
        },
    ),
}


def save_coloured(root: Path, train: int = 10, val: int = 4) -> Path:
    """Three classes of so many images each: quick to see apart."""
    for number, name in enumerate(("blue", "green", "red")):
        for split, count in (("train", train), ("val", val)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture = Image.new("RGB", (40 + i, 50), (20, 20, 20))
                colour = [30, 30, 30]
                colour[2 - number] = 200
                picture.paste(tuple(colour), (5, 5 + i, 30, 40))
                picture.save(folder / f"{split}{i}.png")
    return root


def lines(run: Path, kind: str) -> list[dict[str, Any]]:
    """Those of a kind of the metrics."""
    every = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in every if line["kind"] == kind]


def count(run: Path, kind: str) -> int:
    """How many lines there are of a kind by now."""
    try:
        return (run / "metrics.jsonl").read_text().count(f'"kind": "{kind}"')
    except FileNotFoundError:
        return 0


def assert_same_run(one: Path, other: Path) -> None:
    """The same bytes of metrics, weights, optimiser and, after fine-tuning, of the validation."""
    names = ["metrics.jsonl", "weights.safetensors"]
    names += [f"checkpoints/last/{name}.safetensors" for name in ("model", "optimizer")]
    if (one / "validation.json").exists():
        names += ["validation.json", "best.safetensors", "checkpoints/last/state.json"]
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def wait(condition: Callable[[], bool]) -> None:
    """Until something is so; that it never is so is a failure, whatever the time it takes."""
    limit = time.monotonic() + 250
    while not condition():
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.002)


def _train(kind: str, options: dict[str, Any], hold: int, environment: dict[str, str]) -> None:
    os.environ |= environment
    torch.set_num_threads(1)
    after_step = Trainer.after_step

    def held(self: Trainer, step: Any, *more: Any) -> None:
        after_step(self, step, *more)
        while step.number == hold and not self.interrupt():
            time.sleep(0.01)

    Trainer.after_step = held  # type: ignore[method-assign]  # the process does nothing else
    with tiny_sizes():
        KINDS[kind].command(**options)


def started(
    processes: ForkServerContext,
    kind: str,
    options: dict[str, Any],
    hold: int = 0,
    **environment: str,
) -> ForkServerProcess:
    """A process of its own that trains a tiny model; `hold`: after this step it waits for a signal.

    So that whatever else the machine does, the run has not ended before it is asked to stop.
    """
    process = processes.Process(target=_train, args=(kind, options, hold, environment))
    process.start()
    return process


def started_together(
    processes: ForkServerContext, kind: str, options: dict[str, Any]
) -> list[ForkServerProcess]:
    """Two processes that train one tiny model, as under torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    return [
        started(processes, kind, options, RANK=rank, LOCAL_RANK=rank, **shared)
        for rank in ("0", "1")
    ]


def exit_codes(ranks: list[ForkServerProcess]) -> list[int | None]:
    """Of processes, once they have ended."""
    for process in ranks:
        process.join(250)
    return [process.exitcode for process in ranks]
