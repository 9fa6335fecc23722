"""The studies of `make gpu DATA=DIR`: pre-training compared, and the toy, larger than `small`.

Rows are kept as they come, so what a time limit cuts off goes on at the next call. Needs neither
tyro nor an installed package.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from fcmae.studies.contrastive import contrastive
from fcmae.studies.reconstruction import reconstruction

CONTRASTIVE = (
    "num_images=10000",
    "num_val_images=2000",
    "pretraining_epochs=20",
    "contrastive_epochs=10",
    "finetuning_epochs=20",
    "supervised_epochs=20",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both studies into folders of their own; 2 without CUDA."""
    parser = argparse.ArgumentParser(prog="python -m fcmae.studies.gpu", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="with train/CLASS and val/CLASS")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="a folder")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.stderr.write(f"no CUDA device: torch {torch.__version__} sees none on this machine\n")
        return 2
    reconstruction(
        data=str(options.data),
        out=str(options.out / "study-reconstruction-gpu"),
        num_images=10000,
        epochs=10,
        device="cuda",
    )
    contrastive(
        data=options.data,
        out=options.out / "study-contrastive-gpu",
        set=CONTRASTIVE,
        device="cuda",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
