import pytest
import torch

from fcmae.benchmarks.command import check, check_patches, use_threads
from fcmae.commands.benchmark import BenchmarkPretraining, SparseEfficiency
from fcmae.commands.command import Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (BenchmarkPretraining(threads=0), "threads: 0 is less than 1"),
        (BenchmarkPretraining(batch_sizes=(1, -2)), "batch_sizes: -2 is less than 1"),
        (BenchmarkPretraining(models=("convnextv2_ato",)), "convnextv2_atto"),
        (BenchmarkPretraining(json="nowhere/a.json"), "json: the folder of nowhere/a.json"),
        (SparseEfficiency(steps=0), "steps: 0 is less than 1"),
    ],
)
def test_what_no_benchmark_can_use_is_refused(options: Options, words: str) -> None:
    check(type(options)())  # what was not given is none of it
    with pytest.raises(ValueError, match=words):
        check(options)


@pytest.mark.parametrize(("size", "sizes"), [(0, "32 or 64"), (33, "32 or 64"), (95, "64 or 96")])
def test_the_nearest_sizes_of_whole_patches_are_named(size: int, sizes: str) -> None:
    check_patches("image_size", 32, 96)
    with pytest.raises(ValueError, match=f"image_size: {size} is not .*: try {sizes}"):
        check_patches("image_size", 64, size)


def test_threads_are_as_many_as_before_whatever_happens() -> None:
    usual = torch.get_num_threads()

    def fail() -> None:
        with use_threads(usual + 1):
            raise RuntimeError(f"with {torch.get_num_threads()}")

    with pytest.raises(RuntimeError, match=f"with {usual + 1}"):
        fail()
    assert torch.get_num_threads() == usual
    with use_threads(None):
        assert torch.get_num_threads() == usual
