import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fcmae import create_model
from fcmae.optim import Average


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 13, 3), nn.BatchNorm2d(13), nn.Linear(5, 2).double())


def move(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.randn(value.shape, generator=generator, dtype=value.dtype))
        else:
            value.add_(seed)


@pytest.mark.parametrize("warmup", [False, True])
def test_the_average_follows_its_formula_in_float64(warmup: bool) -> None:
    model = network()
    average = Average(model, 0.3, warmup=warmup)
    expected = {name: value.double().clone() for name, value in model.state_dict().items()}
    for update in range(1, 6):
        move(model, update)
        average.update(model, update)
        keep = min(0.3, (1 + update) / (10 + update)) if warmup else 0.3
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = keep * expected[name] + (1 - keep) * value.double()
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
    counted = average.module.get_buffer("1.num_batches_tracked")
    assert counted == model.get_buffer("1.num_batches_tracked") == 15


def test_without_warm_up_it_is_the_average_of_torch() -> None:
    model = network()
    ours = Average(model, 0.9, warmup=False)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.n_averaged.fill_(1)  # or its first update would copy
    for update in range(1, 4):
        move(model, update)
        ours.update(model, update)
        theirs.update_parameters(model)
    for name, value in ours.module.named_parameters():
        assert torch.equal(value, theirs.module.get_parameter(name))


def test_warm_up_keeps_little_at_first_and_never_more_than_the_decay() -> None:
    average = Average(nn.Linear(1, 1), 0.99, warmup=True)
    assert average.decay_at(1) == 2 / 11
    assert average.decay_at(90) == 0.91
    assert average.decay_at(10**6) == 0.99
    assert Average(nn.Linear(1, 1), 0.99, warmup=False).decay_at(1) == 0.99


def test_it_resumes_exactly_from_its_weights_and_the_number_of_the_update() -> None:
    model = network()
    average = Average(model, 0.999, warmup=True)
    for update in range(1, 8):
        if update == 4:
            resumed = Average(network(), 0.999, warmup=True)
            resumed.module.load_state_dict(copy.deepcopy(average.module.state_dict()))
        move(model, update)
        average.update(model, update)
        if update >= 4:
            resumed.update(model, update)
    for name, value in average.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name])


def test_it_is_a_model_of_its_own_that_only_evaluates() -> None:
    model = create_model("convnextv2_atto", num_classes=2, in_channels=1, drop_path=0.5).train()
    before = copy.deepcopy(model.state_dict())
    average = Average(model, 0.5, warmup=False)
    assert average.module.state_dict().keys() == before.keys()
    assert not average.module.training
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    images = torch.rand(1, 1, 32, 64)
    assert torch.equal(average.module(images), average.module(images))
    move(model, 1)
    for name, value in average.module.state_dict().items():
        assert torch.equal(value, before[name])
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("decay", [-0.1, 1.5, float("nan")])
def test_a_decay_that_is_no_share_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"ema .* is not between 0 and 1"):
        Average(nn.Linear(1, 1), decay, warmup=False)
