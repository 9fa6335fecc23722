"""What a run will cost: bytes that are really saved, and the arithmetic of it."""

import pytest
import torch
from torch import Tensor, nn

from fcmae.training.dry_run import IMAGES, Cost, in_words, measure
from fcmae.training.schedule import Schedule

WIDTH = 1000


def test_what_the_backward_pass_needs_is_counted_once_and_weights_are_not() -> None:
    model = nn.Linear(WIDTH, WIDTH, bias=False)
    seen: list[int] = []

    def loss(number: int) -> Tensor:
        seen.append(number)
        x = torch.ones(number, WIDTH)
        return (model(x) * model(x)).sum()

    cost = measure(model, loss, torch.device("cpu"))
    assert set(seen) == {IMAGES}
    assert cost.saved == 3 * 4 * WIDTH  # of each image: x, once, and both products
    assert cost.state == 4 * 4 * WIDTH * WIDTH
    assert cost.seconds > 0
    assert model.weight.grad is None


@pytest.mark.parametrize(("processes", "time"), [(1, "16 min 40 s"), (2, "8 min 20 s")])
def test_costs_are_multiplied_by_images_and_shared_by_processes(processes: int, time: str) -> None:
    schedule = Schedule(images=105, batch_size=10, epochs=5)
    cost = Cost(seconds=2.0, saved=1_000_000, state=500_000_000)
    memory, duration = in_words(cost, schedule, micro_batch_size=100, processes=processes)
    assert memory[1].startswith("about 0.6 GB a device: 0.5 GB for weights")
    assert "0.1 GB for 100 images at a time" in memory[1]
    assert duration[1].startswith(f"about {time}, measured")
