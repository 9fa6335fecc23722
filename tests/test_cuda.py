"""What only a CUDA device can show: the same numbers there, in both precisions, and whole runs."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fcmae.commands.pretrain import pretrain
from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.layers import GRN
from fcmae.models.masks import random_mask
from fcmae.training.devices import Runtime
from fcmae.training.signals import Interrupted

pytestmark = pytest.mark.gpu


@pytest.fixture
def case() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    model = create_autoencoder("convnextv2_atto", decoder_width=64)
    for module in model.modules():
        if isinstance(module, GRN):
            torch.nn.init.normal_(module.gamma, std=0.5, generator=generator)
    mask = random_mask(3, (3, 5), 0.6, generator)
    mask[1] = True
    mask[1, 2, 2] = False  # one visible patch
    return model, torch.randn(3, 3, 96, 160, generator=generator), mask


def gradients(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten().double().cpu() for p in model.parameters()])


@pytest.mark.parametrize("mode", ["tiled", "masked"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.1)])
def test_loss_and_gradient_are_those_of_the_processor(
    case: tuple[torch.nn.Module, torch.Tensor, torch.Tensor],
    mode: str,
    precision: str,
    tolerance: float,
) -> None:
    model, images, mask = case
    expected = model.double()(images.double(), mask, "masked").loss
    expected.backward()
    reference = gradients(model)
    model.zero_grad()
    model.float().cuda()
    with Runtime(torch.device("cuda"), precision).autocast():
        loss = model(images.cuda(), mask.cuda(), mode).loss
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    assert (gradients(model) - reference).norm() < tolerance * reference.norm()


def test_a_changed_masked_pixel_moves_nothing(
    case: tuple[torch.nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    model, images, mask = (part.cuda() for part in case)
    hidden = mask.repeat_interleave(32, 1).repeat_interleave(32, 2).unsqueeze(1)
    with torch.no_grad():
        before = model.encoder(images, mask)
        after = model.encoder(images.masked_fill(hidden, torch.nan), mask)
    assert torch.equal(before, after)


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    data = tmp_path / "images"
    data.mkdir()
    noise = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(noise.integers(0, 255, (64, 64, 3), np.uint8)).save(data / f"{i:02}.png")

    def run(name: str) -> Path:
        return pretrain(
            data=str(data),
            out=str(tmp_path / name),
            epochs=40,
            batch_size=4,
            image_size=64,
            device="cuda",
            precision="fp32",
            workers=0,
        )

    def stop() -> None:
        metrics = tmp_path / "parts" / "metrics.jsonl"
        while not metrics.exists() or metrics.read_text().count("\n") < 10:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    whole = run("whole")
    threading.Thread(target=stop).start()
    with pytest.raises(Interrupted):
        run("parts")
    parts = pretrain(out=str(tmp_path / "parts"), resume=True, device="cuda", workers=0)
    ours, theirs = (load_file(path / "weights.safetensors") for path in (whole, parts))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
