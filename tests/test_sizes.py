"""Every row counted again, by a library's counter and by hand, and held against the paper."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import fcmae
from fcmae.sizes import SIZES, Size, is_v2, size_of

RESOLUTIONS = (224, 384, 512)
LETTERS = {
    "A": "atto",
    "F": "femto",
    "P": "pico",
    "N": "nano",
    "T": "tiny",
    "B": "base",
    "L": "large",
    "X": "xlarge",
    "H": "huge",
}

# Tables 7 and 8: version and size, "#param", then "FLOPs" by resolution.
PRINTED = """
V1-A 3.7M 224:0.55G
V2-A 3.7M 224:0.55G
V1-F 5.2M 224:0.78G
V2-F 5.2M 224:0.78G
V1-P 9.1M 224:1.37G
V2-P 9.1M 224:1.37G
V1-N 15.6M 224:2.45G
V2-N 15.6M 224:2.45G 384:7.21G
V1-T 28.6M 224:4.47G 384:13.1G
V2-T 28.6M 224:4.47G 384:13.1G
V1-B 89M 224:15.4G 384:45.2G
V2-B 89M 224:15.4G 384:45.2G
V1-L 198M 224:34.4G 384:101.1G
V2-L 198M 224:34.4G 384:101.1G
V1-X 350M 224:60.9G 384:179.0G
V2-H 660M 224:115G 384:337.9G 512:600.8G
"""

# The paper gives both versions V2's parameters: V1-P has 20,608 fewer, which round to 9.0M.
OTHER_PARAMETERS = {"convnext_pico": "9.0M"}

# In these cells the paper's counter also gave each value of each LayerNorm five operations, and the
# last digit was cut, not rounded. Multiply-adds alone round to what stands here.
OTHER_FLOPS = {
    ("tiny", 224): "4.46G",
    ("nano", 384): "7.19G",
    ("base", 384): "45.1G",
    ("large", 384): "101.0G",
    ("huge", 384): "337.7G",
    ("huge", 512): "600.4G",
}


def printed() -> Iterator[tuple[str, str, dict[int, str]]]:
    for row in PRINTED.split("\n")[1:-1]:
        label, parameters, *flops = row.split()
        version = {"V1": "convnext", "V2": "convnextv2"}[label[:2]]
        cells = (cell.split(":") for cell in flops)
        yield f"{version}_{LETTERS[label[3]]}", parameters, {int(k): v for k, v in cells}


PAPER = list(printed())
PAPER_FLOPS = [(model, side, text) for model, _, cells in PAPER for side, text in cells.items()]


def rounded(value: float, like: str) -> str:
    """Print `value` with the unit and the decimals of `like`."""
    decimals = len(like[:-1].partition(".")[2])
    return f"{value / {'M': 1e6, 'G': 1e9}[like[-1]]:.{decimals}f}{like[-1]}"


def by_hand(size: Size, side: int) -> int:
    """Multiply-adds: each layer's sites times the weights that a site meets."""
    total, channels, stride = 0, 3, 4
    sites = side * side
    for depth, width in zip(size.depths, size.widths, strict=True):
        sites //= stride**2
        block = 7 * 7 * width + width * 4 * width + 4 * width * width
        total += sites * (stride**2 * channels * width + depth * block)
        channels, stride = width, 2
    return total + channels * 1000


def normalised(size: Size, side: int) -> int:
    """Values that pass a LayerNorm: of stem and blocks, before downsampling, before the head."""
    total = size.widths[-1]
    for stage, (depth, width) in enumerate(zip(size.depths, size.widths, strict=True)):
        norms = depth + (stage == 0) + (stage < 3)
        total += norms * width * (side // 4 >> stage) ** 2
    return total


@pytest.mark.parametrize("model", SIZES)
def test_every_row_is_what_the_model_has(model: str) -> None:
    with torch.device("meta"):
        network = fcmae.create_model(model)
    assert size_of(model).parameters == sum(value.numel() for value in network.parameters())
    for side, expected in zip(RESOLUTIONS, size_of(model).flops, strict=True):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, side, side, device="meta"))
        assert counter.get_total_flops() == 2 * expected  # the library counts both halves
        assert by_hand(size_of(model), side) == expected


@pytest.mark.parametrize("letter", "AFPNTBL")
def test_version_two_adds_grn_and_drops_layer_scale(letter: str) -> None:
    new, old = (size_of(f"{version}_{LETTERS[letter]}") for version in ("convnextv2", "convnext"))
    widths = sum(depth * width for depth, width in zip(new.depths, new.widths, strict=True))
    assert (new.depths, new.width, new.flops) == (old.depths, old.width, old.flops)
    assert new.parameters - old.parameters == (2 * 4 - 1) * widths


@pytest.mark.parametrize(("model", "text", "flops"), PAPER)
def test_parameters_are_the_papers(model: str, text: str, flops: object) -> None:
    assert rounded(size_of(model).parameters, text) == OTHER_PARAMETERS.get(model, text)


@pytest.mark.parametrize(("model", "side", "text"), PAPER_FLOPS)
def test_flops_are_the_papers(model: str, side: int, text: str) -> None:
    size = size_of(model)
    flops = size.flops[RESOLUTIONS.index(side)]
    other = OTHER_FLOPS.get((model.split("_")[1], side))
    assert rounded(flops, text) == (other or text)
    if other:
        scale = 10 ** len(text[:-1].partition(".")[2])
        with_norms = flops + 5 * normalised(size, side)
        assert math.floor(with_norms / 1e9 * scale) / scale == float(text[:-1])


def test_every_size_of_the_paper_is_listed_small_to_large() -> None:
    assert {model for model, *_ in PAPER} == set(SIZES) - {"convnext_small"}  # of the V1 paper
    for version in (False, True):
        rows = [row for model, row in SIZES.items() if is_v2(model) == version]
        assert rows == sorted(rows, key=lambda row: row.parameters)
    assert fcmae.list_models() == sorted(SIZES, key=is_v2)


def test_an_unknown_size_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'convnextv2_ato'.*'convnextv2_atto'"):
        size_of("convnextv2_ato")
