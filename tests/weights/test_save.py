"""Weights written from models and converted: the same values, in names that others read."""

from pathlib import Path

import pytest
import timm
import torch
from random_weights import randomise
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import ConvNextV2Config, ConvNextV2ForImageClassification

import fcmae
from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.classifier import Classifier, create_model
from fcmae.models.encoder import Encoder
from fcmae.storage.atomic import save_tensors
from fcmae.weights import convert, load_weights, read_weights, save_weights
from fcmae.weights.dialects import from_ours

ATTO = "convnextv2_atto"


def classifier(model: str = ATTO, *, num_classes: int = 7, in_channels: int = 3) -> Classifier:
    return randomise(create_model(model, num_classes=num_classes, in_channels=in_channels)).eval()


def same(model: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(model.state_dict()[name], value) for name, value in state.items())


@pytest.mark.parametrize("dialect", ["official", "timm", "transformers"])
@pytest.mark.parametrize("model", ["convnext_femto", ATTO])
def test_a_classifier_that_was_saved_is_loaded_whole(
    tmp_path: Path, model: str, dialect: str
) -> None:
    saved = classifier(model)
    fcmae.save_weights(saved, tmp_path / "a.safetensors", dialect=dialect)
    loaded = create_model(model, num_classes=7)
    report = fcmae.load_weights(loaded, tmp_path / "a.safetensors")
    assert same(loaded, saved.state_dict())
    assert set(report.loaded) == set(saved.state_dict())
    assert (report.dialect, report.missing, report.unexpected, report.notes) == (
        dialect,
        (),
        (),
        (),
    )
    assert len(report.reshaped) == {
        ("timm", ATTO): 48,  # GRN, and linear layers that are 1x1 convolutions there
        ("timm", "convnext_femto"): 24,
    }.get((dialect, model), 0)


def test_the_encoder_of_an_autoencoder_is_saved_and_found(tmp_path: Path) -> None:
    saved = randomise(create_autoencoder("convnext_atto"))
    save_weights(saved, tmp_path / "encoder.safetensors")
    save_tensors(tmp_path / "whole.safetensors", saved.state_dict())
    for name, others in (("encoder", 0), ("whole", 15)):
        into = Encoder("convnext_atto")
        report = load_weights(into, tmp_path / f"{name}.safetensors")
        assert same(into, saved.encoder.state_dict())
        assert len(report.unexpected) == others


def test_what_is_saved_describes_itself_and_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_weights(classifier(in_channels=1), tmp_path / f"{name}.safetensors")
    description = read_weights(tmp_path / "a.safetensors").description
    assert description == {
        "model": ATTO,
        "in_channels": 1,
        "stem_stride": 4,
        "num_classes": 7,
        "response": "grn",
    }
    bytes_ = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("a", "b")]
    assert bytes_[0] == bytes_[1]


def test_other_models_endings_and_dialects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model is a Linear: a classifier, an encoder or"):
        load_weights(nn.Linear(1, 1), tmp_path)
    with pytest.raises(ValueError, match=r"a\.pth: weights are written as \.safetensors"):
        save_weights(Encoder(ATTO), tmp_path / "a.pth")
    with pytest.raises(ValueError, match="unknown dialect 'tim': did you mean 'timm'"):
        save_weights(Encoder(ATTO), tmp_path / "a.safetensors", dialect="tim")
    assert list(tmp_path.iterdir()) == []


@torch.no_grad()
def test_timm_and_transformers_read_what_is_saved(tmp_path: Path) -> None:
    ours, images = classifier(in_channels=1), torch.randn(2, 1, 64, 33)
    save_weights(ours, tmp_path / "timm.safetensors", dialect="timm")
    one = timm.create_model(
        ATTO, num_classes=7, in_chans=1, checkpoint_path=str(tmp_path / "timm.safetensors")
    )
    torch.testing.assert_close(one.eval()(images), ours(images), rtol=0, atol=1e-4)

    save_weights(ours, tmp_path / "model.safetensors", dialect="transformers")
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata() is None  # of other keys than "format", the library takes none
    config = ConvNextV2Config(
        hidden_sizes=[40, 80, 160, 320],
        depths=[2, 2, 6, 2],
        num_channels=1,
        num_labels=7,
        layer_norm_eps=1e-6,
    )
    config.save_pretrained(tmp_path)
    other = ConvNextV2ForImageClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(other.eval()(images).logits, ours(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dialect", ["official", "timm", "transformers"])
def test_converting_there_and_back_gives_the_same_weights(tmp_path: Path, dialect: str) -> None:
    state = classifier("convnextv2_femto", in_channels=13).bfloat16().state_dict()
    torch.save({"model_ema": state, "model": {}, "epoch": 1}, tmp_path / "in.pth")
    there, back = tmp_path / "there.safetensors", tmp_path / "back.safetensors"
    report = convert(tmp_path / "in.pth", there, dialect=dialect, key="model_ema")
    assert (report.dialect, report.missing, report.unexpected) == ("official", (), ())
    assert load_file(there).keys() == from_ours(state, dialect).keys()
    assert convert(there, back, dialect="official").dialect == dialect
    written = load_file(back)
    assert written.keys() == state.keys()
    assert all(torch.equal(written[name], value) for name, value in state.items())
    assert written["head.bias"].dtype == torch.bfloat16


def test_converting_keeps_the_description_or_says_that_it_does_not(tmp_path: Path) -> None:
    said = {"model": ATTO, "classes": ["cat", "dog"], "num_classes": 2}
    save_tensors(tmp_path / "a.safetensors", classifier(num_classes=2).state_dict(), said)
    assert convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", dialect="official")
    assert read_weights(tmp_path / "b.safetensors").description["classes"] == ["cat", "dog"]
    report = convert(tmp_path / "a.safetensors", tmp_path / "c.safetensors", dialect="timm")
    assert report.notes == (
        "these files have no description, so what it said is left out: classes",
    )
