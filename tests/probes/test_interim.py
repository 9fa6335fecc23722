"""The quick look leaves no trace, and is the probe on the images that it says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from interrupted import calls_of
from random_weights import randomise

from fcmae.images import Labelled, epoch_order, open_splits
from fcmae.models.encoder import Encoder
from fcmae.probes import interim, knn_accuracy
from fcmae.training.devices import Place

CPU = Place(torch.device("cpu"), "fp32")


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


def look(encoder: Encoder, splits: tuple[Labelled, Labelled], k: int = 3) -> interim.Accuracy:
    return knn_accuracy(
        encoder, *splits, mean=[0.5], std=[0.3], image_size=(32, 32), place=CPU, k=k, batch_size=2
    )


def encoder() -> Encoder:
    return randomise(Encoder("convnextv2_atto", in_channels=1, stem_stride=1))


def test_what_differs_is_told_apart(splits: tuple[Labelled, Labelled]) -> None:
    assert look(encoder(), splits) == (1.0, None, (12, 5))


def test_nothing_is_changed(splits: tuple[Labelled, Labelled]) -> None:
    network = encoder().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert look(network, splits) == look(network, splits)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert all(part.training for part in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_more_images_than_it_says_drawn_whatever_their_class(
    splits: tuple[Labelled, Labelled], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (interim.TRAIN, interim.VAL) == (2000, 500)
    monkeypatch.setattr(interim, "TRAIN", 4)
    monkeypatch.setattr(interim, "VAL", 1)
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
