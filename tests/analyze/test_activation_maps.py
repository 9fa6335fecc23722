"""`analyze activations`: which maps are drawn, and which channels say nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import MEAN, SIZE, STD, save_model

from fcmae.analyze import activations
from fcmae.analyze.activation_maps import (
    ChannelMaps,
    compare,
    idle_channels,
    mosaic,
    mosaics,
    summary,
)
from fcmae.analyze.models import AnalyzedModel
from fcmae.images import centre_crop, decode
from fcmae.inference.load import load_backbone
from fcmae.storage.atomic import save_tensors


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_channels_that_are_zero_or_constant_are_idle() -> None:
    x = noise(2, 3, 5, 6)
    x[..., 1] = 0
    x[..., 2] *= 0.003
    x[..., 3] = 4 + 0.1 * x[..., 3]
    x[..., 4] = -0.5
    dead, saturated = idle_channels(x)
    assert dead.tolist() == [False, True, True, False, False, False]
    assert saturated.tolist() == [False, False, False, True, True, False]


def test_the_limits_of_idle_channels_are_as_stated() -> None:
    x = noise(1, 7, 9, 3)
    whole = x.square().mean()
    for factor, is_dead in ((0.0099, True), (0.0101, False)):
        root = (factor**2 * whole / x[..., 0].square().mean()).sqrt()
        y = torch.stack([root * x[..., 0], x[..., 1], x[..., 2]], 3)
        y[..., 1:] *= (
            (3 * whole - y[..., 0].square().mean()) / y[..., 1:].square().mean() / 2
        ) ** 0.5
        dead, _ = idle_channels(y)
        assert dead.tolist() == [is_dead, False, False]
    for ratio, is_saturated in ((0.099, True), (0.101, False)):
        one = x[..., 0] - x[..., 0].mean()
        one = one / one.square().mean().sqrt() * ratio + (1 - ratio**2) ** 0.5  # root mean square 1
        y = torch.stack([one, x[..., 1]], 3)
        _, saturated = idle_channels(y)
        assert saturated.tolist() == [is_saturated, False]


def test_dead_for_one_image_is_not_dead() -> None:
    x = noise(2, 3, 5, 2)
    x[0, ..., 1] = 0
    dead, _ = idle_channels(x)
    assert not dead.any()


def test_all_zero_is_dead() -> None:
    dead, saturated = idle_channels(torch.zeros(1, 2, 2, 3))
    assert dead.all()
    assert not saturated.any()


def test_maps_stand_row_by_row() -> None:
    maps = torch.arange(5.0).expand(2, 3, 5)  # of 2 x 3 sites, each of one value
    picture = mosaic(maps, (0.0, 4.0))
    rows, columns = 3, 2  # which comes closest to a square
    assert picture.pixels.shape == (rows * 3 - 1, columns * 4 - 1)
    assert picture.pixels[0, 0] == 0
    assert picture.pixels[1, 6] == 1
    assert picture.pixels[3, 0] == 2
    assert picture.pixels[7, 2] == 4
    empty = torch.tensor(picture.pixels).isnan()
    assert empty.sum() == empty.numel() - 5 * 2 * 3
    assert empty[2].all()
    assert empty[:, 3].all()


def test_maps_of_channels_at_even_distances_share_their_colours() -> None:
    maps = noise(2, 3, 4, 10).float()
    one, other = mosaics(maps, 4)
    assert one.limits == other.limits
    expected = mosaic(maps[0][..., [0, 2, 5, 7]], one.limits)
    assert torch.equal(
        torch.tensor(one.pixels).nan_to_num(9), torch.tensor(expected.pixels).nan_to_num(9)
    )
    values = maps[..., [0, 2, 5, 7]].flatten().double()
    assert one.limits == pytest.approx(
        values.quantile(torch.tensor([0.01, 0.99]).double()).tolist()
    )


def by_hand(weights: str, path: Path, block: str) -> torch.Tensor:
    """What enters a block's last linear layer for one image, [h, w, 4 C]."""
    backbone = load_backbone(weights).backbone
    found = []
    part = backbone.get_submodule(f"{block}.pwconv2")
    part.register_forward_pre_hook(lambda _module, inputs: found.append(inputs[0][0]))
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    backbone.features(((centre_crop(decode(path, 3), SIZE) - mean) / std)[None])
    return found[0]


@pytest.mark.parametrize("block", [None, "3.1", "stages.0.1"])
def test_what_is_counted_is_of_all_images_and_channels(
    tmp_path: Path, data: Path, v1: str, v2: str, block: str | None
) -> None:
    paths = sorted(data.glob("val/*/*.png"))[:2]
    out, files = tmp_path / "out", tuple(map(str, paths))
    page = activations(weights=(v1, v2), images=files, block=block, out=out, device="cpu")
    rows = json.loads((out / "results.json").read_text())["rows"]
    name = f"stages.{(block or '2.5').removeprefix('stages.')}"
    for weights, row in zip((v1, v2), rows, strict=True):
        maps = torch.stack([by_hand(weights, path, name) for path in paths])
        dead, saturated = idle_channels(maps)
        assert row["channels"] == maps.shape[3]
        assert row["dead"] == pytest.approx(int(dead.sum()), abs=1)
        assert row["saturated"] == pytest.approx(int(saturated.sum()), abs=1)
    assert f"Activations of {name}" in page.read_text()
    assert (out / "figure.png").stat().st_size > 10_000


def test_images_of_a_folder_are_taken_at_even_distances(
    tmp_path: Path, data: Path, v2: str
) -> None:
    out = tmp_path / "out"
    activations(weights=(v2,), data=str(data), num_images=2, out=out, channels=7, device="cpu")
    (row,) = json.loads((out / "results.json").read_text())["rows"]
    assert row["settings"]["images"] == ["val/ant/3.png", "val/bee/7.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": "2.6"}, r"unknown block of two.safetensors \(convnextv2_atto\) '2.6'"),
        ({"block": "last"}, "unknown block"),
        ({"channels": 0}, "channels 0: at least 1"),
        ({"num_images": 0}, "num_images 0: at least 1"),
        ({"data": None}, "images, data: give one of the two"),
        ({"images": ("a.png",)}, "images, data: give one of the two"),
        ({"data": None, "images": ("a.png",)}, "images: 'a.png' does not exist"),
        ({"tensor": "output"}, "unknown tensor 'output'"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, data: Path, v2: str, options: dict[str, Any], words: str
) -> None:
    given = {"weights": (v2,), "data": str(data), "out": tmp_path / "out", "device": "cpu"}
    with pytest.raises(ValueError, match=words):
        activations(**given | options)


def test_an_image_that_is_named_must_be_readable(tmp_path: Path, v2: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"images: .*broken.png: .*: leave it out"):
        activations(weights=(v2,), images=(str(tmp_path / "broken.png"),), out=tmp_path / "out")


def test_values_that_are_no_numbers_are_refused(tmp_path: Path, data: Path) -> None:
    path = save_model(tmp_path / "huge.safetensors", "convnextv2_atto")
    state = load_backbone(str(path)).backbone.state_dict()
    state["stages.2.5.pwconv1.weight"] *= 1e38
    described = {"image_size": SIZE, "mean": MEAN, "std": STD}
    save_tensors(path, state, described)
    with pytest.raises(ValueError, match=r"stages\.2\.5 of huge\.safetensors has values that"):
        activations(weights=(str(path),), data=str(data), out=tmp_path / "out", device="cpu")


# What is said, with made-up counts


def counted(model: str, dead: int, saturated: int, images: int = 2) -> ChannelMaps:
    row = {"channels": 640, "dead": dead, "saturated": saturated}
    maps = torch.zeros(images, 4, 4, 1)
    return ChannelMaps(AnalyzedModel(model, model, model, ""), maps, row)


@pytest.mark.parametrize(
    ("v1", "v2", "verdict"),
    [
        ((90, 30), (10, 0), "reproduced (2 % against 19 %)"),
        ((0, 10), (60, 60), "not reproduced"),
        ((3, 2), (2, 2), "not decidable"),
        ((0, 0), (0, 0), "not decidable"),
    ],
)
def test_fewer_idle_channels_count_beyond_two_standard_errors(
    v1: tuple[int, int], v2: tuple[int, int], verdict: str
) -> None:
    results = counted("convnext_atto", *v1), counted("convnextv2_atto", *v2)
    assert f"channels than V1: {verdict}" in compare(*results)[0]
    assert f"{v1[0]} of 640 channels are dead and {v1[1]} saturated" in summary(results)


def test_one_image_decides_nothing() -> None:
    sentences = compare(counted("convnext_atto", 300, 0, 1), counted("convnextv2_atto", 0, 0, 1))
    assert "not decidable" in sentences[0]
