import pytest
import torch

from fcmae.benchmarks.memory import can_be_counted, is_lack_of_memory, peak_memory


def test_peak_counts_what_is_freed_before_the_end() -> None:
    if not can_be_counted():
        pytest.skip("memory of a process can be measured on Linux with glibc only")

    def call() -> None:
        torch.ones(16, 1024, 1024)  # 64 MiB, freed at once
        torch.ones(8, 1024, 1024)

    assert 60 << 20 < peak_memory(call, torch.device("cpu")) < 72 << 20


def test_other_mistakes_are_not_taken_for_a_lack_of_memory() -> None:
    assert is_lack_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_lack_of_memory(MemoryError())
    assert not is_lack_of_memory(RuntimeError("shapes differ"))
