import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcmae.models.encoder import Backbone
from fcmae.models.layers import (
    GRN,
    Block,
    Downsample,
    DropPath,
    LayerNorm,
    PatchConv,
    Stem,
    initialise,
)
from fcmae.models.masks import enlarge
from fcmae.ops.tiles import Tiles

RAGGED = torch.tensor([[[0, 1, 1], [1, 0, 0]], [[1, 1, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 0]]]) > 0

# Patches


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3, 13])
def test_a_patch_convolution_is_the_librarys(stride: int, channels: int) -> None:
    layer = PatchConv(channels, 5, stride).double()
    x = torch.randn(2, 9, 14, channels, dtype=torch.float64)  # rows and columns are left over
    expected = F.conv2d(x.permute(0, 3, 1, 2), layer.weight, layer.bias, stride=stride)
    torch.testing.assert_close(layer(x), expected.permute(0, 2, 3, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [Stem(5, 7, 4), Downsample(5, 7)], ids=["stem", "downsample"])
def test_a_tile_goes_through_stem_and_downsampling_as_part_of_the_map(layer: nn.Module) -> None:
    tiles = Tiles.visible(RAGGED)
    x = torch.randn(3, 16, 24, 5)
    torch.testing.assert_close(layer(tiles.pack(x)), tiles.pack(layer(x)))


# Normalisation


def test_layer_norm_is_over_channels_with_the_authors_epsilon() -> None:
    x = torch.randn(2, 3, 4, 13, dtype=torch.float64) * 1e-3  # small, so that epsilon counts
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(LayerNorm(13).double()(x), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_layer_norm_of_large_values_in_half_precision_is_that_of_single(
    dtype: torch.dtype,
) -> None:
    x = (torch.randn(2, 3, 4, 40) * 1e4).to(dtype)
    with torch.autocast("cpu", dtype):
        out = LayerNorm(40)(x)
    expected = LayerNorm(40)(x.float())
    torch.testing.assert_close(out.float(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps)


def live_grn(channels: int) -> GRN:
    grn = GRN(channels)
    nn.init.normal_(grn.gamma)
    nn.init.normal_(grn.beta)
    return grn


def test_grn_is_the_papers_formula() -> None:
    grn = live_grn(13).double()
    x = torch.randn(2, 5, 7, 13, dtype=torch.float64)
    for image in range(2):  # each for itself
        norm = x[image].flatten(0, 1).norm(dim=0)
        normalised = norm / (norm.mean() + 1e-6)
        expected = grn.gamma[0] * (x[image] * normalised) + grn.beta[0] + x[image]
        torch.testing.assert_close(grn(x, None)[image], expected)


def test_fresh_grn_changes_nothing() -> None:
    x = torch.randn(2, 3, 3, 8)
    assert torch.equal(GRN(8)(x, None), x)


def test_grn_sees_only_visible_sites_in_every_form() -> None:
    grn, tiles = live_grn(6), Tiles.visible(RAGGED)
    masked = enlarge(RAGGED, 4).unsqueeze(-1)
    x = torch.randn(3, 8, 12, 6)
    on_tiles = grn(tiles.pack(x), tiles)
    torch.testing.assert_close(tiles.pack(grn(x, masked)), on_tiles)
    assert not torch.allclose(tiles.pack(grn(x, None)), on_tiles)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_grn_of_large_values_in_half_precision_is_that_of_single(dtype: torch.dtype) -> None:
    grn = live_grn(40)
    x = (torch.randn(2, 56, 56, 40) * 1e3).to(dtype)  # a channel's squares sum to 3e9
    out, expected = grn(x, None), grn(x.float(), None)
    assert out.dtype == dtype
    assert out.isfinite().all()
    torch.testing.assert_close(out.float(), expected, rtol=torch.finfo(dtype).eps, atol=1e-2)


@pytest.mark.parametrize("shape", [(6,), (1, 6), (1, 1, 1, 6), (1, 1, 1, 1, 1, 6)])
def test_grn_loads_from_every_shape_in_which_it_was_ever_saved(shape: tuple[int, ...]) -> None:
    grn = GRN(6)
    gamma, beta = torch.randn(shape), torch.randn(shape)
    grn.load_state_dict({"gamma": gamma, "beta": beta})
    assert grn.gamma.shape == grn.beta.shape == (1, 1, 1, 6)
    assert torch.equal(grn.gamma.flatten(), gamma.flatten())
    assert torch.equal(grn.beta.flatten(), beta.flatten())


@pytest.mark.parametrize("shape", [(5,), (1, 7), (), (1, 1, 1, 12), (6, 1), (2, 3)])
def test_grn_of_another_width_or_layout_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError, match="size mismatch for gamma"):
        GRN(6).load_state_dict({"gamma": torch.zeros(shape), "beta": torch.zeros(6)})


def test_loading_leaves_the_given_file_as_it_was() -> None:
    block = Block(4)
    state = {
        name: value.flatten() if "grn" in name else value
        for name, value in block.state_dict().items()
    }
    block.load_state_dict(state)
    assert state["grn.gamma"].shape == (16,)


# Drop path


def test_drop_path_is_off_in_evaluation_and_at_rate_zero() -> None:
    x = torch.randn(5, 2, 2, 3)
    assert torch.equal(DropPath(0.9).eval()(x, None), x)
    assert torch.equal(DropPath(0.0)(x, None), x)


def test_drop_path_drops_whole_images_and_keeps_the_expectation() -> None:
    torch.manual_seed(0)
    out = DropPath(0.25)(torch.ones(20000, 2, 1, 3), None)
    of_image = out[:, 0, 0, 0]
    assert torch.equal(out, of_image.view(-1, 1, 1, 1).expand_as(out))
    assert torch.equal(of_image.unique(), torch.tensor([0, 1 / 0.75]))
    assert of_image.mean().item() == pytest.approx(1, abs=0.02)  # deviation 0.004


def test_drop_path_drops_all_tiles_of_an_image_together() -> None:
    tiles = Tiles.visible(torch.zeros(300, 2, 3, dtype=torch.bool))
    torch.manual_seed(0)
    out = DropPath(0.5)(torch.ones(1800, 4, 4, 2), tiles)
    of_image = out.view(300, -1)
    assert torch.equal(of_image, of_image[:, :1].expand_as(of_image))
    assert 100 < (of_image[:, 0] == 0).sum() < 200


def test_drop_path_grows_linearly_over_all_blocks() -> None:
    backbone = Backbone("convnextv2_atto", drop_path=0.22)
    rates = [module.rate for module in backbone.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.02 * block for block in range(12)])


def test_a_dropped_block_passes_its_input_on() -> None:
    block = Block(6, drop_path=0.999999)
    nn.init.normal_(block.pwconv2.bias)
    x = torch.randn(3, 4, 5, 6)
    torch.manual_seed(0)
    assert torch.equal(block.train()(x), x)
    assert not torch.equal(block.eval()(x), x)


# Blocks


@pytest.mark.parametrize("v2", [True, False])
def test_a_block_is_the_figures(v2: bool) -> None:
    block = Block(5, v2=v2).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 9, 6, 5, dtype=torch.float64)
    y = F.conv2d(x.permute(0, 3, 1, 2), block.dwconv.weight, block.dwconv.bias, padding=3, groups=5)
    y = F.layer_norm(y.permute(0, 2, 3, 1), (5,), block.norm.weight, block.norm.bias, eps=1e-6)
    y = F.gelu(F.linear(y, block.pwconv1.weight, block.pwconv1.bias))
    y = y if block.grn is None else block.grn(y, None)
    y = F.linear(y, block.pwconv2.weight, block.pwconv2.bias)
    y = y if block.gamma is None else block.gamma * y
    assert (block.grn is None, block.gamma is None) == (not v2, v2)
    torch.testing.assert_close(block(x), x + y)


def test_layer_scale_starts_at_a_millionth() -> None:
    gamma = Block(5, v2=False).gamma
    assert gamma is not None
    assert torch.equal(gamma, torch.full((5,), 1e-6))


def test_weights_start_with_deviation_two_hundredths_and_no_bias() -> None:
    torch.manual_seed(0)
    for layer in (nn.Linear(300, 300), nn.Conv2d(30, 60, 7)):
        initialise(layer)
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert not layer.bias.any()


def test_drop_path_takes_numbers_that_were_drawn_before() -> None:
    layer, x = DropPath(0.4).train(), torch.ones(3, 1, 2, 5)
    layer.drawn = torch.tensor([0.1, 0.4, 0.9])
    expected = torch.tensor([0.0, 1 / 0.6, 1 / 0.6]).view(3, 1, 1, 1).expand_as(x)
    torch.testing.assert_close(layer(x, None), expected)
    assert torch.equal(layer.eval()(x, None), x)
