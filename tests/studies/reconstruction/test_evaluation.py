"""What is measured of a setting, against direct computation."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from fcmae.images import EvaluationView, centre_crop
from fcmae.studies.reconstruction import ENCODERS, SCALES, Recipe, evaluation
from fcmae.studies.reconstruction.evaluation import measure, reconstruct
from fcmae.studies.reconstruction.model import Toy, pixels
from fcmae.studies.reconstruction.training import Data, open_data
from fcmae.training.devices import Runtime

CPU = Runtime(torch.device("cpu"), "fp32")


@pytest.fixture
def recipe() -> Recipe:
    return replace(SCALES["small"], num_images=None, batch_size=8, image_size=16, neighbours=1)


@pytest.fixture
def data(images: Path, recipe: Recipe) -> Data:
    return open_data(images, recipe, workers=0)


@pytest.fixture(params=ENCODERS)
def model(request: pytest.FixtureRequest) -> Toy:
    torch.manual_seed(0)
    return Toy(ENCODERS[request.param], stride=2, image_size=16)


def seen(part: str, data: Data) -> torch.Tensor:
    images = getattr(data, part)
    view = EvaluationView((16, 16), centre_crop)
    return torch.stack([view(images.read(i, 3), None, 0).image for i in range(len(images))])


def test_errors_and_diversity_are_those_of_direct_computation(
    model: Toy, recipe: Recipe, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 5)  # the last has two
    found = measure(model, 4, data, CPU)
    assert model.training  # as before
    val, bank = seen("val", data), seen("train", data)
    model.double().eval()
    mean, std = (row.double() for row in (data.mean, data.std))
    masks = torch.cat(
        [evaluation._mask(n, first, 4, recipe) for first, n in ((0, 5), (5, 5), (10, 2))]
    )
    with torch.no_grad():
        predicted = model((val.double() - mean) / std, masks) * std + mean
        maps = [model.encode((part.double() - mean) / std) for part in (val, bank)]
        features = [model.norm(one).mean((1, 2)) for one in maps]
    hidden = pixels(masks, val).expand(-1, 3, -1, -1)
    mse = (predicted - val)[hidden].square().mean().item()
    assert found["mse"] == pytest.approx(mse, rel=1e-4)
    units = F.normalize(maps[0].flatten(1, 2), dim=1)  # [12, H * W, C]
    cosine = units.transpose(1, 2) @ units
    assert found["diversity"] == pytest.approx(((1 - cosine) / 2).mean().item(), rel=1e-4)
    deviation, centre = torch.std_mean(features[1], 0, correction=0)
    first, second = (F.normalize((one - centre) / deviation) for one in features)
    nearest = torch.tensor(data.train.labels)[(first @ second.T).argmax(1)]
    wrong = (nearest != torch.tensor(data.val.labels)).double().mean().item()
    assert found["top_1_error"] == pytest.approx(wrong)
    assert found["top_5_error"] == pytest.approx(wrong)  # one neighbour votes for one class


def test_masks_depend_on_nothing_but_the_place_and_the_size(recipe: Recipe) -> None:
    first = evaluation._mask(5, 0, 2, recipe)
    assert torch.equal(first, evaluation._mask(5, 0, 2, replace(recipe, seeds=(7,))))
    assert torch.equal(first[:3].sum((1, 2)), torch.tensor([32, 32, 32]))
    assert not torch.equal(first, evaluation._mask(5, 5, 2, recipe))


def test_reconstructions_are_the_image_where_it_is_visible(model: Toy, data: Data) -> None:
    pictures = reconstruct(model, 8, data, CPU)
    hidden = pictures["masked"] != pictures["original"]
    assert torch.equal(pictures["original"], data.pictures)
    assert torch.equal(pictures["reconstruction"][~hidden], pictures["original"][~hidden])
    changed = pictures["reconstruction"] != pictures["original"]
    assert 0.4 < changed.float().mean() <= 0.5
    assert (pictures["masked"][hidden] == 0.5).all()
