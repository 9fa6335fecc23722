"""Accuracies of runs, counted again from the image files and the weights that a run leaves."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from wiring.measured_by_hand import (
    Values,
    Whole,
    classification,
    decoded,
    files_of,
    frame,
    load_weights,
    neighbour_votes,
    outputs,
    pooled,
    ranks,
    save_photographs,
    save_tinted,
    scaled,
    seen,
    statistics,
)
from wiring.small import built, save_unlabelled, tiny_sizes

import fcmae
from fcmae.commands.evaluate import Evaluation
from fcmae.images import Decoded
from fcmae.models.encoder import Encoder

ON_CPU: dict[str, Any] = {"device": "cpu", "workers": 0}
SIZE = (40, 56)
# A head that says something from the start, and steps so large that each epoch says another thing.
TRAINING: dict[str, Any] = {
    "image_size": "40x56", "stem_stride": 1, "statistics": "data", "batch_size": 4, "epochs": 4,
    "seed": 2, **ON_CPU,
}  # fmt: skip


class Run(NamedTuple):
    """A fine-tuning run and its data."""

    folder: Path
    data: Path
    averages: bool

    def lines(self, kind: str) -> list[dict[str, Any]]:
        lines = map(json.loads, (self.folder / "metrics.jsonl").read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]

    def found(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / name).read_text())
        return content


@pytest.fixture(scope="module")
def tinted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven classes, of two or three images to train on and three to nine to validate on."""
    root = tmp_path_factory.mktemp("tinted")
    save_tinted(root, "train", (2, 3, 2, 3, 2, 3, 2), first=0)
    save_tinted(root, "val", range(3, 10), first=17)
    return root


def trained(folder: Path, data: Path, *recipe: str, **options: Any) -> Run:
    recipe = ("base_learning_rate=3e-3", *recipe)
    with tiny_sizes():
        fcmae.finetune(out=str(folder), data=str(data), set=recipe, **(TRAINING | options))
    return Run(folder, data, "ema=0" not in recipe)


@pytest.fixture(scope="module")
def averaged(tinted: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The model is best before its average is, and neither of them at the end."""
    return trained(tmp_path_factory.mktemp("averaged") / "run", tinted, "head_init=30")


@pytest.fixture(scope="module")
def plain(tinted: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs are equally good."""
    return trained(tmp_path_factory.mktemp("plain") / "run", tinted, "head_init=10", "ema=0")


@pytest.fixture(params=["averaged", "plain"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.getfixturevalue(request.param)
    return found


def by_hand(run: Run, weights: dict[str, torch.Tensor], size: tuple[int, int] = SIZE) -> Any:
    """What is counted of a classifier on the validation images."""
    paths, labels = files_of(run.data / "val")
    return classification(logits_of(run, weights, paths, size), labels)


def logits_of(
    run: Run, weights: dict[str, torch.Tensor], paths: list[Path], size: tuple[int, int] = SIZE
) -> Values:
    config = run.found("config.json")
    stride, classes = config["model"]["stem_stride"], config["data"]["classes"]
    network = fcmae.create_model(num_classes=classes, stem_stride=stride)
    network.load_state_dict(weights)
    return outputs(network.eval(), paths, size, **config["statistics"])


def part(run: Run, name: str) -> dict[str, torch.Tensor]:
    """The model or the average of the last checkpoint."""
    state = load_file(run.folder / "checkpoints/last/model.safetensors")
    return {key.removeprefix(name): state[key] for key in state if key.startswith(name)}


def agrees(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Accuracies are the same, and what is a sum of many numbers is as good as the same."""
    assert found["accuracy"] == expected["accuracy"]
    assert found["top_5"] == expected["top_5"]
    assert found["loss"] == pytest.approx(expected["loss"], abs=1e-5)


def test_the_view_by_hand_is_the_one_that_pillow_resizes(tinted: Path) -> None:
    """To a grey level, as between two that round: the authors crop what Pillow resized."""
    for path in files_of(tinted / "val")[0][::5]:
        image = Image.fromarray(decoded(path))
        for size in (SIZE, (64, 32)):
            rows, columns, top, left = frame(image.height, image.width, size)
            resized = np.array(image.resize((columns, rows), Image.Resampling.BICUBIC))
            expected = resized[top : top + size[0], left : left + size[1]]
            levels = seen(path, size).permute(1, 2, 0).numpy() * 255
            assert levels.shape == (*size, 3)
            assert np.abs(levels - expected).max() <= 1.001


def test_the_statistics_are_of_the_training_images(run: Run) -> None:
    mean, std = statistics(files_of(run.data / "train")[0])
    found = run.found("config.json")["statistics"]
    np.testing.assert_allclose(found["mean"], mean, atol=1e-9)
    np.testing.assert_allclose(found["std"], std, atol=1e-9)
    assert np.abs(np.array([0.485, 0.456, 0.406]) - mean).max() > 0.05, "as good as ImageNet's"


def test_what_the_last_epoch_is_said_to_be_is_what_its_weights_are(run: Run) -> None:
    """The model's numbers are the model's, and the average's the average's."""
    last = run.lines("validation")[-1]
    assert last["epoch"] == TRAINING["epochs"]
    expected = by_hand(run, part(run, "model."))
    agrees(last, expected)
    if not run.averages:
        assert last["average"] is None
        return
    average = by_hand(run, part(run, "average."))
    agrees(last["average"], average)
    assert abs(average["loss"] - expected["loss"]) > 1e-2, "nothing would be told apart"


def test_the_best_epoch_is_that_of_the_weights_that_are_kept(run: Run) -> None:
    """With an average, that of the best average, whatever the model does."""
    lines = run.lines("validation")
    kept = [line["average"] if run.averages else line for line in lines]
    accuracies = [line["accuracy"] for line in kept]
    best = max(range(len(lines)), key=lambda place: accuracies[place])  # the first of the best
    found = run.found("validation.json")
    assert found["epoch"] == lines[best]["epoch"]
    assert found["of"] == ("average" if run.averages else "model")
    assert {name: found[name] for name in ("loss", "accuracy", "top_5")} == {
        name: kept[best][name] for name in ("loss", "accuracy", "top_5")
    }
    expected = by_hand(run, load_file(run.folder / "best.safetensors"))
    agrees(kept[best], expected)


def test_a_run_validates_as_evaluate_does(run: Run) -> None:
    weights = run.folder / "best.safetensors"
    found = fcmae.evaluate(data=str(run.data), weights=str(weights), batch_size=5, **ON_CPU)
    own = run.found("validation.json")
    assert (found.top_1, found.top_5) == (own["accuracy"], own["top_5"])
    assert found.cross_entropy == pytest.approx(own["loss"], abs=1e-6)
    assert found.calibration_error == pytest.approx(own["calibration_error"], abs=1e-6)
    assert list(found.class_images) == own["classes"]
    assert list(found.class_images.values()) == own["images"]
    assert found.confusion == _named(own["confusion"], own["classes"])
    last = fcmae.evaluate(data=str(run.data), weights=str(run.folder), batch_size=64, **ON_CPU)
    line = run.lines("validation")[-1]
    line = line["average"] or line
    assert (last.top_1, last.top_5) == (line["accuracy"], line["top_5"])
    assert last.cross_entropy == pytest.approx(line["loss"], abs=1e-6)


def _named(matrix: list[list[int]], classes: list[str]) -> dict[str, dict[str, int]]:
    return {
        name: {other: count for other, count in zip(classes, row, strict=True) if count}
        for name, row in zip(classes, matrix, strict=True)
    }


def _is_by_hand(found: Evaluation, expected: dict[str, Any], names: list[str]) -> None:
    """Every number of an evaluation, of data that have all the classes."""
    matrix = np.array(expected["confusion"])
    agrees({"accuracy": found.top_1, "top_5": found.top_5, "loss": found.cross_entropy}, expected)
    assert found.images == expected["count"]
    assert found.calibration_error == pytest.approx(expected["calibration_error"], abs=1e-5)
    assert found.confusion == _named(matrix.tolist(), names)
    assert found.class_images == dict(zip(names, matrix.sum(1).tolist(), strict=True))
    right = (matrix.diagonal() / matrix.sum(1)).tolist()
    assert found.class_accuracy == dict(zip(names, right, strict=True))


def test_every_number_by_hand(run: Run) -> None:
    expected = by_hand(run, load_file(run.folder / "best.safetensors"))
    assert 1 / 7 < expected["accuracy"] < expected["top_5"] < 1, "nothing would be told apart"
    own = run.found("validation.json")
    names = own["classes"]
    agrees(own, expected)
    assert own["calibration_error"] == pytest.approx(expected["calibration_error"], abs=1e-5)
    assert own["confusion"] == expected["confusion"]
    assert own["images"] == [*range(3, 10)]
    assert own["train_images"] == [2, 3, 2, 3, 2, 3, 2]
    weights = str(run.folder / "best.safetensors")
    found = fcmae.evaluate(data=str(run.data), weights=weights, batch_size=4, **ON_CPU)
    _is_by_hand(found, expected, names)


def test_the_mistakes_are_the_most_confident_ones_in_order(run: Run) -> None:
    expected = by_hand(run, load_file(run.folder / "best.safetensors"))
    paths, labels = files_of(run.data / "val")
    own = run.found("validation.json")
    names = own["classes"]
    surest = expected["surest"][:24]
    assert len(expected["surest"]) > 24, "none would be left out"
    assert [mistake["name"] for mistake in own["mistakes"]] == [
        f"{paths[image].parent.name}/{paths[image].name}" for image in surest
    ]
    for mistake, image in zip(own["mistakes"], surest, strict=True):
        assert mistake["label"] == names[labels[image]]
        assert mistake["predicted"] == names[expected["predictions"][image]]
        assert mistake["confidence"] == pytest.approx(expected["confidences"][image], abs=1e-5)


def test_the_pictures_of_the_mistakes_are_theirs(run: Run) -> None:
    """Of the validation images, each is most like the one that it is said to be of."""
    paths, _ = files_of(run.data / "val")
    small = {f"{p.parent.name}/{p.name}": _squashed(Image.fromarray(decoded(p))) for p in paths}
    for place, mistake in enumerate(run.found("validation.json")["mistakes"]):
        with Image.open(run.folder / "mistakes" / f"{place}.webp") as picture:
            shown = _squashed(picture.convert("RGB"))
        off = {name: np.abs(shown - pixels).mean() for name, pixels in small.items()}
        assert min(off, key=off.__getitem__) == mistake["name"]


def _squashed(image: Image.Image) -> Values:
    """The square in the middle, a few pixels wide."""
    side, (width, height) = min(image.size), image.size
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.array(square.resize((24, 24), Image.Resampling.BICUBIC), float)


def test_validation_does_not_see_what_training_sees(averaged: Run, tmp_path: Path) -> None:
    """The random views that the run is trained on would give another loss."""
    weights = load_file(averaged.folder / "best.safetensors")
    paths, labels = files_of(averaged.data / "val")
    view = built(fcmae.finetune, tmp_path / "run", data=str(averaged.data), **TRAINING).view
    config = averaged.found("config.json")
    network = fcmae.create_model(num_classes=7, stem_stride=1)
    network.load_state_dict(weights)
    losses = []
    for path, label in zip(paths, labels, strict=True):
        whole = Decoded(torch.from_numpy(decoded(path)).permute(2, 0, 1))
        image = view(whole, label, seed=0).image
        mean, std = (torch.tensor(config["statistics"][name]) for name in ("mean", "std"))
        with torch.no_grad():
            logits = network.eval()(((image - mean[:, None, None]) / std[:, None, None])[None])
        losses.append((logits.logsumexp(1) - logits[0, label]).item())
    own = averaged.found("validation.json")["loss"]
    assert abs(np.mean(losses) - own) > 0.01
    assert by_hand(averaged, weights)["loss"] == pytest.approx(own, abs=1e-5)


def test_data_may_lack_classes_and_have_another_size(plain: Run, tmp_path: Path) -> None:
    """The classes that are there keep the weights' numbers."""
    names = ("g", "b", "e")
    for name in names:
        (tmp_path / name).symlink_to(plain.data / "train" / name)
    paths, few = files_of(tmp_path)
    labels = np.array([1, 4, 6])[few]
    weights = plain.folder / "best.safetensors"
    expected = classification(logits_of(plain, load_file(weights), paths, (64, 32)), labels)
    found = fcmae.evaluate(
        data=str(tmp_path), weights=str(weights), image_size="64x32", batch_size=3, **ON_CPU
    )
    agrees({"accuracy": found.top_1, "top_5": found.top_5, "loss": found.cross_entropy}, expected)
    matrix = _named(expected["confusion"], list("abcdefg"))
    assert found.confusion == {name: matrix[name] for name in sorted(names)}
    assert found.class_images == {"b": 3, "e": 2, "g": 2}


@pytest.fixture(scope="module")
def photographs(real_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A classifier of real photographs."""
    root = tmp_path_factory.mktemp("photographs")
    for split, counts in (("train", (6, 5)), ("val", (6, 4, 7))):
        save_photographs(real_images / split, root / "data" / split, counts)
    return trained(
        root / "run",
        root / "data",
        "head_init=30",
        image_size="48x64",
        stem_stride=2,
        epochs=1,
        batch_size=8,
    )


def test_photographs_by_hand(photographs: Run) -> None:
    weights = photographs.folder / "best.safetensors"
    expected = by_hand(photographs, load_file(weights), (48, 64))
    paths, _ = files_of(photographs.data / "val")
    shapes = {decoded(path).shape[:2] for path in paths}
    assert len(shapes) > 5
    assert {high > wide for high, wide in shapes} == {True, False}, "all lie or all stand"
    own = photographs.found("validation.json")
    agrees(own, expected)
    agrees(photographs.lines("validation")[-1]["average"], expected)
    agrees(
        photographs.lines("validation")[-1],
        by_hand(photographs, part(photographs, "model."), (48, 64)),
    )
    assert own["confusion"] == expected["confusion"]
    found = fcmae.evaluate(data=str(photographs.data), weights=str(weights), batch_size=7, **ON_CPU)
    _is_by_hand(found, expected, sorted(path.name for path in (photographs.data / "val").iterdir()))


# The probe of a run that goes on

PRETRAINING: dict[str, dict[str, Any]] = {
    "fcmae": {"set": ("base_learning_rate=0.1", "warmup_epochs=0")},
    "moco-v3": {
        "set": (
            "base_learning_rate=0.1", "warmup_epochs=0", "hidden_width=32", "projection_width=16",
        ),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], Whole]:
    root = tmp_path_factory.mktemp("labelled")
    save_tinted(root, "train", (5, 6, 7, 5, 6, 7, 5), first=200)
    save_tinted(root, "val", (9, 6, 7, 8, 6, 7, 8), first=300)
    return root, *files_of(root / "val")


@pytest.mark.parametrize("method", PRETRAINING)
def test_the_interim_probe_by_hand(
    method: str, labelled: tuple[Path, list[Path], Whole], tmp_path: Path
) -> None:
    data, queries, labels = labelled
    fcmae.pretrain(
        out=str(tmp_path / "run"),
        data=str(save_unlabelled(tmp_path / "pictures")),
        method=method,
        image_size="48x32",
        stem_stride=2,
        statistics="data",
        batch_size=4,
        epochs=2,
        probe_data=str(data),
        probe_every=1,
        **PRETRAINING[method],
        **ON_CPU,
    )
    run = Run(tmp_path / "run", data, averages=False)
    lines = run.lines("probe")
    assert [(line["epoch"], line["k"], line["images"]) for line in lines] == [
        (epoch, 20, [41, 51]) for epoch in range(3)
    ]
    weights = run.folder / "weights.safetensors"
    encoder = load_weights(Encoder("convnextv2_atto", stem_stride=2), weights)
    options = {"size": (48, 32), **run.found("config.json")["statistics"]}
    neighbours, known = files_of(data / "train")
    train, val = (outputs(pooled(encoder), paths, **options) for paths in (neighbours, queries))
    order = ranks(neighbour_votes(*_with(scaled(train, val), known), 7, 20), labels)
    assert lines[-1]["top_1"] == np.mean(order == 0)
    assert lines[-1]["top_5"] == np.mean(order < 5)


def _with(pair: tuple[Values, Values], labels: Whole) -> tuple[Values, Whole, Values]:
    return pair[0], labels, pair[1]
