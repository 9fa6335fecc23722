"""How a run's work is cut up: what is asked for, and what is taken where nothing is."""

from typing import Any

import pytest
import torch

from fcmae.commands.pretrain import Pretrain
from fcmae.training.batching import Batching, make_batching


def batching(batch_size: int, *, whole_batches: bool = False, **options: Any) -> Batching:
    chosen = Pretrain(out="run", workers=0, **options)
    device = torch.device("cpu")
    return make_batching(chosen, batch_size, device, whole_batches=whole_batches)


@pytest.mark.parametrize(
    ("batch_size", "asked", "found"),
    [(96, None, 64), (24, None, 24), (96, 80, 80), (24, 80, 24), (1, 1, 1)],
)
def test_images_at_a_time_are_64_or_as_many_as_asked_for_and_never_more_than_there_are(
    batch_size: int, asked: int | None, found: int
) -> None:
    assert batching(batch_size, micro_batch_size=asked).micro_batch_size == found


def test_batches_whose_images_are_compared_are_whole() -> None:
    assert batching(96, whole_batches=True).micro_batch_size == 96
    assert batching(96, whole_batches=True, micro_batch_size=96).micro_batch_size == 96
    with pytest.raises(ValueError, match="micro_batch_size 64: the loss compares all 96 images"):
        batching(96, whole_batches=True, micro_batch_size=64)


@pytest.mark.parametrize(("minutes", "seconds"), [(2.0, 120.0), (0.25, 15.0), (0.0, 0.0)])
def test_a_minute_between_checkpoints_is_sixty_seconds(minutes: float, seconds: float) -> None:
    assert batching(8, checkpoint_minutes=minutes).seconds_between_checkpoints == seconds
