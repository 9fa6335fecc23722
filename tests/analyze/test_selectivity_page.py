"""Which blocks are drawn, and what the paper's statements come to, with made-up indices."""

import numpy as np
import pytest
import torch

from fcmae.analyze.selectivity_measure import Measured, in_numbers
from fcmae.analyze.selectivity_page import chosen, panels, says, table
from fcmae.analyze.selectivity_verdict import Apart, parting
from fcmae.findings.verdict import REPRODUCED, UNDECIDED
from fcmae.sizes import size_of

BLOCKS = ("stages.0.0", "stages.1.0", "stages.2.0")


def blocks_of(model: str) -> list[str]:
    depths = size_of(model).depths
    return [f"stages.{stage}.{number}" for stage in range(4) for number in range(depths[stage])]


def test_all_blocks_of_a_small_model_are_drawn() -> None:
    assert chosen(blocks_of("convnextv2_atto")) == blocks_of("convnextv2_atto")


@pytest.mark.parametrize(("model", "number"), [("convnextv2_nano", 9), ("convnextv2_base", 12)])
def test_of_a_larger_one_three_of_each_stage_are(model: str, number: int) -> None:
    drawn = chosen(blocks_of(model))
    assert len(drawn) == number
    last = size_of(model).depths[2] - 1
    assert [block for block in drawn if block.startswith("stages.2")] == [
        "stages.2.0",
        f"stages.2.{(last + 1) // 2}",
        f"stages.2.{last}",
    ]


def model_of(model: str, *means: float, chance: float = 0.01, spread: float = 0.05) -> Measured:
    """A thousand channels in each of three blocks, spread evenly around a mean."""
    indices, rows = {}, []
    for block, mean in zip(BLOCKS, means, strict=True):
        indices[block] = mean + spread * torch.linspace(-1, 1, 1000, dtype=torch.float64)
        rows.append(
            {
                "block": block,
                "label": model,
                "images": 9000,
                "classes": 10,
                "unreadable": 2,
                "mean_by_chance": chance,
                **in_numbers(indices[block]),
            }
        )
    return Measured(model, model, rows, indices)


def said(v1: Measured, v2: Measured) -> str:
    return " ".join(says([v2, v1]))  # in whatever order


def test_models_that_part_with_depth_are_as_in_the_paper() -> None:
    text = said(
        model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.31, 0.3, 0.16)
    )
    assert "part with depth: reproduced (distance 0.010 in the first 1 blocks, 0.140" in text
    assert "by chance 0.00" in text
    assert "generic channels in deep layers: reproduced (90% of V2’s" in text
    assert "Measured on 9,000 images of 10 classes (2 more could not be read)." in text


def test_models_that_come_together_are_not() -> None:
    text = said(
        model_of("convnext_atto", 0.3, 0.3, 0.19), model_of("convnextv2_atto", 0.2, 0.3, 0.22)
    )
    assert "part with depth: not reproduced" in text
    assert "generic channels in deep layers: not reproduced" in text


def test_models_that_differ_little_decide_nothing() -> None:
    text = said(
        model_of("convnext_atto", 0.2, 0.3, 0.2), model_of("convnextv2_atto", 0.201, 0.3, 0.2012)
    )
    assert "part with depth: not decidable" in text
    assert "generic channels in deep layers: not decidable" in text


def test_a_distance_that_does_not_grow_decides_nothing() -> None:
    """Few channels are far apart by chance in early blocks, many are not in deep ones."""
    assert parting(Apart(0.019, 0.024, 0.03), Apart(0.016, 0.009, 0.012)) == UNDECIDED
    assert parting(Apart(0.015, 0.024, 0.03), Apart(0.016, 0.009, 0.012)) == REPRODUCED


def test_the_same_twice_decides_nothing() -> None:
    v1, v2 = model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.3, 0.3, 0.3)
    assert "part with depth: not decidable" in said(v1, v2)


def test_draws_of_one_distribution_hardly_ever_decide_anything() -> None:
    generator = np.random.default_rng(3)
    v1, v2 = model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.3, 0.3, 0.3)
    undecided = 0
    for _ in range(20):
        for model in (v1, v2):
            for block, channels in zip(BLOCKS, (40, 160, 320), strict=True):
                drawn = torch.from_numpy(generator.uniform(0.1, 0.5, channels))
                model.indices[block] = drawn  # type: ignore[index]
        undecided += "part with depth: not decidable" in said(v1, v2)
    assert undecided >= 17


def test_models_that_are_far_apart_from_the_first_do_not_match_early() -> None:
    text = said(
        model_of("convnext_atto", 0.6, 0.3, 0.8), model_of("convnextv2_atto", 0.2, 0.3, 0.15)
    )
    assert "part with depth: not decidable at this scale (distance 0.400" in text


def test_so_few_images_that_chance_would_do_decide_nothing() -> None:
    text = said(
        model_of("convnext_atto", 0.3, 0.3, 0.3),
        model_of("convnextv2_atto", 0.3, 0.3, 0.1, chance=0.06),
    )
    assert "not decidable at this scale, with so few images a class" in text
    assert "part with depth" not in text


def test_silent_blocks_decide_nothing_and_are_not_drawn() -> None:
    v1, v2 = model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.3, 0.3, 0.3)
    nothing = torch.full((7,), torch.nan, dtype=torch.float64)
    v2.indices[BLOCKS[2]] = nothing  # type: ignore[index]
    v2.rows[2] |= in_numbers(nothing) | {"mean_by_chance": None}
    assert "not decidable at this scale: all channels of a block are silent" in said(v1, v2)
    assert [len(panel.series) for panel in panels([v1, v2])[0]] == [2, 2, 1]
    assert list(table([v1, v2]).rows[5])[1:] == ["7", "7", "", "", "", "", "", ""]


def test_silent_channels_count_as_nothing_else() -> None:
    index = torch.tensor([torch.nan, 0.1, 0.9, torch.nan, 0.3], dtype=torch.float64)
    assert in_numbers(index) == {
        "channels": 5,
        "silent": 2,
        "mean": pytest.approx(1.3 / 3),
        "median": pytest.approx(0.3),
        "below_0.2": pytest.approx(1 / 3),
        "above_0.5": pytest.approx(1 / 3),
    }
