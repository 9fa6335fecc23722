import re

import pytest
import torch

from fcmae import create_model, list_models
from fcmae.optim import layer_ids, layer_scales

# The layer of each stage's first block and of the head, counted by hand along the network.
FIRST_LAYERS = {
    "convnextv2_atto": (1, 3, 5, 11, 13),
    "convnextv2_femto": (1, 3, 5, 11, 13),
    "convnextv2_pico": (1, 3, 5, 11, 13),
    "convnextv2_nano": (1, 3, 5, 13, 15),
    "convnextv2_tiny": (1, 4, 7, 16, 19),
    "convnextv2_base": (1, 4, 7, 34, 37),
    "convnextv2_large": (1, 4, 7, 34, 37),
    "convnextv2_huge": (1, 4, 7, 34, 37),
}
GROUPED = ["convnextv2_base", "convnextv2_large", "convnextv2_huge", "convnext_xlarge"]
# fmt: off
THIRD_STAGE = [
    3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7,
    8, 8, 8, 9, 9, 9, 10, 10, 10, 11, 11, 11,
]
# fmt: on


def names(model: str) -> set[str]:
    with torch.device("meta"):
        return set(create_model(model).state_dict())


@pytest.mark.parametrize("model", list_models())
def test_every_parameter_has_a_layer_and_nothing_else_has(model: str) -> None:
    assert layer_ids(model).keys() == names(model)


@pytest.mark.parametrize("model", FIRST_LAYERS)
def test_each_block_is_a_layer_and_shares_it_with_the_downsampling_before_it(model: str) -> None:
    *first, head = FIRST_LAYERS[model]
    expected = {}
    for name in names(model):
        if place := re.match(r"downsample_layers\.(\d)\.", name):
            expected[name] = first[int(place[1])]
        elif place := re.match(r"stages\.(\d)\.(\d+)\.", name):
            expected[name] = first[int(place[1])] + int(place[2])
        else:
            expected[name] = head
    assert layer_ids(model) == expected


@pytest.mark.parametrize("model", GROUPED)
def test_groups_hold_a_stage_or_three_blocks_of_the_third(model: str) -> None:
    expected = {}
    for name in names(model):
        if place := re.match(r"downsample_layers\.(\d)\.", name):
            expected[name] = (0, 2, 3, 12)[int(place[1])]
        elif place := re.match(r"stages\.2\.(\d+)\.", name):
            expected[name] = THIRD_STAGE[int(place[1])]
        elif place := re.match(r"stages\.(\d)\.", name):
            expected[name] = {"0": 1, "1": 2, "3": 12}[place[1]]
        else:
            expected[name] = 13
    assert layer_ids(model, "group") == expected


@pytest.mark.parametrize(
    ("model", "decay", "stem"),
    [
        ("convnextv2_atto", 0.9, 0.282429536481),  # 0.9 ** 12
        ("convnextv2_nano", 0.9, 0.22876792454961),  # 0.9 ** 14
        ("convnextv2_tiny", 0.9, 0.150094635296999),  # 0.9 ** 18
        ("convnextv2_huge", 0.75, 3.1781e-5),  # 0.75 ** 36
    ],
)
def test_scales_of_the_ends(model: str, decay: float, stem: float) -> None:
    scales = layer_scales(model, decay)
    assert scales["downsample_layers.0.0.weight"] == pytest.approx(stem, rel=1e-4)
    assert scales["stages.0.0.grn.gamma"] == scales["downsample_layers.0.0.weight"]
    assert scales["stages.3.1.pwconv2.bias"] == pytest.approx(
        decay if layer_count(model, stage=3) == 2 else decay**2
    )
    assert scales["norm.weight"] == scales["head.bias"] == 1


def layer_count(model: str, stage: int) -> int:
    return FIRST_LAYERS[model][stage + 1] - FIRST_LAYERS[model][stage]


def test_scales_of_groups() -> None:
    scales = layer_scales("convnextv2_base", 0.6, kind="group")
    assert scales["downsample_layers.0.1.bias"] == pytest.approx(1.306e-3, rel=1e-3)
    assert scales["stages.0.2.dwconv.weight"] == pytest.approx(2.177e-3, rel=1e-3)
    assert scales["stages.2.26.norm.weight"] == pytest.approx(0.36)
    assert scales["stages.3.0.norm.weight"] == scales["downsample_layers.3.1.weight"] == 0.6
    assert scales["head.weight"] == 1


@pytest.mark.parametrize("kind", ["layer", "group"])
def test_no_decay_leaves_all_rates_alone(kind: str) -> None:
    assert set(layer_scales("convnextv2_large", 1.0, kind).values()) == {1.0}


@pytest.mark.parametrize(
    ("model", "depth"), [("convnextv2_tiny", 9), ("convnext_atto", 6), ("convnextv2_nano", 8)]
)
def test_groups_are_refused_where_the_third_stage_is_shallow(model: str, depth: int) -> None:
    with pytest.raises(ValueError, match=rf"27 blocks .* {model} has {depth}: use kind 'layer'"):
        layer_scales(model, 0.6, "group")


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="unknown kind 'groups': did you mean 'group'"):
        layer_ids("convnextv2_base", "groups")
    with pytest.raises(ValueError, match="did you mean 'convnextv2_atto'"):
        layer_ids("convnextv2_ato")
    for decay in (0.0, -0.5, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"layer decay .* is not above 0 and at most 1"):
            layer_scales("convnextv2_atto", decay)
