"""Verdicts by the stated rule, on made-up rows."""

from collections.abc import Callable
from typing import Any

import pytest

from fcmae.report.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from fcmae.studies.reconstruction.claims import Comparison, by_setting, comparisons

SIZES = (1, 2, 4, 8, 16)
Value = Callable[[str, int, int], float]  # of encoder, mask size and seed


def rows(
    mse: Value = lambda encoder, size, _: size * (2 if encoder == "transformer" else 1),
    error: Value = lambda *_: 0.5,
    diversity: Value = lambda *_: 0.3,
    seeds: int = 3,
    encoders: tuple[str, ...] = ("convnext", "convnext-grn", "transformer"),
) -> list[dict[str, Any]]:
    return [
        {
            "encoder": encoder, "mask_size": size, "seed": seed,
            "mse": mse(encoder, size, seed) + 0.001 * seed,
            "top_5_error": error(encoder, size, seed) + 0.001 * seed,
            "diversity": diversity(encoder, size, seed) + 0.001 * seed,
        }
        for seed in range(seeds) for size in SIZES for encoder in encoders
    ]  # fmt: skip


def claim(found: list[dict[str, Any]], words: str) -> Comparison:
    (one,) = [claim for claim in comparisons(found) if words in claim.paper]
    return one


SMALLER, CORRELATED, DIVERSE, BETTER = "generally smaller", "the worse", "diverse", "better"


def smaller_at(ours: str, sizes: tuple[int, ...], larger: tuple[int, ...] = ()) -> Value:
    return lambda encoder, size, _: (
        0.5 + (encoder == ours) * ((size in larger) - (size in sizes)) / 10
    )


@pytest.mark.parametrize(
    ("smaller", "larger", "verdict"),
    [
        (SIZES, (), REPRODUCED),
        ((1, 2, 4), (8, 16), REPRODUCED),
        ((1, 2), (), UNDECIDED),
        ((1, 2), (4, 8), UNDECIDED),
        ((), (1, 2, 4), NOT_REPRODUCED),
        ((), (), UNDECIDED),
    ],
)
def test_generally_smaller_is_clearly_so_at_more_than_half(
    smaller: tuple[int, ...], larger: tuple[int, ...], verdict: str
) -> None:
    first = claim(rows(mse=smaller_at("convnext", smaller, larger)), SMALLER)
    assert first.verdict == verdict
    expected = f"below Transformer at {len(smaller)}, and clearly above at {len(larger)} of 5"
    assert expected in first.here
    second = claim(rows(error=smaller_at("convnext-grn", smaller, larger)), BETTER)
    assert second.verdict == verdict


def test_more_diverse_is_the_other_way_round() -> None:
    for smaller, larger, verdict in (((), SIZES, REPRODUCED), (SIZES, (), NOT_REPRODUCED)):
        found = rows(diversity=smaller_at("convnext-grn", smaller, larger))
        assert claim(found, DIVERSE).verdict == verdict


def test_a_difference_within_two_standard_errors_is_not_clear() -> None:
    noisy = rows(
        mse=lambda encoder, _, seed: (
            0.4 * seed * (encoder == "convnext") + 0.1 * (encoder == "transformer")
        )
    )
    assert claim(noisy, SMALLER).verdict == UNDECIDED


def test_one_seed_decides_nothing() -> None:
    found = comparisons(rows(error=lambda _, size, __: 1 / size, seeds=1))
    assert [claim.verdict for claim in found] == [UNDECIDED] * 4


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (lambda encoder, size, _: -size * (2 if encoder == "transformer" else 1), REPRODUCED),
        (lambda encoder, size, _: size * (2 if encoder == "transformer" else 1), NOT_REPRODUCED),
        (lambda _, size, seed: (size - 8) * (seed - 1), UNDECIDED),
    ],
)
def test_the_correlation_is_that_of_ranks_over_encoders_and_sizes(
    error: Value, verdict: str
) -> None:
    assert claim(rows(error=error), CORRELATED).verdict == verdict


def test_the_correlation_is_spearmans() -> None:
    # Ranks of MSE 1, 2, 4, 8, 16 against those of errors 3, 1, 2, 5, 4: 1 - 6 * 8 / 120 = 0.6.
    errors = dict(zip(SIZES, (3, 1, 2, 5, 4), strict=True))
    found = claim(rows(error=lambda _, size, __: errors[size]), CORRELATED)
    assert "ConvNeXt alone +0.60" in found.here


def test_claims_wait_for_their_encoders_and_unstable_settings_do_not_count() -> None:
    assert comparisons([]) == []
    assert len(comparisons(rows(encoders=("convnext-grn",)))) == 0
    assert comparisons(rows(encoders=("transformer",), error=lambda _, size, __: size)) == []
    pair = rows(encoders=("convnext", "transformer"), error=lambda _, size, __: size)
    assert [claim.verdict for claim in comparisons(pair)] == [REPRODUCED, NOT_REPRODUCED]
    broken = {
        "encoder": "convnext",
        "mask_size": 1,
        "seed": 9,
        "unstable": {"doing": "training", "step": 3},
    }
    assert comparisons([*rows(), broken]) == comparisons(rows())
    assert by_setting([*rows(), broken], "mse")["convnext"][1] == {0: 1.0, 1: 1.001, 2: 1.002}
