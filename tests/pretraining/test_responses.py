"""What stands in GRN's place, from pre-training to fine-tuning: recipes, weights, resuming."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fcmae.commands.finetune import finetune
from fcmae.commands.pretrain import pretrain
from fcmae.inference.load import load_classifier
from fcmae.models.responses import BatchResponse, LayerResponse
from fcmae.training import trainer
from fcmae.training.engine import optimise

TINY: dict[str, Any] = {"image_size": 16, "stem_stride": 1, "workers": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two colours, six images of each to train on and two to validate on."""
    root = tmp_path_factory.mktemp("classes")
    for split, count in (("train", 6), ("val", 2)):
        for name, colour in (("blue", (20, 20, 200)), ("red", (200, 20, 20))):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                picture = Image.new("RGB", (20, 18 + i), (30, 30, 30))
                picture.paste(colour, (2, 2 + i, 11, 15))
                picture.save(root / split / name / f"{i}.png")
    return root


def start(classes: Path, out: Path, response: str, **options: Any) -> Path:
    usual = {"data": str(classes / "train"), "epochs": 2, "batch_size": 4, **TINY}
    return pretrain(out=str(out), set=(f"response={response}",), **(usual | options))


def test_weights_take_it_along_and_fine_tuning_takes_it_over(
    classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(classes, tmp_path / "run", "layer")
    assert "response grn -> layer" in capsys.readouterr().err.replace("\n", " ")
    assert json.loads((run / "config.json").read_text())["recipe"]["response"] == "layer"
    tuned = finetune(
        data=str(classes), out=str(tmp_path / "tuned"), init=str(run), epochs=1, batch_size=4,
        workers=0, device="cpu",
    )  # fmt: skip
    config = json.loads((tuned / "config.json").read_text())
    because = {d["field"]: d["because"] for d in config["departures"]}
    assert (config["recipe"]["response"], because["response"]) == ("layer", "that of the weights")
    for path in (tuned, tuned / "best.safetensors"):
        classifier, _ = load_classifier(str(path))
        assert {type(block.grn) for stage in classifier.stages for block in stage} == {
            LayerResponse
        }
    finetune(out=str(tuned), resume=True, workers=0)  # with what the run has


def test_another_than_the_weights_have_is_refused(classes: Path, tmp_path: Path) -> None:
    run = start(classes, tmp_path / "run", "scale", epochs=1)
    with pytest.raises(ValueError, match="of response scale, the model of aggregate"):
        finetune(
            data=str(classes), out=str(tmp_path / "tuned"), init=str(run), epochs=1, batch_size=4,
            set=("response=aggregate",), workers=0, device="cpu",
        )  # fmt: skip
    with pytest.raises(ValueError, match="of response scale, the model of grn"):
        pretrain(
            data=str(classes / "train"), out=str(tmp_path / "more"), init=str(run), epochs=1, **TINY
        )
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize(
    ("model", "response", "words"),
    [
        ("convnextv2_atto", "layr", "unknown response 'layr': did you mean 'layer'?"),
        ("convnext_atto", "batch", "convnext_atto has no GRN whose place it could take"),
    ],
)
def test_what_a_model_cannot_have_is_refused(
    classes: Path, tmp_path: Path, model: str, response: str, words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        start(classes, tmp_path / "run", response, model=model)
    with pytest.raises(ValueError, match=re.escape(words)):
        finetune(
            data=str(classes), out=str(tmp_path / "run"), model=model, epochs=1, batch_size=4,
            set=(f"response={response}",), **TINY,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"checkpoint_blocks": True}, "would move its running statistics a second time"),
        ({"micro_batch_size": 2}, "micro_batch_size 2: the run has None"),
    ],
)
def test_what_would_change_batch_statistics_is_refused(
    classes: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    run = start(classes, tmp_path / "run", "batch", epochs=1)
    with pytest.raises(ValueError, match=words):
        pretrain(out=str(run), resume=True, workers=0, **options)


def test_running_statistics_are_kept_and_resumed_to_the_byte(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = start(classes, tmp_path / "whole", "batch")
    calls = []

    def stopped(*arguments: Any, interrupted: Any, **options: Any) -> Any:
        for step in optimise(*arguments, interrupted=interrupted, **options):
            yield step
            calls.append(step)
            if step.number == 2:
                return

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "optimise", stopped)
        with pytest.raises(SystemExit):
            start(classes, tmp_path / "cut", "batch")
    assert len(calls) == 2
    cut = pretrain(out=str(tmp_path / "cut"), resume=True, workers=0)
    for name in ("weights.safetensors", "checkpoints/last/model.safetensors", "metrics.jsonl"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    state = load_file(whole / "weights.safetensors")
    moved = [value for name, value in state.items() if name.endswith("running_var")]
    assert len(moved) == 12
    assert not any(torch.equal(value, torch.ones_like(value)) for value in moved)
    assert not any(name.endswith("num_batches_tracked") for name in state)
    assert BatchResponse(3).state_dict().keys() == {"gamma", "beta", "running_mean", "running_var"}
