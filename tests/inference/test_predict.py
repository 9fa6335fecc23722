"""Predictions against single images, in the order that was asked for; every bad input."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from trained_files import CLASSES, logits_of, save_classifier, save_image

from fcmae.commands.predict import predict
from fcmae.models.classifier import Classifier

ON_CPU: dict[str, Any] = {"device": "cpu", "workers": 0, "batch_size": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images, nested, one of which cannot be read."""
    for number, name in enumerate(("b/2.npy", "b/a/9.npy", "c.npy", "a, b.npy")):
        save_image(tmp_path / "images" / name, number)
    (tmp_path / "images/b/1.png").write_bytes(b"not a picture")
    return tmp_path / "images"


ORDER = ["a, b.npy", "b/1.png", "b/2.npy", "b/a/9.npy", "c.npy"]


def test_rows_are_what_the_classifier_says_of_each_image(
    folder: Path, weights: Path, classifier: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder.parent / "found.csv"
    assert (
        predict(images=(str(folder),), weights=str(weights), out=str(out), top=3, **ON_CPU) == out
    )
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class_1", "probability_1", "class_2", "probability_2",
                             "class_3", "probability_3", "error"]  # fmt: skip
    assert [row["path"] for row in rows] == [f"{folder}/{name}" for name in ORDER]
    broken = rows.pop(1)
    assert broken.pop("error") == "not a JPEG, PNG, WebP, BMP, TIFF or NPY image"
    assert set(list(broken.values())[1:]) == {""}
    for row in rows:
        probabilities = logits_of(classifier, Path(row["path"])).double().softmax(0)
        order = probabilities.argsort(descending=True).tolist()
        assert row["error"] == ""
        for rank in range(3):
            assert row[f"class_{rank + 1}"] == CLASSES[order[rank]]
            expected = probabilities[order[rank]].item()
            assert float(row[f"probability_{rank + 1}"]) == pytest.approx(expected, abs=2e-6)
    assert len({row["class_1"] for row in rows}) > 1
    said = capsys.readouterr().err
    assert "1 of 5 files could not be read" in said
    assert str(out) in said


def test_json_has_the_same_rows(folder: Path, weights: Path, classifier: Classifier) -> None:
    found = {}
    for kind in ("csv", "json"):
        found[kind] = predict(
            images=(str(folder),), weights=str(weights), out=f"{folder.parent}/a.{kind}", **ON_CPU
        )
    with found["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    listed = json.loads(found["json"].read_text())
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in listed] == rows
    assert len(listed[0]) == 12  # five classes


def test_names_are_taken_in_order_and_each_once(
    folder: Path, weights: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path("list.txt").write_text("b/2.npy\nc.npy")
    predict(images=("c.npy", "b", "list.txt", "b/2.npy"), weights=str(weights), out="a.json",
            **ON_CPU)  # fmt: skip
    rows = json.loads(Path("a.json").read_text())
    assert [row["path"] for row in rows] == ["c.npy", "b/1.png", "b/2.npy", "b/a/9.npy"]
    assert [row["error"] is None for row in rows] == [True, False, True, True]


@pytest.mark.parametrize("channels", [1, 13])
def test_one_image_of_any_number_of_channels(tmp_path: Path, weights: Path, channels: int) -> None:
    classifier = save_classifier(weights, in_channels=channels, classes=("yes", "no"))
    path = save_image(tmp_path / "x.npy", 5, channels)
    out = predict(
        images=(str(path),), weights=str(weights), out=str(tmp_path / "a.json"), top=1, **ON_CPU
    )
    (row,) = json.loads(out.read_text())
    best = int(logits_of(classifier, path).argmax())
    assert (row["path"], row["class_1"]) == (str(path), ("yes", "no")[best])


def test_fewer_classes_than_asked_for_are_all_there(tmp_path: Path, weights: Path) -> None:
    save_classifier(weights, classes=("yes", "no"))
    path = save_image(tmp_path / "x.npy", 5)
    out = predict(images=(str(path),), weights=str(weights), out=str(tmp_path / "a.json"), **ON_CPU)
    (row,) = json.loads(out.read_text())
    assert {row["class_1"], row["class_2"]} == {"yes", "no"}
    assert row["probability_1"] + row["probability_2"] == pytest.approx(1, abs=1.1e-6)
    assert "class_3" not in row


def test_odd_names_are_escaped(tmp_path: Path, weights: Path, classifier: Classifier) -> None:
    odd = b"\xe9t\xe9.npy".decode(errors="surrogateescape")
    save_image(tmp_path / "images" / odd, 1)
    out = predict(
        images=(str(tmp_path / "images"),), weights=str(weights), out=str(tmp_path / "a.csv"),
        **ON_CPU,
    )  # fmt: skip
    assert "\\udce9t\\udce9.npy" in out.read_text(encoding="utf-8")


def test_a_table_is_replaced_only_when_told_to(
    folder: Path, weights: Path, classifier: Classifier
) -> None:
    out = folder.parent / "a.csv"
    out.write_text("precious")
    options = {"images": (str(folder),), "weights": str(weights), "out": str(out), **ON_CPU}
    with pytest.raises(ValueError, match=r"a\.csv exists: .* --overwrite"):
        predict(**options)
    assert out.read_text() == "precious"
    predict(**options, overwrite=True)
    assert out.read_text().startswith("path,class_1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": "a.xlsx"}, r"ends in \.csv or \.json"),
        ({"out": "/no/such/folder/a.csv"}, "the folder of .* does not exist"),
        ({"top": 0}, "top 0: at least 1"),
        ({"images": ()}, "images: none is given"),
        ({"images": ("/no/such/image.png",)}, "images: '/no/such/image.png' does not exist"),
        ({"weights": "/no/such/file"}, "/no/such/file"),
        ({"image_size": "4x64"}, "image_size 4 x 64: both sides must be at least 8"),
        ({"batch_size": -1}, "batch_size -1"),
        ({"workers": -1}, "workers -1"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
    ],
)
def test_bad_input_is_refused_in_words(
    folder: Path, weights: Path, classifier: Classifier, options: dict[str, Any], words: str
) -> None:
    out = folder.parent / "a.csv"
    usual = {"images": (str(folder),), "weights": str(weights), "out": str(out), **ON_CPU}
    with pytest.raises(ValueError, match=words):
        predict(**(usual | options))
    assert not out.exists()


def test_several_processes_are_refused(
    folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="predict runs in one process, not 2"):
        predict(images=(str(folder),), weights=str(weights), out="a.csv")
