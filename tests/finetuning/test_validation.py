"""Validation during a run: each image once, for every model, whatever cannot be read."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fcmae.finetuning.validation import Validation, validate
from fcmae.images import Labelled, open_classes
from fcmae.inference.loop import Preprocessing
from fcmae.training.devices import Runtime

GREYS = (30, 90, 150, 220)  # one a class; an image's value is its class's


class Reader(nn.Module):
    """Sees the class from the brightness, and errs where it is told to."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift
        self.modes: list[bool] = []
        self.lowered: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.lowered.append(torch.is_autocast_enabled("cpu"))
        values = x.mean((1, 2, 3))[:, None] * 255
        distance = (values - torch.tensor(GREYS)).abs()
        return -distance.roll(self.shift, 1)


@pytest.fixture
def images(tmp_path: Path) -> Labelled:
    for label, grey in enumerate(GREYS):
        (tmp_path / f"class{label}").mkdir()
        for i in range(label + 1):
            Image.new("L", (9, 11), grey).save(tmp_path / f"class{label}" / f"{i}.png")
    return open_classes(tmp_path)


def see(
    images: Labelled, *models: nn.Module, precision: str = "fp32"
) -> tuple[list[Validation], dict[str, str]]:
    return validate(
        models,
        images,
        Preprocessing((8, 8), 1, (0.0,), (1.0,), batch_size=3, workers=0),
        Runtime(torch.device("cpu"), precision),
    )


def test_each_model_has_its_own_predictions(images: Labelled) -> None:
    (right, wrong), unreadable = see(images, Reader(), Reader(shift=1))
    assert unreadable == {}
    assert right.metrics.values["accuracy"] == 1
    assert wrong.metrics.values["accuracy"] == 0
    assert right.predictions.indices.tolist() == list(range(10))
    assert right.predictions.predicted.tolist() == list(images.labels)
    assert wrong.predictions.predicted.tolist() == [(label + 1) % 4 for label in images.labels]
    assert (right.metrics.score, wrong.metrics.score) == (1, 0)
    assert right.metrics.values["top_5"] is None
    assert right.predictions.top_5(5) is None
    assert right.predictions.top_5(6) == 1


def test_the_summary_counts_class_by_class(images: Labelled) -> None:
    (wrong,), _ = see(images, Reader(shift=1))
    summary = wrong.summary()
    assert summary["images"] == [1, 2, 3, 4]
    assert summary["confusion"] == [[0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 3], [4, 0, 0, 0]]
    assert len(summary["mistakes"]) == 10
    first = summary["mistakes"][0]
    assert first["label"] != first["predicted"]
    assert first["name"].startswith(first["label"])


def test_an_output_that_is_no_number_is_not_counted_as_right(images: Labelled) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full((len(x), 4), float("nan"))

    with pytest.raises(RuntimeError, match=r"output for class0/0\.png is not a number"):
        see(images, Reader(), Broken())


def test_of_very_many_classes_no_matrix_is_written(
    images: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcmae.finetuning.validation.DRAWN", 3)
    (wrong,), _ = see(images, Reader(shift=1))
    summary = wrong.summary()
    assert summary["confusion"] is None
    assert summary["images"] == [1, 2, 3, 4]


def test_unreadable_images_are_left_out_and_named(images: Labelled, tmp_path: Path) -> None:
    (tmp_path / "class0" / "0.png").write_bytes(b"")  # the first, so that all others move up
    (right, wrong), unreadable = see(images, Reader(), Reader(shift=1))
    assert unreadable == {"class0/0.png": "empty file"}
    assert right.predictions.indices.tolist() == list(range(1, 10))
    assert right.metrics.values["accuracy"] == 1
    summary = wrong.summary()
    assert summary["images"] == [0, 2, 3, 4]
    assert summary["confusion"] == [[0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 3], [4, 0, 0, 0]]
    found = {mistake["name"]: mistake for mistake in summary["mistakes"]}
    assert found.keys() == {images.name(index) for index in range(1, 10)}
    for name, mistake in found.items():
        assert name == images.name(mistake["index"])
        assert name.startswith(mistake["label"])


def test_if_none_can_be_read_the_data_are_at_fault(images: Labelled, tmp_path: Path) -> None:
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"none of the 10 images can be read \(class0/0\.png: empty"
    ):
        see(images, Reader())


@pytest.mark.parametrize("training", [True, False])
def test_models_are_evaluated_in_evaluation_mode_and_put_back(
    images: Labelled, training: bool
) -> None:
    model = Reader().train(training)
    see(images, model)
    assert set(model.modes) == {False}
    assert model.training == training


@pytest.mark.parametrize(("precision", "lowered"), [("fp32", False), ("bf16", True)])
def test_models_compute_in_the_precision_of_the_run(
    images: Labelled, precision: str, lowered: bool
) -> None:
    models = Reader(), Reader()
    see(images, *models, precision=precision)
    assert {found for model in models for found in model.lowered} == {lowered}
