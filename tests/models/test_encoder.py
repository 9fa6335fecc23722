"""Masked, the definition, and tiled, what runs: both against loops over the visible sites."""

import copy
import re

import naive
import pytest
import torch
from random_weights import randomise, shallow_encoder
from torch import Tensor
from torch._dynamo.utils import counters

from fcmae.models.classifier import create_model
from fcmae.models.encoder import Encoder
from fcmae.models.layers import DropPath, compile_blocks
from fcmae.models.masks import enlarge, random_mask
from fcmae.ops.tiles import Tiles

RAGGED = [[[0, 1, 1], [1, 0, 1]], [[1, 1, 1], [1, 0, 1]]]  # 2 and 1 visible
MODES = ("tiled", "masked")
VERSIONS = ("convnextv2_atto", "convnext_atto")


def gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    outer = torch.linspace(0, 9, out.numel(), dtype=out.dtype).view_as(out).cos()
    return [out.detach(), *torch.autograd.grad(out, inputs, outer)]


def assert_same(actual: list[Tensor], expected: list[Tensor], within: float) -> None:
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=within * float(other.abs().max()))


def bits_equal(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one, other) and torch.equal(one.signbit(), other.signbit())


@pytest.mark.parametrize(
    ("model", "in_channels", "stem_stride", "mask", "patch"),
    [
        ("convnextv2_atto", 3, 4, RAGGED, 32),
        ("convnext_atto", 13, 4, RAGGED, 32),
        ("convnextv2_femto", 1, 2, [[[1, 1, 1], [1, 1, 0]]], 16),  # one visible, in a corner
        ("convnext_atto", 1, 1, [[[0, 1]], [[1, 1]]], 8),  # an image with nothing visible
        ("convnextv2_atto", 13, 1, [[[0, 0]]], 8),  # everything visible
        ("convnextv2_atto", 2, 1, [[[0, 1]]], 16),  # patches of four cells
    ],
)
def test_modes_agree_with_loops_over_sites_and_so_do_all_gradients(
    model: str, in_channels: int, stem_stride: int, mask: list[object], patch: int
) -> None:
    encoder = shallow_encoder(model, in_channels=in_channels, stem_stride=stem_stride)
    masked = torch.tensor(mask) > 0
    cells = enlarge(masked, patch // encoder.stride)
    size = [patch * side for side in masked.shape[1:]]
    images = torch.randn(len(masked), in_channels, *size, dtype=torch.float64, requires_grad=True)
    inputs = [images, *encoder.parameters()]

    expected = gradients(naive.encode(encoder, images, cells), inputs)
    assert all(gradient.any() for gradient in expected), "a gradient of zero would prove nothing"
    for mode in MODES:
        features = encoder(images, masked, mode).permute(0, 2, 3, 1)
        assert not features[cells].any()
        assert_same(gradients(features[~cells], inputs), expected, within=1e-11)


@pytest.mark.parametrize("model", VERSIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_no_masked_pixel_moves_a_visible_feature_by_one_bit(
    model: str, mode: str, precision: torch.dtype
) -> None:
    encoder = randomise(Encoder(model, in_channels=2))
    images, mask = torch.randn(2, 2, 96, 128), torch.tensor([RAGGED[0], RAGGED[1]]) > 0
    mask = torch.cat([mask, ~mask[:, :1]], 1)  # [2, 3, 3]
    mask = torch.cat([mask, mask[:, :, :1]], 2)  # [2, 3, 4]
    hidden = enlarge(mask, 32).unsqueeze(1)

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            return encoder(images, mask, mode)

    features = run(images)
    assert features.isfinite().all()
    for poison in (float("nan"), float("inf"), -float("inf"), 1e30, 0.0):
        assert bits_equal(run(images.masked_fill(hidden, poison)), features)
    visible = (~hidden).expand_as(images).nonzero()[-1].tolist()
    images[tuple(visible)] += 1  # and a visible pixel does move something
    assert not bits_equal(run(images), features)


@pytest.mark.parametrize("model", VERSIONS)
@pytest.mark.parametrize("mode", [*MODES, "dense"])
@torch.no_grad()
def test_another_image_of_the_batch_moves_no_bit(model: str, mode: str) -> None:
    encoder = randomise(Encoder(model, in_channels=1))
    images = torch.randn(3, 1, 64, 96)
    mask = None if mode == "dense" else random_mask(3, (2, 3), 0.5)
    features = encoder(images, mask, mode)
    images[1] = 1e3 * torch.randn(1, 64, 96)
    changed = encoder(images, mask, mode)
    assert bits_equal(changed[[0, 2]], features[[0, 2]])
    assert not bits_equal(changed[1], features[1])


@pytest.mark.parametrize("mode", MODES)
@torch.no_grad()
def test_masks_of_other_images_change_nothing_but_rounding(mode: str) -> None:
    encoder = randomise(Encoder("convnextv2_atto", in_channels=1, stem_stride=2)).double()
    images = torch.randn(2, 1, 48, 64, dtype=torch.float64)
    mask = random_mask(2, (3, 4), 0.6)
    alone = encoder(images[:1], mask[:1], mode)
    for other in (mask[1], ~mask[1], torch.zeros_like(mask[1])):
        both = encoder(images, torch.stack([mask[0], other]), mode)
        torch.testing.assert_close(both[:1], alone, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("model", VERSIONS)
@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@torch.no_grad()
def test_without_a_mask_all_modes_are_the_classifiers_features(
    model: str, stem_stride: int
) -> None:
    encoder = randomise(Encoder(model, in_channels=5, stem_stride=stem_stride))
    classifier = create_model(model, in_channels=5, stem_stride=stem_stride, num_classes=3)
    keys = classifier.load_state_dict(encoder.state_dict(), strict=False)
    assert keys.missing_keys == ["norm.weight", "norm.bias", "head.weight", "head.bias"]
    assert keys.unexpected_keys == []

    encoder, classifier = encoder.double(), classifier.double()
    images = torch.randn(1, 5, 2 * encoder.stride, 3 * encoder.stride, dtype=torch.float64)
    features = classifier.features(images)
    side = 8 * encoder.stride // stem_stride
    assert [one.shape[1:] for one in features] == [
        (40 << stage, 2 * side // 8 >> stage, 3 * side // 8 >> stage) for stage in range(4)
    ]
    for mode in ("dense", *MODES):
        torch.testing.assert_close(encoder(images, mode=mode), features[-1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_recomputing_blocks_changes_no_bit_of_output_and_gradients(mode: str) -> None:
    encoder = randomise(Encoder("convnextv2_atto", stem_stride=1)).train()
    images, mask = torch.randn(2, 3, 16, 24), random_mask(2, (2, 3), 0.5)
    parameters = list(encoder.parameters())
    usual = gradients(encoder(images, mask, mode), parameters)
    encoder.checkpoint_blocks = True
    assert all(map(bits_equal, gradients(encoder(images, mask, mode), parameters), usual))


@pytest.mark.parametrize(
    ("images", "mask", "mode", "words"),
    [
        ((1, 2, 64, 64), None, "tiled", "images have shape [1, 2, 64, 64]: [B, 3, H, W] is needed"),
        ((3, 64, 64), None, "tiled", "[B, 3, H, W] is needed"),
        ((1, 3, 64, 31), None, "tiled", "64 x 31 pixels: both sides must be at least 32"),
        (
            (1, 3, 70, 100),
            None,
            "tiled",
            "70 is not a multiple of the patch size 32; the nearest: 64 or 96",
        ),
        ((1, 3, 64, 96), (1, 3, 2), "tiled", "1 images of 2 x 3 patches need [1, 2, 3]"),
        ((2, 3, 64, 96), (1, 2, 3), "masked", "2 images of 2 x 3 patches need [2, 2, 3]"),
        ((1, 3, 64, 96), (2, 3), "tiled", "mask has shape [2, 3]"),
        ((1, 3, 64, 96), (1, 0, 0), "tiled", "mask has shape [1, 0, 0]"),
        ((1, 3, 64, 96), (1, 2, 3), "dense", 'mode "dense" hides nothing'),
        ((1, 3, 64, 96), (1, 2, 3), "tield", "unknown mode 'tield': did you mean 'tiled'?"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    images: tuple[int, ...], mask: tuple[int, ...] | None, mode: str, words: str
) -> None:
    masked = None if mask is None else torch.ones(mask, dtype=torch.bool)
    with pytest.raises(ValueError, match=re.escape(words)):
        Encoder("convnextv2_atto")(torch.zeros(images), masked, mode)


def test_a_number_is_no_mask() -> None:
    with pytest.raises(ValueError, match=r"must be torch\.bool, True where masked"):
        Encoder("convnextv2_atto")(torch.zeros(1, 3, 64, 64), torch.ones(1, 2, 2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "convnextv3_atto"}, "unknown model 'convnextv3_atto'"),
        ({"model": "convnext_atto", "in_channels": 0}, "in_channels 0"),
        ({"model": "convnext_atto", "stem_stride": 3}, "stem_stride 3 is not supported: 4"),
    ],
)
def test_an_encoder_that_cannot_be_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Encoder(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", VERSIONS)
@pytest.mark.parametrize("sites", ["dense", "masked", "tiles"])
@pytest.mark.slow
def test_the_stages_compile_into_one_graph(model: str, sites: str) -> None:
    torch.compiler.reset()
    encoder = shallow_encoder(model, stem_stride=1)
    mask = torch.tensor(RAGGED) > 0
    tiles, pixels = Tiles.visible(mask), torch.randn(2, 16, 24, 3, dtype=torch.float64)
    where = {
        "dense": [None] * 4,
        "masked": [enlarge(mask, side).unsqueeze(-1) for side in (8, 4, 2, 1)],
        "tiles": [tiles] * 4,
    }[sites]
    given = tiles.pack(pixels) if sites == "tiles" else pixels
    parameters = list(encoder.parameters())
    compiled = torch.compile(
        lambda x: encoder.run(x, where)[-1], fullgraph=True, backend="aot_eager"
    )
    assert_same(
        gradients(compiled(given), parameters),
        gradients(encoder.run(given, where)[-1], parameters),
        within=1e-11,
    )


@pytest.mark.parametrize("mode", ["tiled", "dense"])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_compiled_blocks_compute_the_same_whatever_the_number_of_images(mode: str) -> None:
    torch.compiler.reset()
    encoder = shallow_encoder("convnextv2_atto", stem_stride=1).train()
    parameters = list(encoder.parameters())
    batches = [
        (
            torch.randn(number, 3, 16, 24, dtype=torch.float64),
            random_mask(number, (2, 3), 0.5) if mode == "tiled" else None,
        )
        for number in (4, 3, 5, 2)
    ]
    usual = [gradients(encoder(*batch, mode), parameters) for batch in batches]
    names = list(encoder.state_dict())
    compile_blocks(encoder)
    assert list(encoder.state_dict()) == names
    graphs = []
    with torch.compiler.set_stance(force_backend="aot_eager"):
        counters.clear()
        for batch, expected in zip(batches, usual, strict=True):
            assert_same(gradients(encoder(*batch, mode), parameters), expected, within=1e-11)
            graphs.append(counters["stats"]["unique_graphs"])
    assert not counters["graph_break"]
    assert graphs[0] >= 4
    assert graphs[-1] == graphs[1]  # once for another number, never again


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_blocks_with_other_drop_path_rates_share_what_is_compiled() -> None:
    torch.compiler.reset()
    counters.clear()
    classifier = create_model("convnextv2_atto", stem_stride=1, num_classes=2, drop_path=0.3)
    drops = [layer for layer in classifier.modules() if isinstance(layer, DropPath)]
    images = torch.randn(3, 3, 16, 24, dtype=torch.float64)
    for layer in drops:
        layer.drawn = torch.tensor([0.1, 0.2, 0.9])
    randomise(classifier).double().train()
    expected = classifier(images)
    compile_blocks(classifier)
    follower = copy.deepcopy(classifier).eval()  # the average of weights is such a copy
    with torch.compiler.set_stance(force_backend="aot_eager"):
        torch.testing.assert_close(classifier(images), expected)
        assert 4 <= counters["stats"]["unique_graphs"] <= 5 < len(drops)  # the first has no rate
        classifier.eval()
        before = counters["stats"]["unique_graphs"]
        torch.testing.assert_close(classifier(images), follower(images))
        assert counters["stats"]["unique_graphs"] == before + 4
    assert not counters["graph_break"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_compiled_code_agrees_up_to_rounding() -> None:
    torch.compiler.reset()
    encoder = shallow_encoder("convnextv2_atto", stem_stride=1).float().train()
    images, mask = torch.randn(3, 3, 16, 24), random_mask(3, (2, 3), 0.5)
    parameters = list(encoder.parameters())
    expected = gradients(encoder(images, mask), parameters)
    compile_blocks(encoder)
    assert_same(gradients(encoder(images, mask), parameters), expected, within=1e-4)
