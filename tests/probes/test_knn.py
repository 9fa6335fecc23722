"""Nearest neighbours against a loop over pairs of images."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupted import calls_of
from random_weights import randomise
from torch import Tensor

from fcmae.images import Labelled, epoch_order, open_splits
from fcmae.inference.loop import Preprocessing
from fcmae.models.encoder import Encoder
from fcmae.probes import knn
from fcmae.probes.features import Features
from fcmae.probes.knn import Accuracy, knn_accuracy, nearest_neighbours
from fcmae.training.devices import Runtime

CPU = Runtime(torch.device("cpu"), "fp32")


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


# The quick look: it leaves no trace, and is the probe on the images that it says


@pytest.fixture
def splits(tmp_path: Path) -> tuple[Labelled, Labelled]:
    """Dark and bright noise, as two classes that anything tells apart."""
    draw = np.random.default_rng(0)
    for split, images in (("train", 12), ("val", 5)):
        for number in range(images):
            folder = tmp_path / split / ("dark", "bright")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            noise = draw.integers(0, 100, (33, 41, 1), dtype=np.uint8) + 150 * (number % 2)
            np.save(folder / f"{number}.npy", noise.astype(np.uint8))
    return open_splits(tmp_path)


def look(encoder: Encoder, splits: tuple[Labelled, Labelled], k: int = 3) -> Accuracy:
    preprocessing = Preprocessing((32, 32), 1, (0.5,), (0.3,), batch_size=2, workers=0)
    return knn_accuracy(encoder, *splits, preprocessing, CPU, k)


def encoder() -> Encoder:
    return randomise(Encoder("convnextv2_atto", in_channels=1, stem_stride=1))


def test_what_differs_is_told_apart(splits: tuple[Labelled, Labelled]) -> None:
    assert look(encoder(), splits) == (1.0, None, (12, 5))


def test_nothing_is_changed(splits: tuple[Labelled, Labelled]) -> None:
    network = encoder().train()
    network.stages[1].eval()
    modes = [part.training for part in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert look(network, splits) == look(network, splits)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_more_images_than_it_says_drawn_whatever_their_class(
    splits: tuple[Labelled, Labelled], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (knn.TRAIN, knn.VAL) == (2000, 500)
    monkeypatch.setattr(knn, "TRAIN", 4)
    monkeypatch.setattr(knn, "VAL", 1)
    parts = calls_of(monkeypatch, Labelled, "subset")
    seen: list[int] = []
    network = encoder()
    features = network.features
    monkeypatch.setattr(network, "features", lambda x: seen.append(len(x)) or features(x))
    look(network, splits)
    assert sum(seen) == 5
    for (images, drawn), whole, number in zip(parts, splits, (4, 1), strict=True):
        assert images is whole
        assert drawn == sorted(epoch_order(len(whole), seed=0, epoch=0)[:number])
    with pytest.raises(ValueError, match=r"k 5: .* at most 4"):
        look(network, splits, k=5)
