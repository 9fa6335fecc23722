"""What weights say of themselves, what is assumed where they are silent, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from random_weights import randomise
from trained_files import CLASSES, SIZE, save_classifier

from fcmae.commands.shared import Reading
from fcmae.images import IMAGENET_MEAN, IMAGENET_STD
from fcmae.inference.load import load_backbone, load_classifier
from fcmae.inference.loop import choose_preprocessing
from fcmae.models.classifier import create_model
from fcmae.models.encoder import Encoder
from fcmae.storage.atomic import save_tensors


def test_a_described_classifier_comes_back_with_what_it_says(tmp_path: Path) -> None:
    saved = save_classifier(tmp_path / "a.safetensors", in_channels=13)
    state = torch.random.get_rng_state()
    classifier, description = load_classifier(str(tmp_path / "a.safetensors"))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (description.classes, description.image_size) == (CLASSES, SIZE)
    assert len(description.mean) == len(description.std) == 13
    assert description.assumption() is None
    assert not classifier.training
    assert (classifier.model, classifier.stem_stride) == ("convnextv2_atto", 1)
    assert classifier.state_dict().keys() == saved.state_dict().keys()
    for name, value in saved.state_dict().items():
        assert torch.equal(classifier.state_dict()[name], value)


def test_silent_weights_are_taken_as_imagenets_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_classifier(path, described=False)
    _, description = load_classifier(str(path))
    assert (description.image_size, description.classes) == ((224, 224), tuple("0123456"))
    assert (description.mean, description.std) == (IMAGENET_MEAN, IMAGENET_STD)
    said = description.assumption()
    assert said is not None
    for words in (
        "224 x 224",
        "ImageNet's mean",
        "ImageNet's deviation",
        "classes 0 to 6 without names",
    ):
        assert words in said
    assert "224" not in (description.assumption(size_given=True) or "")


def test_the_weights_of_a_pth_file_may_be_chosen(tmp_path: Path) -> None:
    one, other = (
        randomise(create_model("convnext_atto", num_classes=2), seed).eval() for seed in (1, 2)
    )
    path = tmp_path / "a.pth"
    torch.save({"model": one.state_dict(), "model_ema": other.state_dict()}, path)
    usual, chosen = load_classifier(str(path))[0], load_classifier(str(path), "model_ema")[0]
    assert torch.equal(usual.head.weight, one.head.weight)
    assert torch.equal(chosen.head.weight, other.head.weight)


def run_of(folder: Path, in_channels: int, config: dict[str, Any]) -> Encoder:
    encoder = randomise(Encoder("convnextv2_atto", in_channels=in_channels, stem_stride=2)).eval()
    folder.mkdir()
    described = {"model": "convnextv2_atto", "in_channels": in_channels, "stem_stride": 2}
    save_tensors(folder / "weights.safetensors", encoder.state_dict(), described)
    (folder / "config.json").write_text(json.dumps(config))
    return encoder


def test_a_pretraining_run_says_its_images_in_its_configuration(tmp_path: Path) -> None:
    config = {"image_size": [48, 32], "statistics": {"mean": [0.25], "std": [0.5]}}
    encoder = run_of(tmp_path / "run", 1, config)
    backbone, norm, description = load_backbone(str(tmp_path / "run"))
    assert norm is None
    assert (description.image_size, description.mean, description.std) == (
        (48, 32),
        (0.25,),
        (0.5,),
    )
    assert (description.classes, description.assumption()) == ((), None)
    assert backbone.state_dict().keys() == encoder.state_dict().keys()
    for name, value in encoder.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value)


def test_a_classifiers_backbone_comes_with_its_norm(tmp_path: Path) -> None:
    saved = save_classifier(tmp_path / "a.safetensors")
    backbone, norm, _ = load_backbone(str(tmp_path / "a.safetensors"))
    assert norm is not None
    images = torch.randn(2, 3, 24, 16)
    logits = saved.head(norm(backbone.features(images)[-1].mean((2, 3))))
    torch.testing.assert_close(logits, saved(images), rtol=0, atol=1e-5)


def test_an_encoder_is_no_classifier(tmp_path: Path) -> None:
    run_of(tmp_path / "run", 3, {})
    with pytest.raises(ValueError, match="no head, as after pre-training: fine-tune"):
        load_classifier(str(tmp_path / "run"))


def test_thirteen_channels_have_no_usual_statistics(tmp_path: Path) -> None:
    save_classifier(tmp_path / "a.safetensors", in_channels=13, described=False)
    classifier, description = load_classifier(str(tmp_path / "a.safetensors"))
    assert (description.mean, description.std) == ((), ())
    with pytest.raises(ValueError, match="deviation of their 13 channels: give the run's folder"):
        choose_preprocessing(Reading(), classifier, description, torch.device("cpu"))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("image_size", 32, "height and width"),
        ("image_size", [32, -1], "height and width"),
        ("mean", [0.5, 0.5], "a number for each channel"),
        ("mean", [0.5, "0.5", 0.5], "a number for each channel"),
        ("std", [0.2, 0.0, 0.2], "a positive number"),
        ("std", [0.2, float("nan"), 0.2], "a positive number"),
        ("classes", ["a", "b"], "a name for each class"),
        ("classes", ["a", "a", "b", "c", "d", "e", "f"], "a name for each class"),
        ("classes", [1, 2, 3, 4, 5, 6, 7], "a name for each class"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    classifier = create_model("convnextv2_atto", num_classes=7, stem_stride=1)
    said = {"image_size": SIZE, "mean": [0.5] * 3, "std": [0.5] * 3, "classes": CLASSES}
    path = tmp_path / "a.safetensors"
    save_tensors(path, classifier.state_dict(), said | {field: value})
    with pytest.raises(ValueError, match=rf"say {field} .* not {words}"):
        load_classifier(str(path))
