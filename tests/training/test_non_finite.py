"""Where a loss stops being a number: the layer that it begins in, and the images that cause it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import fcmae
from fcmae.training.non_finite import diagnose, first_non_finite, in_words

CHANNELS, SIZE = 13, (2, 3)


class Wrong(nn.Module):
    """Gives `value` where its input is above `limit`."""

    def __init__(self, value: float = math.nan, limit: float = 100.0) -> None:
        super().__init__()
        self.value, self.limit = value, limit

    def forward(self, x: Tensor) -> Tensor:
        return x.masked_fill(x > self.limit, self.value)


def network(**wrong: nn.Module) -> nn.Module:
    """Four layers with names, some of which may be wrong."""
    module = nn.Sequential()
    for name in ("stem", "stage", "norm", "head"):
        module.add_module(name, wrong.get(name, nn.Identity()))
    return module


def part(*brightness: float, first: int = 0) -> tuple[Tensor, Tensor, list[str]]:
    """A micro-batch of images that are evenly bright."""
    values = torch.tensor(brightness).view(-1, 1, 1, 1)
    names = [f"{first + i}.png" for i in range(len(brightness))]
    return values.expand(-1, CHANNELS, *SIZE), torch.zeros(len(brightness), 1, 1).bool(), names


def loss_of(module: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(images: Tensor, mask: Tensor) -> Tensor:
        assert len(images) == len(mask) == 1
        return module(images).mean()

    return loss


# The layer


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["stem", "norm", "head"])
def test_the_first_layer_that_gives_no_number_is_named(name: str, value: float) -> None:
    module = network(**{name: Wrong(value)})
    assert first_non_finite(module, lambda: module(torch.full((1, 1), 200.0))) == name


def test_a_sound_pass_names_no_layer() -> None:
    module = network(norm=Wrong())
    assert first_non_finite(module, lambda: module(torch.ones(1, 1))) is None


def test_the_innermost_layer_is_named() -> None:
    module = network(stage=nn.Sequential(nn.Identity(), nn.Sequential(Wrong())))
    assert first_non_finite(module, lambda: module(torch.full((1, 1), 200.0))) == "stage.1.0"


def test_the_order_is_that_of_the_pass_not_of_the_names() -> None:
    module = network(stem=Wrong(), head=Wrong())
    images = torch.full((1, 1), 200.0)

    def backwards() -> None:
        for layer in reversed(list(module)):
            layer(images)

    assert first_non_finite(module, backwards) == "head"


def test_a_pass_that_fails_leaves_no_watch_behind() -> None:
    module = network(norm=Wrong())

    def failing() -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        first_non_finite(module, failing)
    assert not any(layer._forward_hooks for layer in module.modules())


# The images


@pytest.mark.parametrize("bad", [[0], [2], [0, 1], [1, 3, 4], [0, 1, 2, 3, 4]])
def test_every_image_that_causes_it_is_named_and_no_other(bad: list[int]) -> None:
    module = network(norm=Wrong())
    bright = [200.0 if i in bad else float(i) for i in range(5)]
    parts = [part(*bright[:2]), part(*bright[2:], first=2)]
    found = diagnose(module, parts, loss_of(module))
    assert found == {"layer": "norm", "images": [f"{i}.png" for i in bad]}


def test_a_gradient_that_overflowed_is_no_images_fault() -> None:
    module = network()
    assert diagnose(module, [part(1.0, 2.0)], loss_of(module)) == {"layer": None, "images": []}


def test_a_loss_may_break_behind_the_last_layer() -> None:
    module = network()
    found = diagnose(
        module, [part(1.0, 2.0)], lambda images, mask: module(images).mean() * math.inf
    )
    assert found == {"layer": None, "images": ["0.png", "1.png"]}


def test_the_layer_is_that_of_the_first_bad_image() -> None:
    module = network(stem=Wrong(limit=300.0), head=Wrong(limit=100.0))
    found = diagnose(module, [part(1.0, 200.0, 400.0)], loss_of(module))
    assert found == {"layer": "head", "images": ["1.png", "2.png"]}


def test_each_image_has_its_own_mask() -> None:
    module, seen = network(), []

    def loss(images: Tensor, mask: Tensor) -> Tensor:
        seen.append(mask.clone())
        return module(images).mean()

    images, _, names = part(1.0, 2.0, 3.0)
    masks = torch.tensor([[[True, False]], [[False, True]], [[True, True]]])
    diagnose(module, [(images, masks, names)], loss)
    assert torch.equal(torch.cat(seen), masks)


def test_it_is_said_in_a_line() -> None:
    found = {"what": "step 3: the loss is nan", "layer": "norm", "images": list("abcdefg")}
    assert in_words(found) == (
        "step 3: the loss is nan; first layer that is not finite: norm; images: a, b, c, d, e ..."
    )
    line = in_words({**found, "layer": None, "images": []})
    assert line.endswith("none, the gradient overflowed; images: none by itself")


# The real model


def test_a_layer_of_the_autoencoder_is_named_as_in_its_weights() -> None:
    model = fcmae.create_autoencoder("convnextv2_atto", in_channels=1, stem_stride=1)
    name = "encoder.stages.1.0.norm"
    model.get_parameter(f"{name}.weight").data[3] = math.nan
    images = torch.rand(2, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    mask = fcmae.random_mask(2, (2, 3), generator=torch.Generator().manual_seed(0))

    def loss(images: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            return model(images, mask).loss

    found = diagnose(model, [(images, mask, ["a.png", "b.png"])], loss)
    assert found == {"layer": name, "images": ["a.png", "b.png"]}


def test_an_image_with_a_pixel_that_is_no_number_is_found() -> None:
    model = fcmae.create_autoencoder("convnext_atto", in_channels=2, stem_stride=1)
    images = torch.rand(3, 2, 16, 24, generator=torch.Generator().manual_seed(0))
    images[1, 0, 5, 7] = math.inf
    mask = fcmae.random_mask(3, (2, 3), generator=torch.Generator().manual_seed(0))
    mask[1] = True
    mask[1, 0, 0] = False  # the pixel is visible

    def loss(images: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            return model(images, mask).loss

    found = diagnose(model, [(images, mask, ["a", "b", "c"])], loss)
    assert found == {"layer": "encoder.downsample_layers.0.0", "images": ["b"]}
