from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fcmae.doctor.encoders import load_encoder, with_live_branches
from fcmae.models.classifier import create_model
from fcmae.models.encoder import Encoder
from fcmae.weights import save_weights


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
