"""SparK's way gives what masking gives, and lets nothing hidden through."""

import pytest
import torch

from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.masks import random_mask
from gpu.spark import visible_by_multiplying


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_multiplying_gives_what_masking_gives(model: str) -> None:
    torch.manual_seed(0)
    encoder = create_autoencoder(model, in_channels=1, decoder_width=8).encoder.double()
    for name, value in encoder.named_parameters():
        if "grn" in name or name.endswith("gamma"):
            torch.nn.init.normal_(value, std=0.5)
    images = torch.randn(3, 1, 96, 64, dtype=torch.float64)
    cells = random_mask(3, (3, 2), 0.5)
    cells[1] = True
    cells[1, 2, 0] = False  # one visible cell
    parameters = list(encoder.parameters())
    found = []
    for visible in (
        encoder.visible(images, cells, "masked"),
        visible_by_multiplying(encoder, images, cells),
    ):
        found.append([visible.detach(), *torch.autograd.grad(visible.square().sum(), parameters)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12 * float(one.abs().max()))


def test_what_is_hidden_does_not_come_through() -> None:
    encoder = create_autoencoder("convnextv2_atto", decoder_width=8).encoder
    images, cells = torch.randn(1, 3, 64, 64), torch.tensor([[[False, True], [True, False]]])
    with torch.no_grad():
        before = visible_by_multiplying(encoder, images, cells)
        images[:, :, :32, 32:] = 1e4
        assert torch.equal(visible_by_multiplying(encoder, images, cells), before)
