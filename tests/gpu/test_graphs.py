import dataclasses
import json
from collections.abc import Callable

import interpreted
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from fcmae.benchmarks.pretraining.workload import Case, Workload
from fcmae.models.autoencoder import Autoencoder, create_autoencoder
from fcmae.models.masks import random_mask
from fcmae.ops.feed_forward.images import Images
from fcmae.ops.tiles import Tiles
from gpu.graphs import loss_of, places, static_loss, time_graph
from gpu.opponents import plain_operators

CPU = torch.device("cpu")
CASE = Case("convnextv2_atto", 64, 2, 0.5, "fp32")
GRID = (3, 2)
VISIBLE = 3 * 3  # of three images


def model_of(*, model: str = "convnextv2_atto", norm_pix: bool = True) -> Autoencoder:
    torch.manual_seed(0)
    made = create_autoencoder(model, in_channels=1, decoder_width=16, norm_pix=norm_pix).double()
    for name, value in made.named_parameters():
        if "grn" in name:
            torch.nn.init.normal_(value, std=0.5)
    return made


def images_of() -> Tensor:
    return torch.randn(3, 1, 96, 64, dtype=torch.float64)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("model", "norm_pix"), [("convnextv2_atto", True), ("convnext_atto", False)]
)
def test_loss_and_gradient_are_those_of_the_method(model: str, norm_pix: bool, plain: bool) -> None:
    autoencoder, images = model_of(model=model, norm_pix=norm_pix), images_of()
    parameters = list(autoencoder.parameters())
    for _ in range(2):  # with another mask too
        mask = random_mask(3, GRID, 0.5)
        usual = autoencoder(images, mask).loss
        with plain_operators(CPU if plain else torch.device("mps")):
            static = loss_of(autoencoder, images, mask, VISIBLE)
        found = [
            [loss.detach(), *torch.autograd.grad(loss, parameters)] for loss in (usual, static)
        ]
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12 * float(one.abs().max()))


def test_places_are_those_that_a_boolean_mask_has() -> None:
    mask = random_mask(3, GRID, 0.5)
    tiles, masked = places(mask, VISIBLE)
    usual = Tiles.visible(mask)
    assert tiles.grid == usual.grid
    assert torch.equal(tiles.index, usual.index)
    assert torch.equal(tiles.image, usual.image)
    assert torch.equal(masked, mask.flatten().nonzero().squeeze(1))


def test_no_shape_depends_on_what_a_tensor_holds() -> None:
    autoencoder, images, mask = model_of(), images_of(), random_mask(3, GRID, 0.5)
    with plain_operators(CPU), FakeTensorMode(allow_non_fake_inputs=True):
        loss_of(autoencoder, images, mask, VISIBLE).backward()
        with pytest.raises(DynamicOutputShapeException):
            autoencoder(images, mask)


def recorded(call: Callable[[Tensor], object]) -> Callable[[Tensor], object]:
    """Its operators as they were called with one mask: what was made before is a constant."""
    mask = random_mask(3, GRID, 0.5)
    call(mask)
    return make_fx(call)(mask)


def test_a_record_of_the_step_holds_for_other_masks() -> None:
    autoencoder, images = model_of(), images_of()

    def call(mask: Tensor) -> Tensor:
        return loss_of(autoencoder, images, mask, VISIBLE)

    with plain_operators(CPU):
        again = recorded(call)
        for _ in range(2):
            mask = random_mask(3, GRID, 0.5)
            torch.testing.assert_close(again(mask), call(mask))


def test_a_record_makes_the_tables_of_the_kernels_anew() -> None:
    kernels = interpreted.load("fcmae.ops.depthwise_conv.triton")

    def tables(mask: Tensor) -> list[Tensor]:
        tiles, _ = places(mask, VISIBLE)
        images = Images.of(torch.empty(VISIBLE, 4, 4, 1), tiles)
        return [*kernels._table(tiles, 3), images.starts, images.of_tile]

    again = recorded(tables)
    mask = random_mask(3, GRID, 0.5)
    usual = Tiles.visible(mask)
    images = Images.of(torch.empty(VISIBLE, 4, 4, 1), usual)
    expected = [*kernels._table(usual, 3), images.starts, images.of_tile]
    for one, other in zip(again(mask), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_workload_has_the_same_loss(precision: str) -> None:
    workload = Workload(dataclasses.replace(CASE, precision=precision), CPU)
    mask = workload.fresh_mask()
    usual, static = workload.loss(mask, "tiled"), static_loss(workload, mask)
    assert static.dtype == usual.dtype
    torch.testing.assert_close(static, usual, rtol=1e-5, atol=0)


def test_another_device_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="device 'cpu' has no CUDA graphs: use a CUDA device"):
        next(time_graph(CPU, **dataclasses.asdict(CASE)))


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # to be read, but no reason to know nothing else
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_gpu_replays_are_right(precision: str) -> None:
    case = dataclasses.replace(CASE, batch_size=8, image_size=96, precision=precision)
    rows = list(time_graph(torch.device("cuda"), **dataclasses.asdict(case), repeats=2, calls=2))
    assert json.loads(json.dumps(rows)) == rows
    assert [row["update"] for row in rows] == [True, False]
    for row in rows:
        assert row["agrees"], row["difference"]
        assert row["images_per_second"].keys() == {"eager", "static", "graph"}
        assert 0 < row["replay"] < 1
        assert row["memory"]["graph"] > 0
