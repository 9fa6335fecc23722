from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from fcmae.commands.doctor import doctor
from fcmae.models.encoder import Encoder
from fcmae.ops import conv_reference, conv_tiled, kernels
from fcmae.ops.response_norm import tiled as norm_tiled
from fcmae.ops.tiles import Tiles

SMALL = 96  # pixels a side


def findings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The checks that failed, as the screen names them."""
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix("FAILED").strip() for line in lines if line.startswith("FAILED")]


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_a_right_installation_passes(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(model=model, image_size=SMALL, device="cpu") == 0
    lines = capsys.readouterr().out.splitlines()
    number = sum(line.startswith("ok ") for line in lines)
    assert number >= 14
    assert lines[-1] == f"All {number} checks passed."
    assert any("tiled convolution, fp32 on cpu" in line and "fcmae.ops." in line for line in lines)


def test_right_weights_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = Encoder("convnextv2_atto", in_channels=13, stem_stride=2)
    for name, value in encoder.named_parameters():
        if "grn" in name:
            torch.nn.init.normal_(value)
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    assert doctor(weights=str(tmp_path / "weights.safetensors"), image_size=48, device="cpu") == 0
    assert "100% of gamma is not zero" in capsys.readouterr().out


def no_halo(x: Tensor, weight: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
    """Each tile alone, as if it had no neighbours."""
    out = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=3, groups=len(weight))
    return out.permute(0, 2, 3, 1)


def doubled_gradient(x: Tensor, weight: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
    """Right forward, wrong backward."""
    out = conv_right(x, weight, bias, tiles)
    return 2 * out - out.detach()


def over_the_batch(x: Tensor, tiles: Tiles) -> Tensor:
    """GRN's statistic over all images, the error of the authors' sparse code."""
    norm = x.flatten(0, 2).norm(dim=0)
    return (norm / norm.mean()).expand(tiles.grid[0], -1)


def broken(*_: object) -> Tensor:
    raise OSError("a library is missing")


conv_right = conv_tiled.depthwise_conv


@pytest.mark.parametrize(
    ("place", "wrong", "found"),
    [
        (
            (conv_tiled, "depthwise_conv"),
            no_halo,
            ["depthwise convolution", "modes agree", "no mask"],
        ),
        (
            (conv_tiled, "depthwise_conv"),
            doubled_gradient,
            ["depthwise convolution", "modes agree"],
        ),
        (
            (conv_tiled, "depthwise_conv"),
            broken,
            ["depthwise conv", "modes agree", "tiled is dense", "precision"],
        ),
        (
            (norm_tiled, "response_norm"),
            over_the_batch,
            ["response norm", "modes agree", "images do not"],
        ),
        (
            (conv_reference, "hide"),
            lambda x, sites: x,
            ["depthwise", "modes agree", "nothing leaks"],
        ),
    ],
)
def test_a_wrong_operator_is_found(
    place: tuple[object, str],
    wrong: Callable[..., Tensor],
    found: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(kernels, "SUITED", {})
    monkeypatch.setattr(*place, wrong)
    assert doctor(image_size=SMALL, device="cpu") == 1
    failed = findings(capsys)
    assert [words for words in found if not any(line.startswith(words) for line in failed)] == []


def test_bad_weights_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = Encoder("convnextv2_atto", in_channels=1)
    encoder.stages[1][0].norm.bias.data[3] = torch.nan  # type: ignore[index, union-attr]
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    assert doctor(weights=str(tmp_path / "weights.safetensors"), image_size=64, device="cpu") == 1
    failed = findings(capsys)
    assert "stages.1.0.norm.bias" in failed[0]
    assert failed[1].startswith("GRN is alive")
    assert "0% of gamma" in failed[1]


@pytest.mark.parametrize("image_size", [32, 100])
def test_an_image_size_that_does_not_fit_is_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size {image_size}.*try"):
        doctor(image_size=image_size, device="cpu")
