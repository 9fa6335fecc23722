"""Evaluation against loops over single images; several processes; every bad input."""

import copy
import dataclasses
import json
import math
import shutil
from collections import defaultdict
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from trained_files import CLASSES, SIZE, logits_of, save_classifier, save_image
from two_processes import run_pair, take_part

from fcmae.commands.embed import embed
from fcmae.commands.evaluate import Evaluation, evaluate
from fcmae.commands.predict import predict
from fcmae.images import IMAGENET_MEAN, IMAGENET_STD, decode, evaluation_crop
from fcmae.inference.load import load_classifier
from fcmae.models.classifier import Classifier
from fcmae.storage.atomic import save_tensors

ON_CPU: dict[str, Any] = {"device": "cpu", "workers": 0, "batch_size": 4}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


class Made(NamedTuple):
    """A classifier, its file, and images."""

    classifier: Classifier
    weights: Path
    data: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Nineteen images of four of the seven classes; about half are where they are predicted."""
    root = tmp_path_factory.mktemp("made")
    folder, weights = root / "data", root / "weights.safetensors"
    classifier = save_classifier(weights)
    used = ("fox", "bee", "eel", "dog")
    for number in range(19):
        path = save_image(folder / "new.npy", number)
        name = CLASSES[int(logits_of(classifier, path).argmax())]
        if number < 4 or number % 2 or name not in used:
            name = used[number % 4]
        place = folder / "val" / name / f"{number:02d}.npy"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    return Made(classifier, weights, folder)


@pytest.fixture
def classifier(made: Made, weights: Path) -> Classifier:
    shutil.copy(made.weights, weights)
    return copy.deepcopy(made.classifier)


@pytest.fixture
def data(made: Made, tmp_path: Path, classifier: Classifier) -> Path:
    return shutil.copytree(made.data, tmp_path / "data")


def by_hand(classifier: Classifier, folder: Path) -> dict[str, Any]:
    """Everything but the calibration, from one image at a time."""
    rows = []
    for path in sorted(folder.glob("*/*.npy")):
        logits = logits_of(classifier, path).double().tolist()
        label = CLASSES.index(path.parent.name)
        order = sorted(range(len(CLASSES)), key=lambda number: -logits[number])
        total = math.fsum(math.exp(value) for value in logits)
        confidence = math.exp(logits[order[0]]) / total
        rows.append((label, order, math.log(total) - logits[label], confidence))
    right = [label == order[0] for label, order, *_ in rows]
    names = sorted({CLASSES[label] for label, *_ in rows})
    of = {name: [i for i, row in enumerate(rows) if CLASSES[row[0]] == name] for name in names}
    bins: dict[int, float] = defaultdict(float)
    for hit, (*_, confidence) in zip(right, rows, strict=True):
        bins[math.ceil(confidence * 15)] += confidence - hit
    return {
        "calibration_error": sum(map(abs, bins.values())) / len(rows),
        "images": len(rows),
        "top_1": sum(right) / len(rows),
        "top_5": sum(label in order[:5] for label, order, *_ in rows) / len(rows),
        "cross_entropy": math.fsum(loss for *_, loss, _ in rows) / len(rows),
        "class_images": {name: len(of[name]) for name in names},
        "class_accuracy": {name: sum(right[i] for i in of[name]) / len(of[name]) for name in names},
        "confusion": {
            name: {
                other: count
                for number, other in enumerate(CLASSES)
                if (count := sum(rows[i][1][0] == number for i in of[name]))
            }
            for name in names
        },
    }


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_all_measures_are_those_of_a_loop(
    data: Path, weights: Path, classifier: Classifier, batch_size: int
) -> None:
    found = evaluate(data=str(data), weights=str(weights), **(ON_CPU | {"batch_size": batch_size}))
    expected = by_hand(classifier, data / "val")
    assert 0.2 < expected["top_1"] < expected["top_5"] < 1, "nothing would be told apart"
    assert len({name for row in expected["confusion"].values() for name in row}) > 2
    for name in ("cross_entropy", "calibration_error"):
        assert getattr(found, name) == pytest.approx(expected.pop(name), abs=1e-5)
    for name, value in expected.items():
        assert getattr(found, name) == value, name
    assert (found.unreadable, found.assumed, found.image_size) == ({}, None, SIZE)


def test_top_5_of_five_classes_says_nothing(tmp_path: Path, weights: Path) -> None:
    save_classifier(weights, in_channels=1, classes=("a", "b", "c", "d", "e"))
    for number, name in enumerate("ab"):
        save_image(tmp_path / "data" / name / "x.npy", number, channels=1)
    found = evaluate(data=str(tmp_path / "data"), weights=str(weights), **ON_CPU)
    assert (found.images, found.top_5) == (2, None)


def test_thirteen_channels(tmp_path: Path, weights: Path) -> None:
    classifier = save_classifier(weights, in_channels=13)
    for name in ("ant", "gnu"):
        save_image(tmp_path / "data/train" / name / "x.npy", 3, channels=13)
    found = evaluate(data=str(tmp_path / "data"), weights=str(weights), split="train", **ON_CPU)
    loss = logits_of(classifier, tmp_path / "data/train/ant/x.npy").log_softmax(0)[[0, 6]].mean()
    assert found.cross_entropy == pytest.approx(-loss.item(), abs=1e-5)


def test_the_image_size_may_be_another(data: Path, weights: Path, classifier: Classifier) -> None:
    found = evaluate(data=str(data), weights=str(weights), image_size="24x56", **ON_CPU)
    assert found.image_size == (24, 56)
    losses = [
        -logits_of(classifier, path, (24, 56)).log_softmax(0)[CLASSES.index(path.parent.name)]
        for path in (data / "val").glob("*/*.npy")
    ]
    assert found.cross_entropy == pytest.approx(torch.stack(losses).mean().item(), abs=1e-5)


def test_the_json_is_the_evaluation(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "found.json"
    found = evaluate(data=str(data), weights=str(weights), json=str(target), **ON_CPU)
    assert json.loads(target.read_text()) == json.loads(json.dumps(dataclasses.asdict(found)))
    printed, told = capsys.readouterr()
    assert str(target) in told
    assert f"{found.top_1:.2%}" in printed
    rows = [line.split() for line in printed.splitlines() if line[2:5] in CLASSES]
    names = [name for name, *_ in rows]
    accuracies = [found.class_accuracy[name] for name in names]
    assert len(names) == 4
    assert accuracies == sorted(accuracies)  # type: ignore[type-var]
    for name, _, _, other, count in rows:
        mistakes = {key: value for key, value in found.confusion[name].items() if key != name}
        assert count == f"({mistakes[other]})"
        assert mistakes[other] == max(mistakes.values())


def test_unreadable_files_are_named_and_not_counted(
    data: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = evaluate(data=str(data), weights=str(weights), **ON_CPU)
    (data / "val/bee/broken.npy").write_bytes(b"")
    (data / "val/fox/[red].npy").write_bytes(b"")
    found = evaluate(data=str(data), weights=str(weights), **ON_CPU)
    assert found.unreadable == {"bee/broken.npy": "empty file", "fox/[red].npy": "empty file"}
    assert "fox/[red].npy: empty file" in capsys.readouterr().err
    measured = dataclasses.replace(found, unreadable={}, cross_entropy=before.cross_entropy)
    assert measured == dataclasses.replace(before, calibration_error=found.calibration_error)
    assert found.cross_entropy == pytest.approx(before.cross_entropy, abs=1e-5)


def test_many_classes_show_the_worst_twenty(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = tuple(f"[b]{number}[/b]" for number in range(23))
    save_classifier(weights, in_channels=1, classes=classes)
    for number, name in enumerate(classes):
        save_image(tmp_path / "data" / name.replace("/", "") / "x.npy", number, channels=1)
    save_classifier(weights, in_channels=1, classes=tuple(n.replace("/", "") for n in classes))
    evaluate(data=str(tmp_path / "data"), weights=str(weights), **ON_CPU)
    printed = capsys.readouterr().out
    assert printed.count("%") == 3 + 20
    assert "[b]" in printed
    assert "and 3 classes more" in printed


# Which class is which


def nameless(path: Path, folders: list[str], classes: int = 7) -> None:
    save_classifier(path / "nameless.safetensors", classes=CLASSES[:classes], described=False)
    for number, name in enumerate(folders):
        save_image(path / "data" / name / "x.npy", number)


def measure(path: Path) -> Evaluation:
    found = path / "nameless.safetensors"
    return evaluate(data=str(path / "data"), weights=str(found), image_size=32, **ON_CPU)


def test_folders_may_be_named_by_number(tmp_path: Path) -> None:
    nameless(tmp_path, ["6", "2"])
    found = measure(tmp_path)
    assert list(found.class_images) == ["2", "6"]
    assert found.assumed is not None
    assert "classes 0 to 6 without names" in found.assumed
    assert "224" not in found.assumed


def test_as_many_folders_as_nameless_classes_count_in_order(tmp_path: Path) -> None:
    nameless(tmp_path, ["n01", "n00"], classes=2)
    found = measure(tmp_path)
    assert list(found.class_accuracy) == ["n00", "n01"]
    classifier, _ = load_classifier(str(tmp_path / "nameless.safetensors"))
    for number, name in enumerate(("n00", "n01")):
        image = decode(tmp_path / "data" / name / "x.npy", 3)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        logits = classifier(((evaluation_crop(image, (32, 32)) - mean) / std)[None])
        assert (found.class_accuracy[name] == 1) == (int(logits.argmax()) == number)


@pytest.mark.parametrize("folders", [["n00", "n01"], ["0", "7"], [str(i) for i in range(1, 9)]])
def test_other_folders_cannot_be_told_apart(tmp_path: Path, folders: list[str]) -> None:
    nameless(tmp_path, folders)
    with pytest.raises(ValueError, match=r"7 classes without names.*by the number.*0 to 6"):
        measure(tmp_path)


def test_classes_that_the_weights_do_not_know_are_named(data: Path, weights: Path) -> None:
    save_image(data / "val/zebra/x.npy", 1)
    with pytest.raises(ValueError, match=r"1 of its classes .*: zebra; .* lack: ant, cat, gnu\."):
        evaluate(data=str(data), weights=str(weights), **ON_CPU)


# What `predict` and `embed` share with it

COMMANDS = ("evaluate", "predict", "embed")


def numbers_of(command: str, path: Path, weights: str, **options: Any) -> list[float]:
    """What a command makes of the images, which are small here and so quickly seen."""
    data = str(path / "data")
    usual = {"weights": str(path / weights), "image_size": 8, **ON_CPU, **options}
    if command == "evaluate":
        return [evaluate(data=data, **usual).cross_entropy]
    usual["overwrite"] = True
    if command == "predict":
        out = predict(images=(data,), out=str(path / "found.json"), **usual)
        return [row["probability_1"] for row in json.loads(out.read_text())]
    found: list[float] = np.load(embed(data=data, out=str(path / "found.npy"), **usual)).ravel()
    return list(found)


@pytest.mark.parametrize("command", COMMANDS)
def test_all_compute_in_the_precision_that_is_asked_for(command: str, tmp_path: Path) -> None:
    nameless(tmp_path, ["0", "1"])
    exact, rounded = (
        numbers_of(command, tmp_path, "nameless.safetensors", precision=precision)
        for precision in ("fp32", "bf16")
    )
    assert exact != rounded
    assert exact == pytest.approx(rounded, rel=0.1, abs=0.1)


@pytest.mark.parametrize("command", COMMANDS)
def test_all_take_the_weights_that_the_key_says(command: str, tmp_path: Path) -> None:
    nameless(tmp_path, ["0", "1"])
    model = load_file(tmp_path / "nameless.safetensors")
    average = {name: value / 2 for name, value in model.items()}
    torch.save({"model": model, "model_ema": average}, tmp_path / "both.pth")
    save_tensors(tmp_path / "average.safetensors", average)
    of_model, of_average = (
        numbers_of(command, tmp_path, "both.pth", key=key) for key in (None, "model_ema")
    )
    assert of_average == numbers_of(command, tmp_path, "average.safetensors")
    assert of_average != of_model == numbers_of(command, tmp_path, "nameless.safetensors")


# Several processes


def _rank(rank: int, port: int, folder: str, options: dict[str, Any]) -> None:
    take_part(rank, port)
    torch.set_num_threads(1)
    found = evaluate(**options)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(dataclasses.asdict(found)))


@pytest.mark.slow
def test_two_processes_find_what_one_does(
    data: Path, weights: Path, tmp_path: Path, processes: ForkServerContext
) -> None:
    (data / "val/bee/broken.npy").write_bytes(b"")
    options = {**ON_CPU, "data": str(data), "weights": str(weights)}
    expected = evaluate(**options, json=str(tmp_path / "one.json"))
    options["json"] = str(tmp_path / "two.json")
    run_pair(processes, _rank, str(tmp_path), options)
    assert expected.images == 19
    for name in ("0.json", "1.json", "two.json"):
        assert json.loads((tmp_path / name).read_text()) == json.loads(
            (tmp_path / "one.json").read_text()
        )


# Bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "/no/such/folder"}, "data '/no/such/folder' is not a folder"),
        ({"weights": "/no/such/file"}, "/no/such/file"),
        ({"split": "vall"}, "unknown split 'vall': did you mean 'val'"),
        ({"split": "train"}, "has no folder train"),
        ({"image_size": 7}, "image_size 7 x 7: both sides must be at least 8 pixels"),
        ({"image_size": "big"}, "HEIGHTxWIDTH"),
        ({"batch_size": 0}, "batch_size 0: at least 1"),
        ({"workers": -1}, "workers -1: 0 or more"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({"json": "/no/such/folder/a.json"}, "json: the folder of .* does not exist"),
    ],
)
def test_bad_input_is_refused_in_words(
    data: Path, weights: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(**{"data": str(data), "weights": str(weights), **ON_CPU, **options})


def test_images_of_other_channels_are_all_unreadable(tmp_path: Path, weights: Path) -> None:
    save_classifier(weights, in_channels=13)
    for name in ("ant", "bee"):
        save_image(tmp_path / "data" / name / "x.npy", 1)
    with pytest.raises(ValueError, match=r"none of the 2 .*ant/x.npy: 3 channels, 13 wanted"):
        evaluate(data=str(tmp_path / "data"), weights=str(weights), **ON_CPU)


def test_the_samples_channels_are_said_without_a_workers_traceback(weights: Path) -> None:
    pytest.importorskip("skimage")
    save_classifier(weights, in_channels=13, classes=tuple("ab"))
    with pytest.raises(ValueError, match="unknown to the weights: astronaut, brick"):
        evaluate(data="sample", weights=str(weights), **ON_CPU)
    from fcmae.images.sample import SampleSet

    save_classifier(weights, in_channels=13, classes=SampleSet.classes)
    with pytest.raises(ValueError, match=r"^channels 13: the sample set has 1 or 3$"):
        evaluate(data="sample", weights=str(weights), **(ON_CPU | {"workers": 1}))


def test_weights_that_give_no_number_are_refused(
    data: Path, weights: Path, classifier: Classifier
) -> None:
    classifier.head.bias.data[2] = float("nan")
    said = {"mean": [0.5] * 3, "std": [0.5] * 3, "classes": CLASSES, "image_size": SIZE}
    save_tensors(weights, classifier.state_dict(), said)
    with pytest.raises(ValueError, match=r"output for bee/.*npy is not a number"):
        evaluate(data=str(data), weights=str(weights), **ON_CPU)
