"""One set of weights in fcmae, timm and transformers; there and back; the authors' sparse files."""

import pytest
import timm
import torch
from random_weights import randomise
from sparse_names import sparse_state
from torch import Tensor, nn
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    ConvNextV2Config,
    ConvNextV2ForImageClassification,
    ConvNextV2Model,
)

from fcmae.models.classifier import Classifier, create_model
from fcmae.sizes import SIZES, is_v2, size_of
from fcmae.weights.dialects import detect, from_ours, our_name, their_name, to_ours

LARGE = 40e6  # parameters: Small and above take their time
EACH_SIZE = [
    pytest.param(model, marks=[pytest.mark.slow] if size.parameters > LARGE else [])
    for model, size in SIZES.items()
]
DIALECTS = ["official", "timm", "transformers"]


def classifier(model: str, *, num_classes: int = 7, in_channels: int = 3) -> Classifier:
    """All weights drawn at once, in double precision; none keeps a value it had before."""
    with torch.device("meta"):
        network = create_model(model, num_classes=num_classes, in_channels=in_channels).double()
    return randomise(network.to_empty(device="cpu")).eval()


def theirs(model: str, dialect: str, *, num_classes: int = 7, in_channels: int = 3) -> nn.Module:
    """The library's own model of that size, without weights."""
    with torch.device("meta"):
        if dialect == "timm":
            return timm.create_model(model, num_classes=num_classes, in_chans=in_channels).eval()
        size = size_of(model)
        config, network = (
            (ConvNextV2Config, ConvNextV2ForImageClassification)
            if is_v2(model)
            else (ConvNextConfig, ConvNextForImageClassification)
        )
        options = config(
            hidden_sizes=list(size.widths),
            depths=list(size.depths),
            num_channels=in_channels,
            num_labels=num_classes,
            layer_norm_eps=1e-6,
        )
        return network(options).eval()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        value.shape == other[name].shape and torch.equal(value, other[name])
        for name, value in one.items()
    )


@pytest.mark.parametrize("model", EACH_SIZE)
@torch.no_grad()
def test_the_same_weights_give_the_same_logits_everywhere(model: str) -> None:
    ours = classifier(model)
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    logits = ours(images)
    assert logits.std() > 0.1, "logits near zero would prove nothing"
    for dialect in ("timm", "transformers"):
        network = theirs(model, dialect)
        network.load_state_dict(from_ours(ours.state_dict(), dialect), strict=True, assign=True)
        given = network(images)
        given = given if isinstance(given, Tensor) else given.logits
        torch.testing.assert_close(given, logits, rtol=0, atol=1e-10)
        back = network.state_dict()
        assert detect(back) == dialect
        state, _, unknown = to_ours(back, dialect)
        assert same(state, ours.state_dict())
        assert unknown == ()


@pytest.mark.parametrize("in_channels", [1, 13])
@pytest.mark.parametrize("dialect", ["timm", "transformers"])
@pytest.mark.parametrize("model", ["convnext_atto", "convnextv2_tiny"])
def test_any_number_of_channels_in_their_models(model: str, dialect: str, in_channels: int) -> None:
    ours = classifier(model, in_channels=in_channels, num_classes=1).state_dict()
    network = theirs(model, dialect, in_channels=in_channels, num_classes=1)
    network.load_state_dict(from_ours(ours, dialect), strict=True, assign=True)
    assert same(to_ours(network.state_dict(), dialect).state, ours)


@pytest.mark.parametrize("model", ["convnext_atto", "convnextv2_atto", "convnextv2_tiny"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_there_and_back_is_the_same(model: str, dialect: str) -> None:
    ours = classifier(model).state_dict()
    written = from_ours(ours, dialect)
    assert detect(written) == dialect
    assert same(to_ours(written, dialect).state, ours)
    for name in ours:
        assert our_name(their_name(name, dialect, v2=is_v2(model)), dialect) == name


def test_the_official_dialect_is_ours_and_reshapes_nothing() -> None:
    ours = classifier("convnextv2_atto").state_dict()
    assert same(from_ours(ours, "official"), ours)
    assert to_ours(ours, "official").reshaped == ()


def test_a_backbone_of_transformers_has_no_prefix() -> None:
    with torch.device("meta"):
        network = ConvNextV2Model(ConvNextV2Config(depths=[1, 1, 1, 1])).state_dict()
    assert detect(network) == "transformers"
    state, _, unknown = to_ours(network, "transformers")
    assert {"stages.0.0.grn.beta", "downsample_layers.3.1.weight", "norm.bias"} <= state.keys()
    assert unknown == ()


@pytest.mark.parametrize("shape", [(160,), (1, 160), (1, 1, 1, 160), (1, 1, 1, 1, 1, 160)])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_grn_is_brought_to_our_shape(dialect: str, shape: tuple[int, ...]) -> None:
    ours = classifier("convnextv2_atto").state_dict()
    name = "stages.0.1.grn.gamma"
    given = from_ours(ours, dialect)
    given[their_name(name, dialect, v2=True)] = ours[name].reshape(shape)
    state, reshaped, _ = to_ours(given, dialect)
    assert same(state, ours)
    assert (name in reshaped) == (shape != (1, 1, 1, 160))


def test_sparse_weights_are_read_bit_for_bit() -> None:
    ours = {
        name: value
        for name, value in classifier("convnextv2_atto", in_channels=13).state_dict().items()
        if not name.startswith(("norm.", "head."))
    }
    kernels = ours["stages.0.0.dwconv.weight"], ours["downsample_layers.1.1.weight"]
    for kernel in kernels:
        assert not torch.equal(kernel, kernel.transpose(2, 3)), "would hide a swap"
    written = sparse_state(ours)
    assert written["encoder.stages.0.0.dwconv.kernel"].shape == (49, 40)
    assert written["encoder.downsample_layers.1.1.kernel"].shape == (4, 40, 80)
    assert detect(written) == "sparse"
    state, reshaped, unknown = to_ours(written, "sparse")
    assert same(state, ours)
    assert "stages.0.0.dwconv.weight" in reshaped
    assert set(unknown) == {"mask_token", "proj.weight", "pred.bias", "decoder.0.grn.gamma"}


def test_sparse_kernels_count_down_the_columns() -> None:
    kernel = torch.arange(4.0)[:, None].expand(4, 5)  # 2x2, depthwise
    state = to_ours({"encoder.stages.0.0.dwconv.kernel": kernel}, "sparse").state
    expected = torch.tensor([[0.0, 2.0], [1.0, 3.0]])
    assert torch.equal(state["stages.0.0.dwconv.weight"], expected.expand(5, 1, 2, 2))


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("encoder.stages.0.0.dwconv.kernel", (48, 40), r"\[48, 40\]: \[k \* k, in, out\] or"),
        ("encoder.stages.0.0.dwconv.kernel", (49,), r"\[49\]: \[k \* k, in, out\] or"),
        ("encoder.stages.0.0.dwconv.kernel", (0, 40), r"\[0, 40\]: \[k \* k, in, out\] or"),
        ("encoder.stages.0.0.grn.gamma", (40, 4), r"grn.gamma has shape \[40, 4\]: one value"),
        ("encoder.stages.0.0.dwconv.bias", (40, 1), r"dwconv.bias has shape \[40, 1\]: one value"),
    ],
)
def test_shapes_without_a_counterpart_are_refused(
    name: str, shape: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        to_ours({name: torch.zeros(shape)}, "sparse")


def test_two_tensors_of_one_name_are_refused() -> None:
    state = {"encoder.stages.0.0.dwconv.kernel": torch.zeros(49, 40)}
    state["encoder.stages.0.0.dwconv.weight"] = torch.zeros(40, 1, 7, 7)
    with pytest.raises(ValueError, match=r"two of its tensors are stages.0.0.dwconv.weight"):
        to_ours(state, "sparse")


def test_names_of_no_dialect_and_of_two_are_refused() -> None:
    with pytest.raises(ValueError, match=r"none of official, sparse, timm, transformers: .* fc"):
        detect(["conv1.weight", "fc.bias"])
    names = [f"{name}.weight" for name in ("downsample_layers.0.0", "stages.0.0.dwconv")]
    with pytest.raises(ValueError, match="both official and timm"):
        detect([*names, "stem.0.weight", "stages.0.blocks.0.conv_dw.weight"])


def test_what_is_not_written_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown dialect 'sparse': it may be one of: official"):
        their_name("norm.bias", "sparse", v2=True)
    with pytest.raises(ValueError, match=r"norm0.bias is no weight of a classifier"):
        their_name("norm0.bias", "timm", v2=True)
