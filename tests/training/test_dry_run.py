"""What a run will cost, bytes that are really saved; a row for each learning rate."""

import pytest
import torch
from torch import Tensor, nn

import fcmae
from fcmae.optim import layer_ids, layer_scales, parameter_groups
from fcmae.training.dry_run import IMAGES, Cost, in_words, measure, show_groups
from fcmae.training.plan import Schedule

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


# The groups


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if len(line) == 5 and line[1][0].isdigit()]


def test_layers_have_their_rates_and_every_parameter_counts_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = fcmae.create_model("convnextv2_atto", num_classes=13)
    scales = layer_scales("convnextv2_atto", 0.9)
    show_groups(parameter_groups(model, 0.3, scales=scales), 1e-3, layer_ids("convnextv2_atto"))
    shown = rows(capsys)
    assert [row[0] for row in shown] == [str(layer) for layer in range(1, 14)]
    assert shown[0][1:3] == ["0.282", "0.000282"]
    assert shown[-1][1:3] == ["1", "0.001"]
    counted = sum(int(number.replace(",", "")) for row in shown for number in row[3:])
    assert counted == sum(parameter.numel() for parameter in model.parameters())


def test_one_rate_is_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    model = fcmae.create_autoencoder("convnextv2_atto", in_channels=1)
    show_groups(parameter_groups(model, 0.05), 2.4e-3)
    (row,) = rows(capsys)
    assert row[:3] == ["all", "1", "0.0024"]
