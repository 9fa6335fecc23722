"""The study from options and images to its page: kept setting by setting, and gone on with."""

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fcmae.studies.reconstruction import (
    ENCODERS,
    PAPER,
    SCALES,
    SMALL,
    Setting,
    reconstruction,
    runner,
)
from fcmae.studies.reconstruction.model import Toy
from fcmae.training.engine import NonFiniteError
from fcmae.training.signals import Interrupted


@pytest.fixture
def options(images: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "data": str(images), "out": str(tmp_path / "out"), "image_size": 16, "batch_size": 12,
        "mask_sizes": (2, 8), "seeds": (0, 1), "epochs": 1, "device": "cpu", "workers": 0,
    }  # fmt: skip


def test_the_whole_study(options: dict[str, Any], tmp_path: Path) -> None:
    rows = reconstruction(**options | {"seeds": (0,), "mask_sizes": (8,)})
    out = tmp_path / "out"
    assert len(rows) == 3
    stored = json.loads((out / "results.json").read_text())
    assert stored["rows"] == rows
    assert stored["settings"]["images"] == [24, 12]
    with (out / "results.csv").open() as file:
        assert [row["encoder"] for row in csv.DictReader(file)] == [row["encoder"] for row in rows]
    page = (out / "page.html").read_text()
    for word in ("ConvNeXt with GRN", "Transformer, 8 px", "more diverse", "positions of 2x2"):
        assert word in page
    assert page.count("<img") == 2
    for name in ("figure", "reconstructions"):
        with Image.open(out / f"{name}.png") as image:
            assert image.width > 1000
        assert (out / f"{name}.svg").read_text().startswith("<?xml")
    for row in rows:
        folder = out / "settings" / f"{row['encoder']}-{row['mask_size']}-{row['seed']}"
        pictures = load_file(folder / "reconstructions.safetensors")
        assert pictures["reconstruction"].shape == (6, 3, 16, 16)
        model = Toy(ENCODERS[row["encoder"]], stride=2, image_size=16)
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        assert 0 < row["mse"] < 1
        assert 0 <= row["top_5_error"] <= row["top_1_error"] <= 1


def test_an_interrupted_study_goes_on_where_it_was(
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(runner, "write_page", lambda _: None)
    options |= {"encoders": ("convnext",)}
    started: list[str] = []
    train = runner.train

    def counted(setting: Setting, *places: Any, **named: Any) -> Any:
        started.append(setting.name)
        if len(started) == 3:
            signal.raise_signal(signal.SIGINT)
        return train(setting, *places, **named)

    monkeypatch.setattr(runner, "train", counted)
    with pytest.raises(Interrupted) as raised:
        reconstruction(**options)
    assert raised.value.code == 130
    said = capsys.readouterr().err.replace("\n", " ")
    assert "convnext, mask size 2, seed 1 is not finished, and will begin anew" in said
    kept = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert len(kept) == 2
    rows = reconstruction(**options)
    assert rows[:2] == kept
    assert started[2:] == ["convnext-2-1"] * 2 + ["convnext-8-1"]
    assert "2 of 4 settings are done already" in capsys.readouterr().err
    assert reconstruction(**options) == rows
    assert len(started) == 5  # nothing is trained again
    fewer = reconstruction(**options | {"seeds": (1,), "encoders": ("convnext", "transformer")})
    assert [row["encoder"] for row in fewer] == ["convnext"] * 4 + ["transformer"] * 2


def test_results_of_another_set_up_are_not_mixed(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "write_page", lambda _: None)
    options |= {"encoders": ("transformer",), "mask_sizes": (8,), "seeds": (0,)}
    reconstruction(**options)
    with pytest.raises(ValueError, match="other settings"):
        reconstruction(**options | {"epochs": 2})


def test_an_unstable_setting_is_a_result(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options |= {"encoders": ("convnext", "transformer"), "mask_sizes": (8,), "seeds": (0,)}
    train = runner.train

    def broken(setting: Setting, *places: Any, **named: Any) -> Any:
        if setting.encoder == "convnext":
            raise NonFiniteError(3, "loss", float("nan"))
        return train(setting, *places, **named)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "train", broken)
        rows = reconstruction(**options)
    assert rows[0]["unstable"] == {"doing": "training", "step": 3}
    assert "mse" in rows[1]
    assert "stopped being a number at step 3" in (tmp_path / "out" / "page.html").read_text()
    assert reconstruction(**options)[0]["unstable"]  # the same seed would end the same way


def test_measuring_changes_no_random_number_of_the_next_setting(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "write_page", lambda _: None)
    options |= {"encoders": ("convnext",), "seeds": (0,)}
    both = reconstruction(**options)
    alone = reconstruction(**options | {"mask_sizes": (8,), "out": options["out"] + "-alone"})
    timed = ("seconds", "training_seconds")
    assert torch.tensor([both[1][n] == v for n, v in alone[0].items() if n not in timed]).all()


# What is refused before anything is trained


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
