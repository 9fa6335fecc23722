"""The tests that need a GPU, by pytest in a process of its own."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from fcmae.gpu.isolation import Row

ABREAST = 4  # test processes: what takes longest is compiling kernels, and that needs no GPU
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?$")
MARK = "mark.gpu"  # in the files that are of interest: the others may want what is not installed


def run_tests(device: torch.device, *, folder: str) -> Iterator[Row]:
    """Run the tests marked `gpu` in the files of a folder; without a GPU, for rehearsal, the rest.

    Yields:
        A row for each test that failed, with pytest's reason, then one with pytest's last line.
    """
    marked, wanted = "not gpu and not slow", [folder]
    if device.type == "cuda":
        files = sorted(Path(folder).rglob("test_*.py"))
        marked, wanted = "gpu", [str(file) for file in files if MARK in file.read_text()]
    # A plug-in that some machines have warns beside xdist, and warnings are errors here.
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:benchmark", "-m", marked]
    command += wanted
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(ABREAST)]
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    sys.stdout.write(answer.stdout)
    lines = answer.stdout.strip().splitlines()
    for line in lines:
        if found := FAILURE.match(line):
            yield {"test": found[1], "error": found[2] or "failed"}
    yield {"agrees": answer.returncode == 0, "said": lines[-1].strip("= ") if lines else "nothing"}
