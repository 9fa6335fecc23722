"""Projections, and BatchNorm against PyTorch's; over several processes, see `test_contrastive`."""

import torch
from torch import nn

from fcmae.models.perceptron import BatchNorm, perceptron


def test_batch_norm_is_that_of_torch() -> None:
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    ours, theirs = BatchNorm(5).double(), nn.BatchNorm1d(5).double()
    assert torch.allclose(ours(x), theirs(x), rtol=1e-12)
    (mine,) = torch.autograd.grad(ours(x).pow(3).sum(), x)
    (their,) = torch.autograd.grad(theirs(x).pow(3).sum(), x)
    assert torch.allclose(mine, their, rtol=1e-9, atol=1e-12)
    assert not ours(x[:1]).any()  # of one image, as when a step is explained


def test_perceptrons_have_norms_everywhere_and_no_scale_at_the_end() -> None:
    layers = perceptron(40, 4096, 4096, 256)
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["Linear", "BatchNorm", "ReLU"] * 2 + ["Linear", "BatchNorm"]
    assert [tuple(p.shape) for p in layers.parameters() if p.ndim > 1] == [
        (4096, 40),
        (4096, 4096),
        (256, 4096),
    ]
    assert layers[-1].weight is None
    assert all(layer.bias is None for layer in layers if isinstance(layer, nn.Linear))


def test_a_perceptron_is_its_layers_in_turn() -> None:
    x = torch.randn(6, 3, dtype=torch.float64)
    layers = perceptron(3, 4, 2).double()
    hidden = nn.functional.batch_norm(x @ layers[0].weight.T, None, None, training=True).clamp(
        min=0
    )
    expected = nn.functional.batch_norm(hidden @ layers[3].weight.T, None, None, training=True)
    assert torch.allclose(layers(x), expected, rtol=1e-10)


def test_half_precision_is_normalised_in_single() -> None:
    x = 1000 + torch.randn(64, 3)
    low = BatchNorm(3)(x.bfloat16())
    assert low.dtype == torch.bfloat16
    assert torch.allclose(low.float(), BatchNorm(3)(x.bfloat16().float()), atol=0.02)
