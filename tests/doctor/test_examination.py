from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from fcmae.commands.doctor import doctor
from fcmae.doctor.examination import load_encoder, with_live_branches
from fcmae.models.classifier import create_model
from fcmae.models.encoder import Encoder
from fcmae.ops import conv_reference, conv_tiled, kernels
from fcmae.ops.response_norm import tiled as norm_tiled
from fcmae.ops.tiles import Tiles
from fcmae.weights import save_weights

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


@pytest.mark.parametrize(
    ("model", "in_channels", "stem_stride"),
    [("convnextv2_atto", 1, 4), ("convnext_femto", 13, 2), ("convnextv2_nano", 3, 1)],
)
@pytest.mark.parametrize("whole_run", [True, False])
def test_what_was_saved_is_recognised(
    tmp_path: Path, model: str, in_channels: int, stem_stride: int, whole_run: bool
) -> None:
    saved = Encoder(model, in_channels=in_channels, stem_stride=stem_stride)
    save_weights(saved, tmp_path / "weights.safetensors")
    loaded = load_encoder(str(tmp_path if whole_run else tmp_path / "weights.safetensors"))
    assert (loaded.model, loaded.in_channels, loaded.stem_stride) == (
        model,
        in_channels,
        stem_stride,
    )
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


@pytest.mark.parametrize("dialect", ["official", "timm", "transformers"])
def test_a_classifier_of_any_dialect_is_read_without_its_head(tmp_path: Path, dialect: str) -> None:
    saved = create_model("convnextv2_atto", num_classes=7)
    save_weights(saved, tmp_path / "c.safetensors", dialect=dialect)
    loaded = load_encoder(str(tmp_path / "c.safetensors"))
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, saved.state_dict()[name])


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        load_encoder(str(tmp_path))
    save_file({"stem.weight": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"none of official, .* it has stem\.weight"):
        load_encoder(str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_fresh_branches_come_alive_and_trained_ones_stay(model: str) -> None:
    fresh = Encoder(model)
    alive = with_live_branches(fresh, seed=0)
    gammas = [value for name, value in alive.named_parameters() if name.endswith("gamma")]
    assert len(gammas) == 12
    assert all(gamma.abs().mean() > 0.5 for gamma in gammas)
    again = with_live_branches(alive, seed=1)
    assert all(map(torch.equal, alive.parameters(), again.parameters()))
