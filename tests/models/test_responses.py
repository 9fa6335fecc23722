"""What may stand in GRN's place: each against its formula by hand, and in every mode."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from random_weights import randomise
from safetensors import safe_open
from torch import Tensor, nn

from fcmae.inference.load import load_backbone, load_classifier
from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.classifier import create_model
from fcmae.models.encoder import Encoder
from fcmae.models.layers import GRN, Block
from fcmae.models.masks import enlarge
from fcmae.models.responses import OTHERS, RESPONSES, BatchResponse, LocalResponse
from fcmae.ops.tiles import Tiles
from fcmae.optim import layer_scales, parameter_groups
from fcmae.weights import convert, load_weights, save_weights

RAGGED = torch.tensor([[[0, 1, 1], [1, 0, 0]], [[1, 1, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 0]]]) > 0
ATTO = "convnextv2_atto"


def live(response: str, channels: int) -> nn.Module:
    return randomise(OTHERS[response](channels)).double()


def small_encoder(response: str) -> Encoder:
    """An encoder of one block a stage, in double precision, none of whose branches is off."""
    encoder = Encoder(ATTO, in_channels=2, stem_stride=1, response=response)
    for stage in encoder.stages:
        del stage[1:]
    return randomise(encoder).double()


# Formulas, at one site or one image at a time


def by_layer(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return gamma * centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() + beta


def by_batch(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    centred = x - x.mean((0, 1, 2))
    return gamma * centred / (centred.square().mean((0, 1, 2)) + 1e-5).sqrt() + beta


def by_local(x: Tensor, *_: Tensor) -> Tensor:
    out = torch.empty_like(x)
    for i in range(x.shape[3]):
        near = x[..., max(i - 2, 0) : i + 3].square().sum(-1)
        out[..., i] = x[..., i] / (2 + 1e-4 * near) ** 0.75
    return out


def by_scale(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return gamma * x + beta + x


def by_aggregate(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    norms = torch.stack([image.flatten(0, 1).norm(dim=0) for image in x])[:, None, None]
    return gamma * x * norms + beta + x


def by_normalise(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return gamma * x * (x / (x.mean(-1, keepdim=True) + 1e-6)) + beta + x


FORMULAS: dict[str, Callable[..., Tensor]] = {
    "layer": by_layer,
    "batch": by_batch,
    "local": by_local,
    "scale": by_scale,
    "aggregate": by_aggregate,
    "normalise": by_normalise,
}


@pytest.mark.parametrize("response", list(OTHERS))
@pytest.mark.parametrize("shape", [(1, 5, 3, 13), (3, 2, 4, 1)])
def test_a_response_is_its_formula(response: str, shape: tuple[int, ...]) -> None:
    module = live(response, shape[3])
    x = 9 * torch.randn(shape, dtype=torch.float64)
    affine = [parameter.flatten() for parameter in module.parameters()]
    torch.testing.assert_close(module(x, None), FORMULAS[response](x, *affine), rtol=1e-9, atol=0)


@pytest.mark.parametrize("response", ["scale", "aggregate", "normalise"])
def test_table_9s_change_nothing_at_first_as_grn(response: str) -> None:
    x = torch.randn(2, 3, 3, 8)
    assert torch.equal(OTHERS[response](8)(x, None), x)


@pytest.mark.parametrize("response", list(OTHERS))
def test_a_response_sees_only_visible_sites_in_every_form(response: str) -> None:
    module, tiles = live(response, 6), Tiles.visible(RAGGED)
    masked = enlarge(RAGGED, 4).unsqueeze(-1)
    x = torch.randn(3, 8, 12, 6, dtype=torch.float64, requires_grad=True)
    inputs = [x, *module.parameters()]

    def results(out: Tensor) -> list[Tensor]:
        outer = torch.linspace(0, 9, out.numel(), dtype=out.dtype).view_as(out).cos()
        return [out, *torch.autograd.grad(out, inputs, outer)]

    expected = results(tiles.pack(module(x, masked)))
    for one, other in zip(results(module(tiles.pack(x), tiles)), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
    if response in ("batch", "aggregate"):
        assert not torch.allclose(tiles.pack(module(x, None)), expected[0])


@pytest.mark.parametrize("response", list(OTHERS))
def test_what_masked_sites_hold_is_of_no_matter(response: str) -> None:
    module, masked = live(response, 6), enlarge(RAGGED, 4).unsqueeze(-1)
    x = torch.randn(3, 8, 12, 6, dtype=torch.float64)

    def visible(x: Tensor) -> list[Tensor]:
        out = module(x, masked).masked_fill(masked, 0)
        return (
            [out, *torch.autograd.grad(out.sum(), list(module.parameters()))]
            if list(module.parameters())
            else [out]
        )

    expected = visible(x)
    for poison in (1e9, -1e9):
        for one, other in zip(visible(x.masked_fill(masked, poison)), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("training", [True, False])
def test_modes_of_the_encoder_agree_and_so_do_all_gradients(response: str, training: bool) -> None:
    encoder = small_encoder(response).train(training)
    images = torch.randn(3, 2, 16, 24, dtype=torch.float64, requires_grad=True)
    inputs = [images, *encoder.parameters()]

    def results(mode: str, mask: Tensor | None) -> list[Tensor]:
        out = encoder(images, mask, mode)
        outer = torch.linspace(0, 9, out.numel(), dtype=out.dtype).view_as(out).cos()
        return [out, *torch.autograd.grad(out, inputs, outer)]

    for mask, other in ((RAGGED, "masked"), (None, "dense")):
        for one, expected in zip(results("tiled", mask), results(other, mask), strict=True):
            scale = float(expected.detach().abs().max())
            assert scale > 0, "a gradient of zero would prove nothing"
            torch.testing.assert_close(one, expected, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("response", list(OTHERS))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_values_in_half_precision_are_those_of_single(
    response: str, dtype: torch.dtype
) -> None:
    module = randomise(OTHERS[response](40))
    if response == "aggregate":
        module.gamma.data /= 1e4  # or the result itself would be too large
    x = (torch.rand(2, 20, 20, 40) * 100 + 100).to(dtype)
    with torch.autocast("cpu", dtype):
        out = module(x, None)
    expected = module(x.float(), None)
    assert out.isfinite().all()
    torch.testing.assert_close(out.float(), expected, rtol=4 * torch.finfo(dtype).eps, atol=0.1)


# BatchNorm's statistics


def test_batch_remembers_what_visible_sites_were_like() -> None:
    module, masked = BatchResponse(5), enlarge(RAGGED, 2).unsqueeze(-1)
    x = 3 * torch.randn(3, 4, 6, 5) + 7
    seen = x[~masked[..., 0]]
    for _ in range(200):
        module(x.masked_fill(masked, 1e4), masked)
    torch.testing.assert_close(module.running_mean, seen.mean(0))
    torch.testing.assert_close(module.running_var, seen.var(0))
    module.eval()
    alone = module(x[:1], None)
    expected = (x[:1] - seen.mean(0)) / (seen.var(0) + 1e-5).sqrt()
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(module(torch.cat([x[:1], x[1:] * 9]), None)[:1], alone)


def test_batch_cannot_be_trained_on_one_site() -> None:
    with pytest.raises(ValueError, match="one visible site"):
        BatchResponse(3)(torch.randn(1, 1, 1, 3), None)
    BatchResponse(3).eval()(torch.randn(1, 1, 1, 3), None)


def test_local_has_nothing_to_learn() -> None:
    assert not list(LocalResponse(5).parameters())


# Models


def test_the_usual_block_stays_as_it_is() -> None:
    assert isinstance(Block(4).grn, GRN)
    assert isinstance(Block(4, response="grn").grn, GRN)
    assert Block(4)._is_plain()
    assert Block(4, response="none").grn is None
    assert Block(4, response="none").gamma is None
    assert Block(4, response="none")._is_plain()  # as V1's: no GRN to compute
    assert not Block(4, response="layer")._is_plain()


def test_the_decoder_keeps_grn() -> None:
    autoencoder = create_autoencoder(ATTO, stem_stride=1, decoder_width=8, response="scale")
    assert [type(block.grn) for block in autoencoder.decoder.blocks] == [GRN]
    kinds = {type(block.grn) for stage in autoencoder.encoder.stages for block in stage}
    assert kinds == {OTHERS["scale"]}


@pytest.mark.parametrize("response", RESPONSES)
def test_every_parameter_has_a_learning_rate_and_scales_do_not_decay(response: str) -> None:
    model = create_model(ATTO, num_classes=2, stem_stride=1, response=response)
    groups = parameter_groups(model, 0.1, scales=layer_scales(ATTO, 0.9))
    decayed = [name for group in groups if group["weight_decay"] for name in group["names"]]
    assert decayed
    assert not any(".grn." in name for name in decayed)


@pytest.mark.parametrize("response", RESPONSES)
def test_weights_say_what_stands_in_grns_place(tmp_path: Path, response: str) -> None:
    saved = randomise(create_model(ATTO, num_classes=5, stem_stride=1, response=response))
    saved(torch.randn(4, 3, 16, 16))  # moves running statistics
    path = tmp_path / "a.safetensors"
    save_weights(saved, path)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["fcmae"])["response"] == response

    classifier, _ = load_classifier(str(path))
    images = torch.randn(2, 3, 16, 24)
    torch.testing.assert_close(classifier(images), saved.eval()(images))
    assert load_backbone(str(path)).backbone.response == response

    into = create_model(ATTO, num_classes=5, stem_stride=1, response=response)
    load_weights(into, path)
    assert torch.equal(into.eval()(images), saved(images))
    for other in ("grn", "layer"):
        if other != response:
            words = f"of response {response}, the model of {other}"
            with pytest.raises(ValueError, match=words):
                load_weights(create_model(ATTO, stem_stride=1, response=other), path)
    if response != "grn":
        for dialect in ("timm", "transformers"):
            with pytest.raises(ValueError, match="have GRN, not response"):
                save_weights(saved, tmp_path / "b.safetensors", dialect=dialect)
            with pytest.raises(ValueError, match="have GRN, not response"):
                convert(path, tmp_path / "b.safetensors", dialect=dialect)
        assert not (tmp_path / "b.safetensors").exists()


@pytest.mark.parametrize(
    ("model", "response", "words"),
    [
        (ATTO, "normalize", "unknown response 'normalize': did you mean 'normalise'?"),
        ("convnext_atto", "layer", "response layer: convnext_atto has no GRN whose place"),
        ("convnext_atto", "none", "response none: convnext_atto has no GRN whose place"),
    ],
)
def test_a_response_that_cannot_be_had_is_refused(model: str, response: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Encoder(model, response=response)
