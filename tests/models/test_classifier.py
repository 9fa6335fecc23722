"""The classifier's promises; its logits are compared with other libraries' in test_dialects."""

import re

import pytest
import timm
import torch
from random_weights import randomise
from torch import Tensor

from fcmae.models.classifier import create_model
from fcmae.sizes import list_models
from fcmae.weights.dialects import from_ours


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_femto"])
@torch.no_grad()
def test_sides_that_no_stride_divides_are_taken_as_timm_takes_them(model: str) -> None:
    ours = randomise(create_model(model, num_classes=7)).double().eval()
    theirs = timm.create_model(model, pretrained=False, num_classes=7).double().eval()
    theirs.load_state_dict(from_ours(ours.state_dict(), "timm"))
    images = torch.randn(2, 3, 71, 109, dtype=torch.float64)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-10)
    assert ours.features(images)[-1].shape == theirs.forward_features(images).shape


@pytest.mark.parametrize("in_channels", [1, 13])
@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_any_number_of_channels_and_any_stem(
    model: str, stem_stride: int, in_channels: int
) -> None:
    network = create_model(model, num_classes=5, in_channels=in_channels, stem_stride=stem_stride)
    stride = 8 * stem_stride
    assert network(torch.randn(1, in_channels, stride, stride + 3)).shape == (1, 5)
    features = network.features(torch.randn(1, in_channels, 32, 64))
    assert [one.shape for one in features] == [
        (1, 40 << i, 32 // stem_stride >> i, 64 // stem_stride >> i) for i in range(4)
    ]


def test_names_are_the_authors() -> None:
    names = set(create_model("convnextv2_atto").state_dict())
    assert {"downsample_layers.0.0.weight", "downsample_layers.3.1.bias"} <= names
    assert {"stages.2.5.dwconv.weight", "stages.0.0.grn.gamma", "norm.weight", "head.bias"} <= names
    layers = r"(dwconv|norm|pwconv1|pwconv2)\.(weight|bias)|grn\.(gamma|beta)"
    known = (
        rf"(downsample_layers\.[0-3]\.[01]|norm|head)\.(weight|bias)|stages\.[0-3]\.\d\.({layers})"
    )
    assert [name for name in names if not re.fullmatch(known, name)] == []
    v1 = set(create_model("convnext_atto").state_dict())
    assert "stages.0.0.gamma" in v1
    assert not any("grn" in name for name in v1)


def test_the_heads_first_weights_are_scaled() -> None:
    torch.manual_seed(0)
    head = create_model("convnext_atto", head_init=0.001).head
    assert head.weight.std().item() == pytest.approx(2e-5, rel=0.02)
    assert not head.bias.any()


def test_every_listed_model_can_be_created() -> None:
    for model in list_models():
        with torch.device("meta"):
            assert create_model(model).model == model


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_classes": 0}, "num_classes 0"),
        ({"in_channels": -1}, "in_channels -1"),
        ({"stem_stride": 8}, "stem_stride 8 is not supported"),
        ({"drop_path": 1.0}, r"drop_path 1.0 is not in \[0, 1\)"),
        ({"model": "resnet50"}, "unknown model 'resnet50'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        create_model(**options)  # type: ignore[arg-type]


def test_images_smaller_than_a_cell_are_refused() -> None:
    with pytest.raises(ValueError, match="31 x 64 pixels: both sides must be at least 32"):
        create_model("convnext_atto")(torch.zeros(1, 3, 31, 64))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_the_classifier_compiles_into_one_graph(model: str) -> None:
    torch.compiler.reset()
    network = randomise(create_model(model, num_classes=3, stem_stride=1)).double()
    for stage in network.stages:
        del stage[1:]  # type: ignore[attr-defined]
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")

    def run(network: torch.nn.Module) -> list[Tensor]:
        logits = network(images)
        parameters = [value for _, value in network.named_parameters()]
        return [logits.detach(), *torch.autograd.grad(logits.square().sum(), parameters)]

    for one, other in zip(run(compiled), run(network), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11 * float(other.abs().max()))
