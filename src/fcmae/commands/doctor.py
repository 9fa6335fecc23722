"""The doctor: what runs on this machine, and whether it computes what it should."""

from dataclasses import dataclass
from pathlib import Path

from fcmae.commands.command import Options, command


@dataclass(frozen=True, kw_only=True)
class Doctor(Options):
    """Show what runs here, and check that the encoder's modes agree, leak nothing and mix nothing.

    Args:
        weights: a run's folder or a weights file of any dialect, of any size and any
            number of channels. Default: fresh random weights of `model`.
        model: a name of `fcmae.list_models()`, where no weights are given.
        image_size: pixels a side of the random test images, a multiple of the total stride (32
            with the paper's stem); small, since nothing here depends on it.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        seed: draws images, masks and fresh weights.

    Returns:
        Exit code: 0 if every check passed, else 1.

    Raises:
        ValueError: if weights cannot be read or are of no known model, or image_size does not fit.
    """

    weights: str | Path | None = None
    model: str = "convnextv2_atto"
    image_size: int = 160
    device: str = "auto"
    seed: int = 0


doctor = command(Doctor, "fcmae.doctor.examination:run_doctor", int)
