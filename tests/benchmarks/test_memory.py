import pytest
import torch

from fcmae.benchmarks.memory import measure_memory, peak_memory
from fcmae.benchmarks.workload import Case

CASE = Case("convnextv2_atto", image_size=96, batch_size=3, mask_ratio=0.6, precision="fp32")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def memory() -> dict[str, int]:
    (measured,) = measure_memory([CASE], CPU)
    if measured is None:
        pytest.skip("memory of a process can be measured on Linux with glibc only")
    return measured


def test_peak_counts_what_is_freed_before_the_end(memory: dict[str, int]) -> None:
    def call() -> None:
        torch.ones(16, 1024, 1024)  # 64 MiB, freed at once
        torch.ones(8, 1024, 1024)

    assert 60 << 20 < peak_memory(call, CPU) < 72 << 20


def test_tiled_needs_less(memory: dict[str, int]) -> None:
    assert memory["tiled"] < memory["dense"] < memory["masked"]


def test_no_way_to_measure_is_none() -> None:
    assert measure_memory([CASE], torch.device("mps")) == [None]
