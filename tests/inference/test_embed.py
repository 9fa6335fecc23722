"""Features against single images, both kinds of file, going on after an interruption, bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from trained_files import pixels_of, save_classifier, save_image

from fcmae.commands.embed import embed
from fcmae.images import Decoded, Subset, decode, evaluation_crop
from fcmae.inference import embed as embedding
from fcmae.models.classifier import Classifier
from fcmae.models.encoder import Encoder
from fcmae.storage.atomic import save_tensors
from fcmae.weights import read_weights

ON_CPU: dict[str, Any] = {"device": "cpu", "workers": 0, "batch_size": 2}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Seven images of two classes; another cannot be read."""
    for number in range(7):
        save_image(tmp_path / "data/val" / ("cat", "dog")[number % 2] / f"{number}.npy", number)
    (tmp_path / "data/val/cat/3.png").write_bytes(b"")
    return tmp_path / "data"


NAMES = ["cat/0.npy", "cat/2.npy", "cat/4.npy", "cat/6.npy", "dog/1.npy", "dog/3.npy", "dog/5.npy"]


@torch.no_grad()
def features_of(classifier: Classifier, data: Path, *, norm: bool) -> NDArray[np.float32]:
    rows: list[Tensor] = []
    for name in NAMES:
        pooled = classifier.features(pixels_of(classifier, data / "val" / name))[-1].mean((2, 3))
        rows += classifier.norm(pooled) if norm else pooled
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("norm", [False, True])
def test_an_array_with_its_names_beside_it(
    data: Path, weights: Path, classifier: Classifier, norm: bool
) -> None:
    out = data.parent / "found.npy"
    assert embed(data=str(data), weights=str(weights), out=str(out), norm=norm, **ON_CPU) == out
    found = np.load(out)
    assert (found.dtype, found.shape) == (np.float32, (7, 320))
    np.testing.assert_allclose(found, features_of(classifier, data, norm=norm), rtol=0, atol=1e-5)
    beside = json.loads(out.with_suffix(".json").read_text())
    assert beside["names"] == [f"val/{name}" for name in NAMES]
    assert beside["labels"] is None
    assert beside["unreadable"] == {"val/cat/3.png": "empty file"}
    assert (beside["norm"], beside["image_size"]) == (norm, [32, 40])
    assert {path.name for path in data.parent.iterdir()} == {
        "data", "found.npy", "found.json", "weights.safetensors",
    }  # fmt: skip


def test_parquet_has_names_labels_and_features(
    data: Path, weights: Path, classifier: Classifier
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = data.parent / "found.parquet"
    embed(data=str(data), weights=str(weights), out=str(out), split="val", **ON_CPU)
    table = parquet.read_table(out)
    assert table.column_names == ["path", "label", "features"]
    assert table["path"].to_pylist() == NAMES
    assert table["label"].to_pylist() == [name[:3] for name in NAMES]
    found = np.array(table["features"].to_pylist(), np.float32)
    np.testing.assert_allclose(found, features_of(classifier, data, norm=False), rtol=0, atol=1e-5)
    told = json.loads(table.schema.metadata[b"fcmae"])
    assert told["unreadable"] == {"cat/3.png": "empty file"}
    unlabelled = data.parent / "unlabelled.parquet"
    embed(data=str(data), weights=str(weights), out=str(unlabelled), **ON_CPU)
    assert parquet.read_table(unlabelled).column_names == ["path", "features"]


def test_odd_names_are_escaped_in_parquet(
    tmp_path: Path, weights: Path, classifier: Classifier
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    odd = b"\xe9t\xe9.npy".decode(errors="surrogateescape")
    save_image(tmp_path / "images" / odd, 1)
    out = tmp_path / "a.parquet"
    embed(data=str(tmp_path / "images"), weights=str(weights), out=str(out), **ON_CPU)
    assert parquet.read_table(out)["path"].to_pylist() == ["\\udce9t\\udce9.npy"]


@pytest.mark.parametrize("channels", [1, 13])
def test_an_encoder_of_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    run = tmp_path / "run"
    run.mkdir()
    encoder = Encoder("convnextv2_atto", in_channels=channels, stem_stride=1).eval()
    save_tensors(run / "weights.safetensors", encoder.state_dict())
    mean, std = [0.3] * channels, [0.1] * channels
    config = {"image_size": [24, 32], "statistics": {"mean": mean, "std": std}}
    (run / "config.json").write_text(json.dumps(config))
    save_image(tmp_path / "images/x.npy", 0, channels)
    out = tmp_path / "a.npy"
    options = {"data": str(tmp_path / "images"), "weights": str(run), "out": str(out), **ON_CPU}
    with pytest.raises(ValueError, match="have no final norm, as after pre-training"):
        embed(**options, norm=True)
    embed(**options)
    crop = evaluation_crop(decode(tmp_path / "images/x.npy", channels), (24, 32))[None]
    with torch.no_grad():
        expected = encoder((crop - 0.3) / 0.1, mode="dense").mean((2, 3))
    np.testing.assert_allclose(np.load(out), expected, rtol=0, atol=1e-5)


def test_the_samples_classes_are_labels(weights: Path, classifier: Classifier) -> None:
    pytest.importorskip("skimage")
    out = weights.with_name("a.npy")
    embed(data="sample", split="val", weights=str(weights), out=str(out), image_size=8,
          **(ON_CPU | {"batch_size": 64}))  # fmt: skip
    beside = json.loads(out.with_suffix(".json").read_text())
    assert beside["labels"][::16] == sorted(set(beside["labels"]), key=beside["labels"].index)
    assert all(name.startswith(f"{label}/val/")
               for name, label in zip(beside["names"], beside["labels"], strict=True))  # fmt: skip


# Interruptions


class Stopped(Exception):
    """As if the power had gone."""


@pytest.fixture
def interrupted(
    data: Path, weights: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The options of a start that was stopped in its second part of four images."""
    monkeypatch.setattr(embedding, "PART", 4)
    options = {"data": str(data), "weights": str(weights), "out": str(data.parent / "a.npy")}
    forward_in_order = embedding.forward_in_order

    def stopping(*arguments: Any, **rest: Any) -> Any:
        for number, output in enumerate(forward_in_order(*arguments, **rest)):
            if number == 3:
                raise Stopped
            yield output

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "forward_in_order", stopping)
        with pytest.raises(Stopped):
            embed(**options, **ON_CPU)
    assert not Path(options["out"]).exists()
    return options | ON_CPU


def test_it_goes_on_where_it_was(
    interrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path(interrupted["out"]).with_name("whole.npy")
    embed(**(interrupted | {"out": str(whole)}))
    read: list[str] = []
    usual = Subset.read

    def watched(rest: Subset[Any], index: int, *how: Any) -> Decoded:
        read.append(rest.name(index))
        return usual(rest, index, *how)

    monkeypatch.setattr(Subset, "read", watched)
    capsys.readouterr()
    out = embed(**interrupted)
    assert "going on after 4 of 8 images" in capsys.readouterr().err
    assert {path.removeprefix("val/") for path in read} == set(NAMES[3:])
    assert out.read_bytes() == whole.read_bytes()
    assert out.with_suffix(".json").read_bytes() == whole.with_suffix(".json").read_bytes()
    beside = json.loads(out.with_suffix(".json").read_text())
    assert beside["unreadable"] == {"val/cat/3.png": "empty file"}  # of the first part


def test_it_goes_on_where_only_the_file_was_missing(interrupted: dict[str, Any]) -> None:
    out = Path(interrupted["out"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "finish", lambda *_: None)
        embed(**interrupted)
    out.with_suffix(".json").write_text("half of what the end writes")
    embed(**interrupted)
    assert np.load(out).shape == (7, 320)
    assert len(json.loads(out.with_suffix(".json").read_text())["names"]) == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 4}, "another batch_size: 2, now 4"),
        ({"image_size": 16}, r"another image_size: \[32, 40\], now \[16, 16\]"),
        ({"norm": True}, "another norm: False, now True"),
        ({"precision": "bf16"}, "another precision: fp32, now bf16"),
        ({"split": "val"}, "another files"),
    ],
)
def test_it_does_not_go_on_with_other_options(
    interrupted: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=f"{words}.*; give the same to go on, or --overwrite"):
        embed(**(interrupted | options))
    found = embed(**(interrupted | options), overwrite=True)
    assert len(np.load(found)) == 7


def test_it_does_not_go_on_with_other_weights(interrupted: dict[str, Any], weights: Path) -> None:
    read = read_weights(weights)
    state, description = read.state, read.description
    state["stages.3.1.pwconv2.bias"][0] += 1e-3
    save_tensors(weights, state, description)
    with pytest.raises(ValueError, match="another weights"):
        embed(**interrupted)


# Bad input


@pytest.mark.parametrize("there", ["a.npy", "a.json"])
def test_files_are_replaced_only_when_told_to(
    data: Path, weights: Path, classifier: Classifier, there: str
) -> None:
    (data.parent / there).write_text("precious")
    options = {"data": str(data), "weights": str(weights), "out": str(data.parent / "a.npy")}
    with pytest.raises(ValueError, match=rf"{there} exists: .*--overwrite"):
        embed(**options, **ON_CPU)
    assert (data.parent / there).read_text() == "precious"
    embed(**options, **ON_CPU, overwrite=True)
    assert len(np.load(data.parent / "a.npy")) == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": "a.csv"}, r"ends in \.npy or \.parquet"),
        ({"out": "/no/such/folder/a.npy"}, "the folder of .* does not exist"),
        ({"data": "/no/such/folder"}, "/no/such/folder"),
        ({"split": "valid"}, "unknown split 'valid'"),
        ({"split": "train"}, "has no folder train"),
        ({"weights": "/no/such/file"}, "/no/such/file"),
        ({"image_size": 0}, "image_size 0 x 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"workers": -2}, "workers -2"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
    ],
)
def test_bad_input_is_refused_in_words(
    data: Path, weights: Path, classifier: Classifier, options: dict[str, Any], words: str
) -> None:
    out = data.parent / "a.npy"
    usual = {"data": str(data), "weights": str(weights), "out": str(out), **ON_CPU}
    with pytest.raises(ValueError, match=words):
        embed(**(usual | options))
    assert not list(data.parent.glob("*.npy"))
    assert not list(data.parent.glob(".*.parts"))


def test_an_array_among_the_images_is_refused(data: Path, weights: Path) -> None:
    (data.parent / "link").symlink_to(data)
    for folder in ("data", "link"):
        out = data.parent / folder / "val/found.npy"
        with pytest.raises(ValueError, match="lies inside data"):
            embed(data=str(data), weights=str(weights), out=str(out), **ON_CPU)


def test_a_folder_is_never_overwritten(data: Path, weights: Path) -> None:
    (data.parent / "a.npy").mkdir()
    with pytest.raises(ValueError, match=r"a\.npy is a folder"):
        embed(data=str(data), weights=str(weights), out=str(data.parent / "a.npy"), overwrite=True)


def test_parquet_without_pyarrow_is_refused_at_once(
    data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"needs pyarrow: pip install 'fcmae\[parquet\]'"):
        embed(data=str(data), weights=str(weights), out=str(data.parent / "a.parquet"))


def test_images_none_of_which_can_be_read(
    tmp_path: Path, weights: Path, classifier: Classifier
) -> None:
    (tmp_path / "images").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "images/a.png")
    save_classifier(weights, in_channels=13)
    with pytest.raises(ValueError, match=r"none of the 1 images .*a\.png: 1 channels, 13 wanted"):
        embed(data=str(tmp_path / "images"), weights=str(weights), out=str(tmp_path / "a.npy"),
              **ON_CPU)  # fmt: skip
    assert not list(tmp_path.glob(".*.parts"))


def test_several_processes_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="embed runs in one process, not 2"):
        embed(data=str(data), weights="w", out="a.npy")
