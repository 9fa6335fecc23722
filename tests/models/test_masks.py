import re

import pytest
import torch

from fcmae.models.masks import check_mask, enlarge, num_visible, random_mask

RATIOS = [percent / 100 for percent in range(5, 100, 5)]


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_visible_are_counted_as_the_authors_count(ratio: float) -> None:
    for patches in range(2, 401):
        expected = int(patches * (1 - ratio))
        if 0 < expected < patches:
            assert num_visible(patches, ratio) == expected
        else:
            what = "visible" if expected == 0 else "masks none"
            words = rf"mask ratio {ratio} .*{what}.*(or use|lower|raise)"
            with pytest.raises(ValueError, match=words) as error:
                num_visible(patches, ratio)
            assert f"of the {patches} patches" in str(error.value)


@pytest.mark.parametrize(
    ("patches", "ratio", "visible"),
    [(49, 0.6, 19), (49, 0.9, 4), (64, 0.1, 57), (64, 0.9, 6), (144, 0.1, 129), (16, 0.9, 1)],
)
def test_known_counts_of_the_authors_code(patches: int, ratio: float, visible: int) -> None:
    assert num_visible(patches, ratio) == visible


def test_every_count_that_is_possible_is_drawn() -> None:
    for patches in range(2, 401, 7):
        for ratio in (0.05, 0.35, 0.6, 0.95):
            if 0 < int(patches * (1 - ratio)) < patches:
                mask = random_mask(2, (patches, 1), ratio)
                counted = (~mask).sum(dim=(1, 2)).tolist()
                assert counted == [int(patches * (1 - ratio))] * 2


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 60.0, float("nan")])
def test_a_ratio_that_is_no_share_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=f"mask ratio {ratio} is not between 0 and 1"):
        random_mask(1, (7, 7), ratio)


def test_one_patch_cannot_be_masked_in_part() -> None:
    with pytest.raises(ValueError, match="none of the 1 patches visible"):
        random_mask(3, (1, 1), 0.5)


def test_the_generator_decides_the_mask() -> None:
    first, again = (random_mask(3, (5, 4), 0.6, torch.Generator().manual_seed(7)) for _ in range(2))
    other = random_mask(3, (5, 4), 0.6, torch.Generator().manual_seed(8))
    assert first.dtype == torch.bool
    assert first.shape == (3, 5, 4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_given_generator_leaves_the_default_one_alone() -> None:
    state = torch.get_rng_state()
    random_mask(2, (7, 7), 0.6, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_images_get_different_masks_and_every_patch_its_turn() -> None:
    mask = random_mask(4000, (2, 3), 0.5, torch.Generator().manual_seed(0))
    assert len({tuple(one.flatten().tolist()) for one in mask}) == 20  # all choices of 3 among 6
    share = mask.float().mean(dim=0)  # each near 1 / 2, deviation 0.008
    assert (share - 0.5).abs().max() < 0.04


def test_enlarging_repeats_each_patch_as_a_square() -> None:
    mask = torch.tensor([[[True, False, True]]])
    fine = enlarge(mask, 3)
    assert fine.shape == (1, 3, 9)
    for row in range(3):
        for column in range(9):
            assert fine[0, row, column] == mask[0, row // 3, column // 3]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.zeros(2, 3, 4), "dtype torch.float32: it must be torch.bool"),
        (torch.zeros(2, 4, 3, dtype=torch.bool), "2 images of 3 x 4 patches need [2, 3, 4]"),
        (torch.zeros(1, 3, 4, dtype=torch.bool), "2 images of 3 x 4 patches need [2, 3, 4]"),
        (torch.zeros(3, 4, dtype=torch.bool), "mask has shape [3, 4]"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(mask: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        check_mask(mask, (3, 4), 2)
