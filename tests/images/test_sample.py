import pickle

import numpy as np
import pytest
import torch

from fcmae.images import sample
from fcmae.images.sample import PHOTOGRAPHS, SampleSet, photograph

pytest.importorskip("skimage")


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_photograph_is_a_class_of_as_many_crops(split: str) -> None:
    images = SampleSet(split)
    assert np.bincount(images.labels).tolist() == [sample.CROPS[split]] * len(PHOTOGRAPHS)
    assert images.classes[4] == "coffee"
    assert len({images.name(index) for index in range(len(images))}) == len(images)


def test_no_pixel_is_in_a_training_and_a_validation_crop() -> None:
    train, val = SampleSet("train"), SampleSet("val")
    for label, file in enumerate(PHOTOGRAPHS):
        _, height, width = photograph(file).shape
        covered = {}
        for images in (train, val):
            covered[images.split] = torch.zeros(height, width, dtype=torch.bool)
            for index in np.flatnonzero(np.array(images.labels) == label).tolist():
                top, left, rows, columns = images.window(index)
                assert top >= 0
                assert left >= 0
                assert top + rows <= height
                assert left + columns <= width
                covered[images.split][top : top + rows, left : left + columns] = True
        assert not (covered["train"] & covered["val"]).any(), file
        assert covered["train"].float().mean() > 0.4, file
        assert covered["val"].float().mean() > 0.15, file


def test_a_crop_is_the_pixels_of_its_window_and_always_the_same() -> None:
    images, again = SampleSet("val"), pickle.loads(pickle.dumps(SampleSet("val")))
    for index in (0, 77, len(images) - 1):
        top, left, height, width = images.window(index)
        picture = photograph(PHOTOGRAPHS[images.labels[index]])
        crop = images.read(index, 3).pixels
        assert torch.equal(crop, picture[:, top : top + height, left : left + width])
        assert torch.equal(crop, again.read(index, 3).pixels)
        assert images.read(index, 1).pixels.shape == (1, height, width)


def test_other_numbers_of_channels_are_an_error() -> None:
    with pytest.raises(ValueError, match="channels 13"):
        SampleSet().read(0, 13)


def test_without_scikit_image_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'fcmae\[sample\]'"):
        SampleSet()
