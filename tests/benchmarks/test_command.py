import pytest
import torch

from fcmae.benchmarks.command import check_counts, check_patches, use_threads


def test_no_count_is_one_that_was_not_given() -> None:
    check_counts("threads", None, 1, 2)
    with pytest.raises(ValueError, match="threads: 0 is less than 1"):
        check_counts("threads", None, 1, 0)


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
