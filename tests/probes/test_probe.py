"""The whole probe: what it finds, what it says, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted import calls_of, cut_off
from numpy.typing import NDArray
from random_weights import randomise

from fcmae.commands.probe import probe
from fcmae.images import open_labelled, share
from fcmae.models.classifier import create_model
from fcmae.models.encoder import Encoder
from fcmae.probes import probe as probing
from fcmae.probes.knn import nearest_neighbours
from fcmae.storage.atomic import save_tensors

QUICK: dict[str, Any] = {"device": "cpu", "workers": 0, "batch_size": 7, "k": (3,), "seeds": 2}
CONTROLS = ("random weights", "the colour histogram")
Picture = Callable[[np.random.Generator, int, int], NDArray[Any]]


def noise(draw: np.random.Generator, label: int, channels: int) -> NDArray[Any]:
    """Classes that nothing tells apart."""
    return draw.integers(0, 256, (19, 26, channels), dtype=np.uint8)


def shades(draw: np.random.Generator, label: int, channels: int) -> NDArray[Any]:
    """Classes that a histogram tells apart."""
    return (noise(draw, label, channels) // 4 + 32 * label).astype(np.uint8)


def write(
    folder: Path, picture: Picture, *, channels: int = 3, classes: str = "abc", train: int = 24
) -> Path:
    draw = np.random.default_rng(0)
    for split, images in (("train", train), ("val", 15)):
        for number in range(images):
            label = number % len(classes)
            path = folder / split / classes[label] / f"{number:02d}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, picture(draw, label, channels))
    return folder


def save_run(folder: Path, *, channels: int = 3, seed: int = 5) -> Path:
    """What pre-training leaves behind, as far as it is read."""
    torch.manual_seed(seed)
    encoder = Encoder("convnextv2_atto", in_channels=channels, stem_stride=1)
    folder.mkdir(exist_ok=True)
    described = {"model": "convnextv2_atto", "in_channels": channels, "stem_stride": 1}
    save_tensors(folder / "weights.safetensors", encoder.state_dict(), described)
    statistics = {"mean": [0.5] * channels, "std": [0.3] * channels}
    config = {"image_size": [16, 24], "statistics": statistics, "options": {}, "plan": {}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def run(weights: Path, data: Path, **options: Any) -> dict[str, Any]:
    return probe(weights=str(weights), data=str(data), **(QUICK | options))


@pytest.mark.parametrize("channels", [1, 13])
def test_three_rows_beside_each_other(
    tmp_path: Path, channels: int, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", shades, channels=channels)
    weights = save_run(tmp_path / "run", channels=channels)
    target = tmp_path / "probe.json"
    found = run(weights, data, k=(1, 3), label_share=(0.5, 1.0), json=str(target))
    assert json.loads(target.read_text()) == json.loads(json.dumps(found))
    names = [column["name"] for column in found["columns"]]
    one, three, linear = "kNN 1", "kNN 3", "linear probe"
    assert names == [f"{one} at 50 %", f"{three} at 50 %", f"{linear} at 50 %", one, three, linear]
    for column in found["columns"]:
        seeds = {name: len(values) for name, values in column["top_1"].items()}
        alone = 2 if column["label_share"] < 1 else 1
        histogram = CONTROLS[1]
        assert seeds == {"these weights": alone, CONTROLS[0]: 2, histogram: alone}
        assert column["top_1"][histogram] == [1.0] * alone
        assert column["differences"][CONTROLS[1]]["word"] in ("no better", "worse")
        assert column["top_5"][histogram] is None
    assert found["chance"]["top_1"] == pytest.approx(1 / 3)
    assert found["image_size"] == (16, 24)
    assert found["mean"] == (0.5,) * channels
    assert found["assumed"] is None
    screen = " ".join(capsys.readouterr().out.split())
    assert "did not show that it helped" in screen
    assert found["verdict"] in screen
    for name in ("these weights", *CONTROLS, "chance"):
        assert name in screen


def test_weights_that_are_random_are_no_better_than_random(tmp_path: Path) -> None:
    """Those of a control's seed: that control's numbers, to the last digit."""
    data, weights = write(tmp_path / "data", noise), save_run(tmp_path / "run", seed=0)
    for column in run(weights, data, seeds=1)["columns"]:
        given, control, _ = column["top_1"].values()
        assert given == control
        assert column["differences"][CONTROLS[0]]["mean"] == 0


def test_random_weights_are_of_the_given_ones_kind() -> None:
    kind = {"model": "convnextv2_atto", "in_channels": 13, "stem_stride": 2, "response": "layer"}
    made = probing.encoders_of(Encoder(**kind).eval(), seeds=2)
    kinds = [{name: getattr(encoder, name) for name in kind} for encoder in made]
    assert kinds == [kind] * 3
    assert not any(encoder.training for encoder in made)


def test_of_several_states_the_one_that_is_named_is_probed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data", noise)
    states = {
        name: randomise(Encoder("convnextv2_atto"), seed).state_dict()
        for seed, name in enumerate(("model", "model_ema"))
    }
    torch.save(states, tmp_path / "states.pth")
    probed = calls_of(monkeypatch, probing, "encoders_of")
    cut_off(monkeypatch, probing, "features_of", lambda *_: True)
    for key in (None, *states):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "states.pth", data, key=key, seeds=1)
        read = probed[-1][0].state_dict()
        for name, value in states[key or "model"].items():
            assert torch.equal(read[name], value), (key, name)


def test_weights_that_see_what_the_controls_do_not_have_helped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, weights = write(tmp_path / "data", noise, train=60), save_run(tmp_path / "run")
    classes = iter(
        [label for split in ("train", "val") for label in open_labelled(data, split).labels]
    )
    given: list[Any] = []

    def knowing(encoder: Any, images: torch.Tensor) -> torch.Tensor:
        if not given:
            given.append(encoder)
        features = original(encoder, images)
        if encoder is not given[0]:
            return features
        known = torch.tensor([next(classes) for _ in images])
        return 0 * features + torch.nn.functional.one_hot(known, 320)

    original = probing.pooled
    monkeypatch.setattr(probing, "pooled", knowing)
    found = run(weights, data)
    assert found["verdict"].startswith("Pre-training helped: better than both controls")


def test_a_share_of_labels_is_that_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, weights = write(tmp_path / "data", noise), save_run(tmp_path / "run")
    (data / "train/a/00.npy").write_bytes(b"no array")  # which moves all rows of features by one
    train = open_labelled(data)
    kept: list[set[str]] = []

    def watched(features: Any, *rest: Any) -> Any:
        kept.append({train.name(index) for index in features.indices.tolist()})
        return nearest_neighbours(features, *rest)

    monkeypatch.setattr(probing, "nearest_neighbours", watched)
    run(weights, data, label_share=(0.25,))
    drawn = []
    for seed in range(2):
        part = share(train, 0.25, seed)
        drawn.append({part.name(index) for index in range(len(part))})
    readable = [names - {"a/00.npy"} for names in drawn]
    assert kept == readable * 3  # the same draws for each row
    assert drawn[0] != drawn[1]


def test_it_says_the_same_again_and_in_other_batches(tmp_path: Path) -> None:
    data, weights = write(tmp_path / "data", noise, train=9), save_run(tmp_path / "run")
    state = torch.get_rng_state()
    first = run(weights, data, seeds=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert run(weights, data, seeds=1) == first
    again = run(weights, data, seeds=1, batch_size=1)
    assert again["columns"][0]["top_1"] == first["columns"][0]["top_1"]


def test_a_classifier_is_probed_before_its_norm_and_head(tmp_path: Path) -> None:
    data = write(tmp_path / "data", shades, classes="abcdef", train=12)
    run_folder = save_run(tmp_path / "run")
    torch.manual_seed(5)
    classifier = create_model("convnextv2_atto", num_classes=9, stem_stride=1)
    encoder = Encoder("convnextv2_atto", stem_stride=1)
    encoder.load_state_dict(classifier.state_dict(), strict=False)
    described = {"mean": [0.5] * 3, "std": [0.3] * 3, "image_size": [16, 24]}
    file = tmp_path / "classifier.safetensors"
    save_tensors(file, classifier.state_dict(), described)
    save_tensors(run_folder / "weights.safetensors", encoder.state_dict())
    alone, whole = run(run_folder, data, seeds=1), run(file, data, seeds=1)
    assert alone["columns"] == whole["columns"]
    assert len(whole["columns"][0]["top_5"]["these weights"]) == 1


def test_files_without_a_run_are_taken_at_224_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, folder = write(tmp_path / "data", shades), save_run(tmp_path / "run")
    found = run(folder / "weights.safetensors", data, image_size="16x8")
    assert found["image_size"] == (16, 8)
    assert "assumed: ImageNet's mean" in capsys.readouterr().err


def test_an_unreadable_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, weights = write(tmp_path / "data", noise), save_run(tmp_path / "run")
    (data / "train/b/04.npy").write_bytes(b"no array")
    found = run(weights, data)
    assert list(found["unreadable"]) == ["train/b/04.npy"]
    assert found["train_images"] == 23
    assert "train/b/04.npy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": (25,)}, r"k 25: label share 1 leaves 24 images; give k from 1 to 24"),
        ({"k": (3, 0)}, r"k 0: "),
        ({"label_share": (0.01,), "k": (4,)}, r"k 4: label share 0\.01 leaves 3 images"),
        ({"label_share": (1.5,)}, r"label share 1\.5"),
        ({"label_share": ()}, "label_share is empty"),
        ({"k": ()}, "k is empty"),
        ({"seeds": 0}, "seeds 0: at least 1"),
        ({"image_size": 4}, "image_size 4 x 4"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"workers": -1}, "workers -1"),
        ({"device": "cup"}, "did you mean 'cpu'"),
        ({"precision": "fp23"}, "did you mean 'fp32'"),
        ({"json": "/nowhere/at/all.json"}, "json: the folder of"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    data, weights = write(tmp_path / "data", noise), save_run(tmp_path / "run")
    with pytest.raises(ValueError, match=message):
        run(weights, data, **options)


def test_data_without_classes_is_refused(tmp_path: Path) -> None:
    weights = save_run(tmp_path / "run")
    np.save(tmp_path / "a.npy", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="has no folder train"):
        run(weights, tmp_path)
    one = write(tmp_path / "one", noise, classes="a")
    with pytest.raises(ValueError, match="only one class, 'a'"):
        run(weights, one)


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_other_channels_than_the_weights(tmp_path: Path, workers: int) -> None:
    data, weights = write(tmp_path / "data", noise), save_run(tmp_path / "run", channels=13)
    with pytest.raises(ValueError, match=r"3 channels, 13 wanted[\s\S]*take images of 13 channels"):
        run(weights, data, workers=workers)


def test_the_sample_set_has_no_thirteen_channels(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    weights = save_run(tmp_path / "run", channels=13)
    with pytest.raises(ValueError, match=r"^channels 13: the sample set has 1 or 3$"):
        run(weights, Path("sample"), workers=1)


def test_it_runs_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="probe runs in one process"):
        run(tmp_path, tmp_path)
