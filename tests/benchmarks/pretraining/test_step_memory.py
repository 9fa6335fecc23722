import json
import signal
import subprocess
import sys
from typing import Any

import pytest
import torch

from fcmae.benchmarks.pretraining import step_memory
from fcmae.benchmarks.pretraining.step_memory import TOO_LITTLE, OutOfMemory, measure_memory
from fcmae.benchmarks.pretraining.workload import MODES, Case

CASE = Case("convnextv2_atto", image_size=96, batch_size=3, mask_ratio=0.6, precision="fp32")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def memory() -> dict[str, int]:
    measured = measure_memory(CASE, CPU, MODES)
    if measured is None:
        pytest.skip("memory of a process can be measured on Linux with glibc only")
    return measured


def test_tiled_needs_less(memory: dict[str, int]) -> None:
    assert list(memory) == list(MODES)
    assert memory["tiled"] < memory["dense"] < memory["masked"]


def test_importing_the_library_of_comparison_is_not_counted(memory: dict[str, int]) -> None:
    # 3.7M parameters' gradients, and activations that are about those of our dense mode.
    assert 4 * 3.7e6 < memory["timm"] < 1.5 * memory["dense"]


def test_without_the_update_there_is_less_or_as_much(memory: dict[str, int]) -> None:
    without = measure_memory(CASE, CPU, ("tiled",), update=False)
    assert without is not None
    assert without["tiled"] < 1.1 * memory["tiled"]


def test_no_way_to_measure_is_none() -> None:
    assert measure_memory(CASE, torch.device("mps"), MODES) is None


@pytest.mark.parametrize("code", [-signal.SIGKILL, TOO_LITTLE])
def test_a_process_that_was_ended_for_its_memory_is_a_finding(
    code: int, memory: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, code, "")

    monkeypatch.setattr(step_memory.subprocess, "run", ended)
    with pytest.raises(OutOfMemory):
        measure_memory(CASE, CPU, MODES)


def test_the_process_says_when_an_allocation_is_refused(memory: dict[str, int]) -> None:
    # With an address space of 3 GB, images of 12 GB cannot be had.
    case = {"model": "convnextv2_atto", "image_size": 3200, "batch_size": 100,
            "mask_ratio": 0.6, "precision": "fp32"}  # fmt: skip
    order = {"threads": 1, "case": case, "modes": ["tiled"], "update": True}
    code = (
        "import resource, sys\n"
        "from fcmae.benchmarks.pretraining import step_memory as memory\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))\n"
        "sys.exit(memory._answer())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == TOO_LITTLE, answer.stderr
