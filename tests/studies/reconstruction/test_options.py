"""Options and images that cannot be used are refused before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fcmae.studies.reconstruction.recipe import ENCODERS, PAPER, SCALES, SMALL

from fcmae.studies.reconstruction import reconstruction


def test_the_papers_set_up_is_the_appendixs() -> None:
    assert PAPER.image_size == 32
    assert PAPER.mask_sizes == (1, 2, 4, 8, 16)
    assert (PAPER.mask_ratio, PAPER.epochs, PAPER.neighbours) == (0.5, 50, 20)
    assert PAPER.num_images is None
    assert {"small": SCALES["small"], "paper": PAPER} == SCALES
    assert SMALL.mask_sizes == PAPER.mask_sizes
    assert {name: encoder.blocks for name, encoder in ENCODERS.items()} == {
        "convnext": 6, "convnext-grn": 6, "transformer": 4
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": "smal"}, "unknown scale 'smal': did you mean 'small'"),
        ({"encoders": ("convnex",)}, "unknown encoder 'convnex': did you mean 'convnext'"),
        ({"encoders": ("convnext",) * 2}, "encoders: convnext is given twice"),
        ({"seeds": (0, 1, 0)}, "seeds: 0 is given twice"),
        ({"mask_sizes": (2, 2)}, "mask_sizes: 2 is given twice"),
        ({"mask_sizes": (3,)}, "mask_sizes 3: .*16 is not a multiple .*15 or 18"),
        ({"mask_sizes": (0,)}, "mask_sizes 0: at least 1 pixel"),
        ({"mask_sizes": (16,)}, "mask_sizes 16: mask ratio 0.5 leaves none"),
        ({"image_size": 17}, "image_size 17 is not a multiple of 2.*give 18"),
        ({"epochs": 0}, "epochs 0: at least 1"),
        ({"num_images": -1}, "num_images -1: at least 1"),
        ({"batch_size": 0}, "batch_size 0: at least 1"),
        ({"batch_size": 25}, "24 images of train .*fewer than the 25 images of a step"),
        ({"num_images": 6, "batch_size": 6, "scale": "paper"}, "6 images .*the 20 neighbours"),
        ({"workers": -1}, "workers -1 is negative"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"data": "nowhere"}, "'nowhere' has no folder train"),
        ({"out": __file__}, "is a file: give a folder"),
    ],
)
def test_what_cannot_be_is_refused(
    images: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    usual = {"data": str(images), "out": str(tmp_path / "out"), "image_size": 16, "batch_size": 6}
    with pytest.raises(ValueError, match=words):
        reconstruction(**{**usual, "mask_sizes": (2,), "device": "cpu", **options})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("classes", "words"), [(1, "only one class"), (5, "has 5 classes")])
def test_few_classes_are_refused(
    write_images: Callable[..., Path], tmp_path: Path, classes: int, words: str
) -> None:
    folder = write_images(tmp_path, classes=classes)
    with pytest.raises(ValueError, match=words):
        reconstruction(data=str(folder), image_size=16, mask_sizes=(2,), batch_size=4)
