"""The linear probe against another optimiser, and against what a minimum is."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fcmae.probes import linear
from fcmae.probes.features import Features
from fcmae.probes.linear import LinearProbe, fit, fit_linear_probe, held_out


def blobs(images: int, width: int, classes: int, noise: float = 1.0, seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(images) % classes
    values = centres[labels] + noise * torch.randn(images, width, generator=generator)
    return Features(values, labels, torch.arange(images))


def objective(train: Features, weight: Tensor, bias: Tensor, strength: float) -> Tensor:
    logits = train.values.double() @ weight.T + bias
    return F.cross_entropy(logits, train.labels) + strength / 2 * weight.square().sum()


@pytest.mark.parametrize(("strength", "rows"), [(1.0, 1 << 16), (1e-3, 1 << 16), (0.1, 7)])
def test_the_gradient_vanishes(strength: float, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "LOGITS", 3 * rows)
    train = blobs(45, 13, 3)
    probe = fit(train, 3, strength)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    gradients = torch.autograd.grad(objective(train, weight, bias, strength), (weight, bias))
    assert max(gradient.abs().max().item() for gradient in gradients) <= 1e-5
    assert probe.strength == strength
    assert probe.weight.dtype == torch.float64


def test_it_is_the_minimum_that_another_optimiser_finds() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    train = blobs(30, 4, 3)
    values, labels = train.values.double().numpy(), train.labels.numpy()

    def loss(flat: np.ndarray) -> float:
        weight, bias = flat[:12].reshape(3, 4), flat[12:]
        logits = values @ weight.T + bias
        chosen = logits[np.arange(30), labels]
        return float((np.log(np.exp(logits).sum(1)) - chosen).mean() + 0.05 * (weight**2).sum())

    found = optimize.minimize(loss, np.zeros(15), method="BFGS", options={"gtol": 1e-7})
    probe = fit(train, 3, 0.1)
    np.testing.assert_allclose(probe.weight.numpy(), found.x[:12].reshape(3, 4), atol=1e-4)
    ours, theirs = probe.bias.numpy(), found.x[12:]  # free but for a constant
    np.testing.assert_allclose(ours - ours.mean(), theirs - theirs.mean(), atol=1e-4)


def test_the_start_decides_nothing() -> None:
    train = blobs(40, 5, 4)
    start = LinearProbe(torch.randn(4, 5).double(), torch.randn(4).double(), 1.0)
    torch.testing.assert_close(
        fit(train, 4, 0.1).weight, fit(train, 4, 0.1, start=start).weight, rtol=0, atol=1e-3
    )
    assert torch.equal(fit(train, 4, 0.1).weight, fit(train, 4, 0.1).weight)


def test_it_fits_where_gradients_are_off() -> None:
    with torch.no_grad():
        probe = fit(blobs(20, 3, 2, noise=0.1), 2, 0.01)
    val = blobs(9, 3, 2, noise=0.1, seed=1)
    assert torch.equal(probe(val.values).argmax(1), val.labels)


def test_noise_is_penalised_more_than_what_is_clear() -> None:
    clear, noisy = blobs(100, 6, 2, noise=0.3), blobs(100, 60, 2, noise=30.0)
    strong = fit_linear_probe(noisy, 2)
    assert strong.strength > fit_linear_probe(clear, 2).strength
    torch.testing.assert_close(strong.weight, fit(noisy, 2, strong.strength).weight)  # on all


def test_the_strength_is_the_best_on_what_was_held_out() -> None:
    train = blobs(60, 8, 3, noise=2.0)
    fitted, held = held_out(train)
    losses = {}
    for strength in (1.0, 0.1, 0.01, 1e-3):
        probe = fit(fitted, 3, strength)
        losses[strength] = F.cross_entropy(probe(held.values), held.labels).item()
    assert fit_linear_probe(train, 3).strength == min(losses, key=lambda one: losses[one])


def test_a_fifth_of_each_class_is_held_out() -> None:
    labels = torch.tensor([0] * 20 + [1] * 4 + [2] + [3] * 2)
    train = Features(torch.randn(27, 2), labels, torch.arange(27))
    fitted, held = held_out(train)
    assert held.labels.bincount(minlength=4).tolist() == [4, 1, 0, 1]
    assert sorted([*fitted.indices.tolist(), *held.indices.tolist()]) == list(range(27))


def test_one_image_a_class_gets_the_strongest_penalty() -> None:
    train = blobs(3, 5, 3, noise=0.01)
    probe = fit_linear_probe(train, 3)
    assert probe.strength == 1.0
    assert torch.equal(probe(train.values).argmax(1), train.labels)


def test_a_class_without_images_is_never_the_answer() -> None:
    train = blobs(30, 4, 3)
    logits = fit_linear_probe(train, 5)(torch.randn(50, 4))
    assert logits.isfinite().all()
    assert logits.argmax(1).max() < 3
