import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fcmae.classifier import create_model
from fcmae.doctor.encoders import load_encoder, with_live_branches
from fcmae.encoder import Encoder


def run_folder(folder: Path, encoder: Encoder, name: str) -> Path:
    save_file(encoder.state_dict(), folder / "weights.safetensors")
    model = {"name": name, "in_channels": encoder.in_channels, "stem_stride": encoder.stem_stride}
    (folder / "config.json").write_text(json.dumps({"model": model}))
    return folder


@pytest.mark.parametrize(
    ("model", "in_channels", "stem_stride"),
    [("convnextv2_atto", 1, 4), ("convnext_femto", 13, 2), ("convnextv2_nano", 3, 1)],
)
@pytest.mark.parametrize("whole_run", [True, False])
def test_what_was_saved_is_recognised(
    tmp_path: Path, model: str, in_channels: int, stem_stride: int, whole_run: bool
) -> None:
    saved = Encoder(model, in_channels=in_channels, stem_stride=stem_stride)
    folder = run_folder(tmp_path, saved, model)
    loaded = load_encoder(str(folder if whole_run else folder / "weights.safetensors"))
    assert (loaded.model, loaded.in_channels, loaded.stem_stride) == (
        model,
        in_channels,
        stem_stride,
    )
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_a_classifier_is_read_without_its_head(tmp_path: Path) -> None:
    save_file(
        create_model("convnextv2_atto", num_classes=7).state_dict(), tmp_path / "c.safetensors"
    )
    assert load_encoder(str(tmp_path / "c.safetensors")).model == "convnextv2_atto"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda state: {"stem.weight": torch.zeros(1)},
            "not the authors' names; it has stem.weight",
        ),
        (lambda state: state | {"decoder.proj": torch.zeros(1)}, "has unknown decoder.proj"),
        (
            lambda state: {key: value for key, value in state.items() if "norm" not in key},
            "lacks .*norm.bias, .* and .* more",
        ),
        (
            lambda state: {key: value for key, value in state.items() if "stages.2" not in key},
            r"width 40 and depths \(2, 2, 0, 2\)",
        ),
        (lambda state: state | {"stages.0.0.norm.bias": torch.zeros(3)}, "size mismatch"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change, words: str) -> None:  # type: ignore[no-untyped-def]
    save_file(change(Encoder("convnextv2_atto").state_dict()), tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=words):
        load_encoder(str(tmp_path / "x.safetensors"))


def test_no_file_no_safetensors_and_no_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        load_encoder(str(tmp_path))
    (tmp_path / "weights.safetensors").write_bytes(b"\x80\x02 a pickle")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_encoder(str(tmp_path))
    save_file(Encoder("convnextv2_atto").state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="does not say which model"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_fresh_branches_come_alive_and_trained_ones_stay(model: str) -> None:
    fresh = Encoder(model)
    alive = with_live_branches(fresh, seed=0)
    gammas = [value for name, value in alive.named_parameters() if name.endswith("gamma")]
    assert len(gammas) == 12
    assert all(gamma.abs().mean() > 0.5 for gamma in gammas)
    again = with_live_branches(alive, seed=1)
    assert all(map(torch.equal, alive.parameters(), again.parameters()))
