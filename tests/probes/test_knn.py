"""Nearest neighbours against a loop over pairs of images."""

import math

import pytest
import torch
from torch import Tensor

from fcmae.probes import Features, knn, nearest_neighbours


def features(values: Tensor, classes: int) -> Features:
    numbers = torch.arange(len(values))
    return Features(values, numbers * 7 % classes, numbers)


def votes_by_hand(train: Features, query: Tensor, classes: int, k: int) -> list[float]:
    near = []
    for row, value in enumerate(train.values.double()):
        cosine = (value @ query.double()) / (value.norm() * query.double().norm())
        near.append((-cosine.item(), row))
    votes = [0.0] * classes
    for cosine, row in sorted(near)[:k]:
        votes[train.labels[row]] += math.exp(-cosine / 0.07)
    return [vote / sum(votes) or -math.inf for vote in votes]


@pytest.mark.parametrize(("val", "chunk"), [(1, 1 << 24), (9, 1 << 24), (9, 250)])
def test_votes_are_those_of_a_loop(val: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "CHUNK", chunk)
    train, queries = torch.randn(40, 13) + 0.5, torch.randn(val, 13)
    bank = features(train, 4)
    found = nearest_neighbours(bank, features(queries, 4), 4, (1, 5, 40))
    for k, votes in zip((1, 5, 40), found, strict=True):
        expected = torch.tensor([votes_by_hand(bank, query, 4, k) for query in queries])
        torch.testing.assert_close(votes, expected, rtol=1e-4, atol=1e-6)


def test_several_k_are_those_of_each() -> None:
    train, val = features(torch.randn(30, 5), 3), features(torch.randn(4, 5), 3)
    both = nearest_neighbours(train, val, 3, (20, 2))
    alone = [nearest_neighbours(train, val, 3, (k,))[0] for k in (20, 2)]
    for one, other in zip(both, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_of_neighbours_equally_near_the_first_counts() -> None:
    train = Features(torch.ones(6, 3), torch.tensor([2, 2, 1, 1, 1, 1]), torch.arange(6))
    (votes,) = nearest_neighbours(train, features(torch.ones(1, 3), 3), 3, (2,))
    assert votes.tolist() == [[-math.inf, -math.inf, 1.0]]


def test_nearest_is_a_stable_sort() -> None:
    values = torch.tensor([-1.0, -0.5, -0.0, 0.0, 1e-30, -1e-30, 0.5, 1.0])
    similarity = values[torch.randint(0, len(values), (50, 33))]
    found, index = knn.nearest(similarity, 33)
    expected, order = similarity.sort(stable=True, descending=True)
    assert torch.equal(index, order)
    assert torch.equal(found, expected)
    assert torch.equal(knn.nearest(similarity, 3)[1], order[:, :3])


@pytest.mark.parametrize("k", [0, 7])
def test_more_neighbours_than_images_are_refused(k: int) -> None:
    train = features(torch.randn(6, 2), 2)
    with pytest.raises(ValueError, match=rf"k {k}: .* at most 6.*lower k"):
        nearest_neighbours(train, train, 2, (2, k))
