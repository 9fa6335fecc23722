"""The method as a whole: what enters the loss, what is computed for it, and that it learns."""

import re

import naive
import pytest
import torch
from random_weights import randomise
from torch import Tensor, nn

from fcmae.models.autoencoder import Autoencoder, create_autoencoder
from fcmae.models.masks import enlarge, random_mask

RAGGED = torch.tensor([[[0, 1, 1], [1, 0, 1]], [[1, 1, 1], [1, 0, 1]]]) > 0  # 2 and 1 visible
MODES = ("tiled", "masked")


def few_blocks(model: str, **options: object) -> Autoencoder:
    """An autoencoder with one block a stage."""
    autoencoder = create_autoencoder(model, **options)  # type: ignore[arg-type]
    for stage in autoencoder.encoder.stages:
        del stage[1:]  # type: ignore[attr-defined]
    return autoencoder


def shallow(model: str = "convnextv2_atto", **options: object) -> Autoencoder:
    """The same with every parameter random, for cells of 8 pixels."""
    return randomise(few_blocks(model, **{"stem_stride": 1, "decoder_width": 16, **options}))


def gradients(loss: Tensor, module: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(module.parameters())))


def bits_equal(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one, other) and torch.equal(one.signbit(), other.signbit())


def by_loops(autoencoder: Autoencoder, images: Tensor, norm_pix: bool) -> tuple[Tensor, Tensor]:
    """Loss and prediction, cell by cell, from the paper's words; the mask is RAGGED."""
    decoder, side = autoencoder.decoder, autoencoder.patch_size
    places = [tuple(place) for place in torch.ones(RAGGED.shape).nonzero().tolist()]
    visible = iter(naive.encode(autoencoder.encoder, images, RAGGED))
    x = {
        place: decoder.mask_token if RAGGED[place] else decoder.proj(next(visible))
        for place in places
    }
    decoded = naive.block(x, decoder.blocks[0])  # type: ignore[arg-type]
    guesses = {place: decoder.pred(vector) for place, vector in decoded.items()}
    losses = []
    for image, row, column in places:
        if RAGGED[image, row, column]:
            rows, columns = (
                slice(row * side, (row + 1) * side),
                slice(column * side, (column + 1) * side),
            )
            target = images[image, :, rows, columns].permute(1, 2, 0).flatten()
            if norm_pix:
                target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
            losses.append((guesses[image, row, column] - target).square().mean())
    prediction = torch.stack([guesses[place] for place in places]).view(*RAGGED.shape, -1)
    return torch.stack(losses).mean(), prediction


@pytest.mark.parametrize(
    ("model", "in_channels", "norm_pix"),
    [("convnextv2_atto", 3, True), ("convnext_atto", 1, True), ("convnextv2_atto", 13, False)],
)
def test_the_loss_is_the_papers_from_pixels_to_mean_and_so_are_all_gradients(
    model: str, in_channels: int, norm_pix: bool
) -> None:
    autoencoder = shallow(model, in_channels=in_channels, norm_pix=norm_pix).double()
    images = torch.randn(2, in_channels, 16, 24, dtype=torch.float64)
    loss, prediction = by_loops(autoencoder, images, norm_pix)
    expected = gradients(loss, autoencoder)
    for mode in MODES:
        out = autoencoder(images, RAGGED, mode)
        torch.testing.assert_close(out.loss, loss, rtol=1e-11, atol=0)
        torch.testing.assert_close(out.prediction, prediction, rtol=1e-9, atol=1e-9)
        for one, other in zip(gradients(out.loss, autoencoder), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * float(other.abs().max()))


def test_only_what_enters_the_loss_is_predicted() -> None:
    autoencoder = shallow(in_channels=3)
    shapes = []
    autoencoder.decoder.pred.register_forward_hook(
        lambda module, given, out: shapes.append(tuple(out.shape))
    )
    out = autoencoder(torch.randn(2, 3, 16, 24), RAGGED)
    out.loss.backward()
    assert shapes == [(9, 8 * 8 * 3)]  # the masked cells
    assert out.prediction.shape == (2, 2, 3, 8 * 8 * 3)


def test_only_masked_pixels_are_targets() -> None:
    autoencoder = shallow(in_channels=2)
    nn.init.zeros_(autoencoder.decoder.pred.weight)  # a prediction that ignores what is seen
    images = torch.randn(2, 2, 16, 24)
    hidden = enlarge(RAGGED, 8).unsqueeze(1)
    loss = autoencoder(images, RAGGED).loss
    assert bits_equal(autoencoder(images.masked_fill(~hidden, 9.0), RAGGED).loss, loss)
    assert not bits_equal(autoencoder(images.masked_fill(hidden, 9.0), RAGGED).loss, loss)


@pytest.mark.parametrize("mode", MODES)
def test_masked_pixels_are_never_seen_by_the_prediction(mode: str) -> None:
    autoencoder = shallow(in_channels=2)
    images = torch.randn(2, 2, 16, 24)
    poisoned = images.masked_fill(enlarge(RAGGED, 8).unsqueeze(1), float("nan"))
    expected = autoencoder(images, RAGGED, mode).prediction
    assert bits_equal(autoencoder(poisoned, RAGGED, mode).prediction, expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_patch_of_several_cells_is_those_cells(mode: str) -> None:
    large, small = (shallow(in_channels=1, patch_size=size).double() for size in (16, 8))
    mask = random_mask(3, (2, 3), 0.5)
    images = torch.randn(3, 1, 32, 48, dtype=torch.float64)
    one, other = large(images, mask, mode), small(images, enlarge(mask, 2), mode)
    assert torch.equal(one.loss, other.loss)
    assert one.prediction.shape == (3, 4, 6, 64)


def test_the_papers_shapes_by_default() -> None:
    out = create_autoencoder()(torch.randn(1, 3, 64, 96), random_mask(1, (2, 3), 0.6))
    assert out.loss.shape == ()
    assert out.decoded.shape == (1, 2, 3, 512)
    assert out.prediction.shape == (1, 2, 3, 32 * 32 * 3)


def test_a_fresh_model_predicts_nothing_and_its_loss_is_one() -> None:
    torch.manual_seed(0)
    out = create_autoencoder("convnextv2_atto", in_channels=1)(
        torch.randn(2, 1, 64, 96), random_mask(2, (2, 3), 0.6)
    )
    assert out.loss.item() == pytest.approx(1, abs=0.1)  # the variance of a normalised target


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
@pytest.mark.parametrize("mode", MODES)
def test_every_parameter_learns(model: str, mode: str) -> None:
    autoencoder = randomise(create_autoencoder(model, in_channels=1, stem_stride=1))
    loss = autoencoder(torch.randn(1, 1, 24, 16), random_mask(1, (3, 2), 0.5), mode).loss
    for (name, _), gradient in zip(
        autoencoder.named_parameters(), gradients(loss, autoencoder), strict=True
    ):
        assert gradient.isfinite().all(), name
        assert gradient.any(), name


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_recomputing_blocks_changes_no_bit_of_loss_and_gradients(model: str) -> None:
    autoencoder = shallow(model).train()
    images = torch.randn(2, 3, 16, 24)
    results = []
    for recompute in (False, True):
        autoencoder.encoder.checkpoint_blocks = recompute
        loss = autoencoder(images, RAGGED).loss
        results.append([loss.detach(), *gradients(loss, autoencoder)])
    assert all(map(bits_equal, *results))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [1, 1e4])
def test_half_precision_is_near_single_even_for_large_pixels(mode: str, scale: float) -> None:
    autoencoder = shallow()
    images = torch.randn(2, 3, 16, 24) * scale
    expected = autoencoder(images, RAGGED, mode).loss
    with torch.autocast("cpu", torch.bfloat16):
        loss = autoencoder(images, RAGGED, mode).loss
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)
    assert all(gradient.isfinite().all() for gradient in gradients(loss, autoencoder))


@pytest.mark.parametrize(
    ("model", "mode"), [("convnextv2_atto", "tiled"), ("convnext_atto", "masked")]
)
def test_it_learns_one_batch_by_heart(model: str, mode: str) -> None:
    torch.manual_seed(0)
    autoencoder = few_blocks(model, stem_stride=1, in_channels=1, decoder_width=64)
    y, x = torch.meshgrid(torch.arange(24), torch.arange(16), indexing="ij")
    waves = [torch.sin(x / (1 + number) + y / 3) for number in range(3)]
    images, mask = torch.stack(waves).unsqueeze(1), random_mask(3, (3, 2), 0.6)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=3e-3, betas=(0.9, 0.95))
    losses = []
    for _ in range(40):
        loss = autoencoder(images, mask, mode).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(1, abs=0.1)
    assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize(
    ("height", "width", "words"),
    [
        (70, 96, "70 is not a multiple of the patch size 32; the nearest: 64 or 96"),
        (64, 100, "100 is not a multiple of the patch size 32; the nearest: 96 or 128"),
        (16, 64, "16 is not a multiple of the patch size 32; the nearest: 32"),
        (64, 0, "0 is not a multiple of the patch size 32; the nearest: 32"),
    ],
)
def test_an_image_that_is_not_whole_patches_is_refused(height: int, width: int, words: str) -> None:
    with torch.device("meta"):
        autoencoder = create_autoencoder()
    with pytest.raises(ValueError, match=re.escape(words)):
        autoencoder(torch.zeros(1, 3, height, width), torch.ones(1, 2, 3, dtype=torch.bool))


def test_the_grid_counts_patches() -> None:
    with torch.device("meta"):
        assert create_autoencoder(patch_size=64).grid(128, 192) == (2, 3)


def test_a_mask_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2 images of 2 x 3 patches need \[2, 2, 3\]"):
        shallow()(torch.zeros(2, 3, 16, 24), torch.ones(2, 4, 6, dtype=torch.bool))


@pytest.mark.parametrize(
    ("patch_size", "stem_stride", "words"),
    [
        (
            16,
            4,
            "patch_size 16 is not a multiple of the encoder's total stride 32 (8 x stem_stride): "
            "try 32",
        ),
        (
            24,
            2,
            "patch_size 24 is not a multiple of the encoder's total stride 16 (8 x stem_stride): "
            "try 16",
        ),
        (0, 1, "patch_size 0 is not a multiple"),
    ],
)
def test_a_patch_that_is_not_whole_cells_is_refused(
    patch_size: int, stem_stride: int, words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        create_autoencoder(patch_size=patch_size, stem_stride=stem_stride)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_autoencoder_compiles_into_one_graph_in_which_the_mask_may_change(mode: str) -> None:
    torch.compiler.reset()
    autoencoder = shallow().double()
    compiled = torch.compile(
        lambda images, mask: autoencoder(images, mask, mode).loss,
        fullgraph=True,
        backend="aot_eager",
    )
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    for mask in (RAGGED, ~RAGGED, random_mask(2, (2, 3), 0.5)):
        loss, expected = compiled(images, mask), autoencoder(images, mask, mode).loss
        torch.testing.assert_close(loss, expected, rtol=1e-11, atol=0)
        for one, other in zip(
            gradients(loss, autoencoder), gradients(expected, autoencoder), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * float(other.abs().max()))
