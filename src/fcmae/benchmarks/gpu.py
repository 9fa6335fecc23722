"""`make gpu`: everything that only a CUDA device can show, in one command and one JSON file.

The tests marked `gpu`, the examination of `fcmae doctor`, each Triton kernel against the operators
that it replaces, the benchmark of pre-training at the paper's set-up (appendix figure 1: batch 64),
size after size as long as the time lasts, and the classifier against timm's. Needs the
libraries that these import, and neither tyro nor an installed package.
"""

import argparse
import contextlib
import io
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fcmae.benchmarks.pretraining import benchmark_pretraining
from fcmae.checkpoint import write_text
from fcmae.doctor import doctor
from fcmae.findings.machine import describe_run
from fcmae.findings.record import as_json, write_rows

MODELS = (
    "convnextv2_atto",
    "convnextv2_tiny",
    "convnextv2_base",
    "convnextv2_large",
    "convnextv2_huge",
)
BATCH_SIZE = 64
TESTS_SHARE = 0.5  # of the time, at most


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them all and write `gpu-DEVICE.json`; 0 if tests and checks passed, 2 without CUDA."""
    parser = argparse.ArgumentParser(prog="python -m fcmae.benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="a folder")
    parser.add_argument("--minutes", type=float, default=9, help="no new part starts after these")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print(
            f"no CUDA device: torch {torch.__version__} sees none on this machine", file=sys.stderr
        )
        return 2
    device = torch.device("cuda", torch.cuda.current_device())
    began = time.monotonic()
    seconds = options.minutes * 60
    record: dict[str, Any] = dict(describe_run(device))
    record |= {"tests": _tests(seconds * TESTS_SHARE), "doctor": _doctor()}
    name = re.sub(r"\W+", "-", torch.cuda.get_device_name(device)).strip("-").lower()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"gpu-{name}.json"
    record["kernels"] = _kernels(device)
    rows: list[dict[str, Any]] = []
    for model in MODELS:
        if time.monotonic() - began > seconds:
            record["left out"] = [*MODELS[MODELS.index(model) :]]
            break
        rows += _benchmark(model)
        # After each size: what was measured is kept, whatever becomes of the next.
        write_text(file, as_json(record, rows))
    if time.monotonic() - began < seconds:
        record["inference"] = _inference()
    write_rows(file, record, rows)
    return 0 if record["tests"]["passed"] and record["doctor"]["passed"] else 1


def _tests(seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"]
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        return {"passed": False, "summary": f"not done in {error.timeout:.0f} s"}
    print(answer.stdout)
    lines = answer.stdout.strip().splitlines()
    return {"passed": answer.returncode == 0, "summary": lines[-1] if lines else ""}


def _doctor() -> dict[str, Any]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = doctor(device="cuda")
    print(said.getvalue())
    return {"passed": code == 0, "lines": said.getvalue().splitlines()}


def _kernels(device: torch.device) -> list[dict[str, Any]]:
    """Triton's kernels against the operators that they replace."""
    from fcmae.benchmarks.operators.kernels import time_kernels

    try:
        return time_kernels(device)
    except (ImportError, RuntimeError) as error:  # no Triton, or results that do not agree
        print(f"kernels: {error}", file=sys.stderr)
        return [{"error": str(error)}]


def _inference() -> list[dict[str, Any]]:
    """The classifier against timm's, dense."""
    from fcmae.benchmarks.inference import benchmark_inference

    try:
        return benchmark_inference(device="cuda")
    except (ImportError, RuntimeError) as error:
        print(f"inference: {error}", file=sys.stderr)
        return [{"error": str(error)}]


def _benchmark(model: str) -> list[dict[str, Any]]:
    """Rows of one size, or one that says why there is none."""
    try:
        return benchmark_pretraining(models=(model,), batch_sizes=(BATCH_SIZE,), device="cuda")
    except RuntimeError as error:  # out of memory, or modes that do not agree: worth knowing
        print(f"{model}: {error}", file=sys.stderr)
        return [{"model": model, "error": str(error)}]


if __name__ == "__main__":
    sys.exit(main())
