"""Which implementation runs, seen from outside: the numbers are the same."""

import os
import subprocess
import sys

import pytest
import torch

from fcmae.models.encoder import Encoder
from fcmae.models.masks import random_mask
from fcmae.ops import kernels


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    for operator in ("depthwise_conv", "feed_forward"):
        monkeypatch.delitem(sys.modules, f"fcmae.ops.{operator}.cpu", raising=False)
        monkeypatch.delattr(sys.modules[f"fcmae.ops.{operator}"], "cpu", raising=False)
    monkeypatch.delitem(sys.modules, "fcmae.ops.numba_kernels", raising=False)
    for found in (kernels._convolution, kernels._feed_forward):
        found.cache_clear()
    yield
    for found in (kernels._convolution, kernels._feed_forward):
        found.cache_clear()


def features() -> list[torch.Tensor]:
    torch.manual_seed(0)
    encoder = Encoder("convnextv2_atto", in_channels=2, stem_stride=1).double()
    images = torch.randn(2, 2, 24, 32, dtype=torch.float64)
    out = encoder(images, random_mask(2, (3, 4), 0.5))
    return [out.detach(), *torch.autograd.grad(out.square().sum(), list(encoder.parameters()))]


def test_an_installation_without_numba_gives_the_same_numbers(
    request: pytest.FixtureRequest,
) -> None:
    x = torch.zeros(1, 1, 1, 1)
    assert kernels.convolution_kernels(x, None) is not None
    assert kernels.feed_forward_kernels(x, None) is not None
    compiled = features()
    request.getfixturevalue("without_numba")
    assert kernels.convolution_kernels(x, None) is None
    assert kernels.feed_forward_kernels(x, None) is None
    for one, other in zip(features(), compiled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12 * float(other.abs().max()))


def test_loading_numba_leaves_torch_its_number_of_threads() -> None:
    # In a fresh process: numba starts its threads once, and OpenMP's number is torch's as well.
    code = (
        "import torch\n"
        "from fcmae import create_autoencoder, random_mask\n"
        "torch.set_num_threads(1)\n"
        "model = create_autoencoder('convnextv2_atto', stem_stride=1, decoder_width=8)\n"
        "model(torch.randn(1, 3, 16, 16), random_mask(1, (2, 2), 0.5)).loss.backward()\n"
        "assert torch.get_num_threads() == 1, torch.get_num_threads()\n"
    )
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
