"""Looks at the model as it learns: which images, and what is drawn."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import fcmae
from fcmae.images import Decoded, ImageSet, Unreadable
from fcmae.images.fixed_images import choose, show
from fcmae.images.pixels import Shrinkage, whole
from fcmae.models.autoencoder import Autoencoder
from fcmae.models.masks import enlarge
from fcmae.pretraining import reconstructions
from fcmae.pretraining.reconstructions import Reconstructions, epochs_to_observe
from fcmae.probes.blocks import diversity

# When


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1, {0, 1}),
        (2, {0, 1, 2}),
        (8, {0, 1, 2, 4, 8}),
        (800, {0, 25, 50, 100, 200, 400, 800}),
    ],
)
def test_looks_come_closer_together_towards_the_start(epochs: int, expected: set[int]) -> None:
    assert epochs_to_observe(epochs) == expected


@pytest.mark.parametrize("epochs", [1, 3, 13, 1600])
def test_there_is_a_look_before_and_one_after_training(epochs: int) -> None:
    assert {0, epochs} <= epochs_to_observe(epochs)
    assert max(epochs_to_observe(epochs)) == epochs


# The images


class Images:
    """Pictures in memory; some of them cannot be read. `read` is what was asked for."""

    def __init__(self, number: int, unreadable: Sequence[int] = ()) -> None:
        self.number, self.unreadable = number, unreadable

    def __len__(self) -> int:
        return self.number

    def name(self, index: int) -> str:
        return f"{index}.png"

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        if index in self.unreadable:
            raise Unreadable(self.name(index), "empty file")
        generator = torch.Generator().manual_seed(index)
        return Decoded(torch.rand(channels, 40 + index % 7, 60, generator=generator))

    def target(self, index: int) -> None:
        return None


def chosen(number: int, unreadable: Sequence[int] = ()) -> list[int]:
    names, pictures = choose(Images(number, unreadable), 13, (16, 24))
    assert [tuple(picture.shape) for picture in pictures] == [(13, 16, 24)] * len(names)
    return [int(name.removesuffix(".png")) for name in names]


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, [0]), (4, [0, 1, 2, 3]), (6, [0, 1, 2, 3, 4, 5]), (600, [0, 100, 200, 300, 400, 500])],
)
def test_images_are_taken_at_even_distances(number: int, expected: list[int]) -> None:
    assert chosen(number) == expected


@pytest.mark.parametrize(
    ("number", "unreadable", "expected"),
    [
        (600, [100, 101, 300], [0, 102, 200, 301, 400, 500]),
        (600, range(100, 105), [0, 200, 300, 400, 500]),  # not a search without an end
        (6, [0, 2], [1, 3, 4, 5]),
        (7, [0], [1, 2, 3, 4, 5, 6]),
        (3, [2], [0, 1]),
    ],
)
def test_unreadable_images_are_passed_over_and_none_is_taken_twice(
    number: int, unreadable: Sequence[int], expected: list[int]
) -> None:
    taken = chosen(number, unreadable)
    assert len(set(taken)) == len(taken)
    assert taken == expected


def test_if_no_image_can_be_read_the_data_is_at_fault() -> None:
    with pytest.raises(ValueError, match=r"(?s)data: none of the 3 images.*0\.png: empty file"):
        choose(Images(3, unreadable=range(3)), 3, (16, 16))


# One picture


def test_three_channels_are_red_green_and_blue() -> None:
    picture = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1).expand(3, 2, 5)
    image = show(picture)
    assert (image.mode, image.size) == ("RGB", (5, 2))
    assert image.getpixel((4, 1)) == (0, 128, 255)


@pytest.mark.parametrize("channels", [1, 2])
def test_one_or_two_channels_are_grey(channels: int) -> None:
    picture = torch.full((channels, 2, 5), 0.2)
    picture[1:] = 0.9
    image = show(picture)
    assert (image.mode, image.size) == ("L", (5, 2))
    assert image.getpixel((0, 0)) == 51


def test_of_thirteen_channels_the_first_three_are_shown() -> None:
    picture = torch.linspace(0, 1.2, 13).view(13, 1, 1).expand(13, 2, 5)
    assert show(picture).getpixel((0, 0)) == show(picture[:3]).getpixel((0, 0))


def test_values_beyond_black_and_white_do_not_wrap_around() -> None:
    assert show(torch.tensor([[[-0.5, 1.5]]])).tobytes() == b"\x00\xff"


# Looks

MEAN, STD = 0.4, 0.25
SIZE, PATCH = (32, 48), 16


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The pictures [C, H, W] as they are drawn, before they are compressed."""
    drawn: list[Tensor] = []

    def record(picture: Tensor) -> Image.Image:
        drawn.append(picture)
        return show(picture)

    monkeypatch.setattr(reconstructions, "show", record)
    return drawn


def autoencoder(channels: int, *, norm_pix: bool = True) -> Autoencoder:
    torch.manual_seed(0)
    return fcmae.create_autoencoder(
        "convnextv2_atto",
        in_channels=channels,
        stem_stride=1,
        patch_size=PATCH,
        decoder_width=8,
        norm_pix=norm_pix,
    )


def fixed(run: Path, channels: int, images: ImageSet[object]) -> Reconstructions:
    return Reconstructions(
        run,
        choose(images, channels, SIZE),
        mean=(MEAN,) * channels,
        std=(STD,) * channels,
        mask_ratio=0.6,
        patch_size=PATCH,
    )


@pytest.mark.parametrize(("channels", "norm_pix"), [(1, True), (2, False), (13, True)])
def test_visible_patches_are_as_they_were_and_masked_ones_as_predicted(
    tmp_path: Path, drawn: list[Tensor], channels: int, norm_pix: bool
) -> None:
    model = autoencoder(channels, norm_pix=norm_pix).eval()
    look = fixed(tmp_path, channels, Images(3))
    look.observe(model, epoch=0)
    inputs, masked, epoch = (torch.stack(drawn[i : i + 3]) for i in (0, 3, 6))
    assert torch.equal(inputs, look.pictures)
    hidden = enlarge(look.mask, PATCH).unsqueeze(1).expand_as(inputs)
    assert hidden[:, 0].flatten(1).float().mean(1).tolist() == pytest.approx([4 / 6] * 3)

    assert torch.equal(masked[~hidden], inputs[~hidden])
    assert (masked[hidden] == 0.5).all()
    torch.testing.assert_close(epoch[~hidden], inputs[~hidden], rtol=0, atol=2e-7)

    # The masked ones by the definition of the target, cell by cell of 8 x 8 pixels.
    with torch.no_grad():
        prediction = model((inputs - MEAN) / STD, look.mask).prediction  # [B, 4, 6, 8 * 8 * C]
    for image, row, column in itertools.product(range(3), range(4), range(6)):
        if not look.mask[image, row // 2, column // 2]:
            continue
        cell = (image, slice(None), slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
        pixels = prediction[image, row, column].view(8, 8, channels).permute(2, 0, 1)
        truth = (inputs[cell] - MEAN) / STD
        if norm_pix:
            pixels = pixels * (truth.var() + 1e-6).sqrt() + truth.mean()
        torch.testing.assert_close(epoch[cell], pixels * STD + MEAN, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_look_draws_inputs_and_masks_too(tmp_path: Path, channels: int) -> None:
    look = fixed(tmp_path, channels, Images(2))
    model = autoencoder(channels)
    look.observe(model, epoch=0)
    look.observe(model, epoch=12)
    kinds = ("input", "masked", "epoch-0000", "epoch-0012")
    pictures = tmp_path / "reconstructions"
    expected = {f"{kind}-{i}.webp" for kind in kinds for i in range(2)} | {"images.json"}
    assert {path.name for path in pictures.iterdir()} == expected
    assert json.loads((pictures / "images.json").read_text()) == [
        {"name": "0.png"},
        {"name": "1.png"},
    ]
    with Image.open(pictures / "epoch-0012-1.webp") as image:
        assert image.size == (SIZE[1], SIZE[0])
    with Image.open(pictures / "masked-0.webp") as image:
        grey = np.asarray(image.convert("L"))[enlarge(look.mask, PATCH)[0].numpy()]
    assert abs(float(grey.mean()) - 127.5) < 4  # compressed


def test_a_run_always_looks_at_the_same_patches_of_the_same_images(tmp_path: Path) -> None:
    one = fixed(tmp_path, 3, Images(9))
    torch.rand(5)  # whatever else is drawn
    other = fixed(tmp_path, 3, Images(9))
    assert one.names == other.names
    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.pictures, other.pictures)


def test_the_metrics_get_the_distance_of_every_block(tmp_path: Path) -> None:
    model = autoencoder(1)
    look = fixed(tmp_path, 1, Images(3))
    metrics = json.loads(json.dumps(look.observe(model, epoch=1)))
    with torch.no_grad():
        distances = diversity(model.encoder, (look.pictures - MEAN) / STD)
    assert metrics["diversity"] == [{"block": b, "distance": d} for b, d in distances.items()]
    assert all(0 <= line["distance"] <= 1 for line in metrics["diversity"])


@pytest.mark.parametrize("training", [True, False])
def test_looking_changes_nothing(tmp_path: Path, training: bool) -> None:
    model = autoencoder(3).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    fixed(tmp_path, 3, Images(1)).observe(model, epoch=0)
    assert model.training == training
    assert all(part.training == training for part in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
