"""How much a channel answers to one class alone: against loops, and against what is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fcmae.probes.selectivity import (
    ClassMeans,
    activities,
    density,
    distance,
    selectivity_index,
)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 3, 5, 13), (2, 1, 1, 1), (3, 7, 2, 4)])
@pytest.mark.parametrize("activity", ["rectified", "absolute"])
def test_an_activity_is_a_mean_over_space(shape: tuple[int, ...], activity: str) -> None:
    x = noise(*shape)
    found = activities(x, activity)
    for image in range(shape[0]):
        for channel in range(shape[3]):
            values = x[image, :, :, channel].flatten().tolist()
            of = (lambda v: max(v, 0.0)) if activity == "rectified" else abs
            assert found[image, channel].item() == pytest.approx(sum(map(of, values)) / len(values))


def test_an_activity_of_half_precision_is_averaged_in_single() -> None:
    x = torch.full((1, 64, 64, 1), 1.0, dtype=torch.bfloat16)
    x[0, 0, 0, 0] = 2.0
    assert activities(x).item() == pytest.approx(1 + 1 / 4096, rel=1e-6)


def test_an_unknown_activity_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown activity 'rectify': did you mean 'rectified'"):
        activities(noise(1, 2, 2, 1), "rectify")


def test_means_are_those_of_each_class_whatever_the_batches() -> None:
    vectors, labels = noise(23, 5).abs(), torch.arange(23) % 3
    labels[7] = 4  # a class of one image; there is none of 3
    means = ClassMeans(num_classes=5, width=5)
    for rows in torch.arange(23).split([1, 13, 9]):
        means.add(vectors[rows], labels[rows])
    expected = torch.stack([vectors[labels == label].mean(0) for label in (0, 1, 2, 4)])
    assert means.counts.tolist() == [(labels == label).sum() for label in range(5)]
    torch.testing.assert_close(means.means(), expected)


def test_sums_of_many_images_lose_nothing() -> None:
    means = ClassMeans(num_classes=2, width=1)
    labels = torch.zeros(1000, dtype=torch.int64)
    for _ in range(100):
        means.add(torch.full((1000, 1), 0.1), labels)
    assert means.means().item() == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_index_is_its_definition(classes: int) -> None:
    means = noise(classes, 13).abs()
    for channel, index in enumerate(selectivity_index(means).tolist()):
        column = means[:, channel].tolist()
        best = max(range(classes), key=column.__getitem__)
        others = [value for place, value in enumerate(column) if place != best]
        rest = sum(others) / len(others)
        assert index == pytest.approx((column[best] - rest) / (column[best] + rest), abs=1e-12)


def test_the_index_goes_from_all_classes_to_one() -> None:
    means = torch.tensor([[2.0, 3.0, 0.0, 3.0], [2.0, 0.0, 0.0, 1.0], [2.0, 0.0, 0.0, 1.0]])
    index = selectivity_index(means)
    assert index.tolist()[:2] == [0.0, 1.0]
    assert index[2].isnan()  # silent
    assert index[3] == 0.5


def test_one_class_is_not_enough() -> None:
    with pytest.raises(
        ValueError, match="images of only 1 of its classes were read, and two or more"
    ):
        selectivity_index(torch.ones(1, 4))


def test_the_distance_is_how_far_a_distribution_is_moved() -> None:
    values = noise(50).numpy()
    assert distance(values, values[::-1]) == 0
    assert distance(values, values + 0.25) == pytest.approx(0.25)
    assert distance(np.repeat(values, 3), values) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("number", [1, 7, 40])
def test_the_distance_of_samples_of_one_size_pairs_them_in_order(number: int) -> None:
    one, other = noise(2, number).abs().numpy()
    expected = np.mean(np.abs(np.sort(one) - np.sort(other)))
    assert distance(one, other) == pytest.approx(expected, abs=1e-12)
    assert distance(other, one) == pytest.approx(expected, abs=1e-12)


def test_the_distance_of_samples_of_two_sizes_is_the_area_between_them() -> None:
    one, other = np.array([0.0, 1.0]), np.array([0.25])
    assert distance(one, other) == pytest.approx(0.5 * 0.25 + 0.5 * 0.75)


@pytest.mark.parametrize("number", [1, 5, 320])
def test_a_density_encloses_an_area_of_one_within_0_and_1(number: int) -> None:
    values = noise(number).abs().clamp(max=1).numpy()  # many at the edge
    places = np.linspace(0, 1, 2001)
    found = density(values, places)
    assert (found >= 0).all()
    assert np.trapezoid(found, places) == pytest.approx(1, abs=0.01)


def test_a_density_is_high_where_values_are() -> None:
    values = np.concatenate([np.full(30, 0.2), np.full(10, 0.8)])
    low, middle, high = density(values, np.array([0.2, 0.5, 0.8]))
    assert low > high > middle


def test_values_that_are_all_the_same_still_have_a_density() -> None:
    found = density(np.zeros(9), np.linspace(0, 1, 5))
    assert np.isfinite(found).all()
    assert found[0] > 1
    assert found[1:] == pytest.approx(0, abs=1e-9)
