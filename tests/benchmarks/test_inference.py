import json
import statistics
from pathlib import Path

import pytest
import torch

from fcmae.benchmarks import inference
from fcmae.benchmarks.inference import pair, require_agreement
from fcmae.commands.benchmark import inference as benchmark_inference
from fcmae.training.devices import Runtime

SMALL = {
    "models": ("convnextv2_atto",),
    "batch_sizes": (1, 2),
    "image_sizes": (64,),
    "precisions": ("fp32",),
    "device": "cpu",
    "repeats": 3,
}


def test_forward_and_step_are_timed_against_timm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = benchmark_inference(**SMALL, json=tmp_path / "a.json")  # type: ignore[arg-type]
    assert [(row["batch_size"], row["work"], row["kind"]) for row in rows] == [
        (1, "forward", "eager"), (1, "step", "eager"), (2, "forward", "eager"),
        (2, "step", "eager"),
    ]  # fmt: skip
    for row in rows:
        ours, timm = row["seconds"]["ours"], row["seconds"]["timm"]
        assert len(ours) == len(timm) == 3
        ratios = [slow / fast for slow, fast in zip(timm, ours, strict=True)]
        assert row["speedup"] == statistics.median(ratios)
        assert row["speedup_range"] == [min(ratios), max(ratios)]
        assert row["images_per_second"]["ours"] == row["batch_size"] / statistics.median(ours)
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["rows"] == rows
    assert "timm" in written["versions"]
    assert "step, eager" in capsys.readouterr().out


def test_compiled_models_are_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(inference, "_compiled", lambda model: compiled.append(model) or model)
    small = SMALL | {"batch_sizes": (1,), "repeats": 1}
    rows = benchmark_inference(**small, compile=True)  # type: ignore[arg-type]
    assert [(row["work"], row["kind"]) for row in rows] == [
        ("forward", "eager"), ("forward", "compiled"), ("step", "eager"), ("step", "compiled")
    ]  # fmt: skip
    assert len(compiled) == 2


def test_a_difference_is_not_timed() -> None:
    ours, theirs = (model.eval() for model in pair("convnextv2_atto"))
    images, runtime = torch.randn(2, 3, 64, 64), Runtime(torch.device("cpu"), "fp32")
    require_agreement({"ours": ours, "timm": theirs}, images, runtime, "atto")
    with torch.no_grad():
        ours.get_parameter("stages.2.3.grn.beta")[..., 5] += 3
    with pytest.raises(RuntimeError, match="atto: our logits and timm's differ"):
        require_agreement({"ours": ours, "timm": theirs}, images, runtime, "atto")


def test_what_does_not_fit_is_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inference, "pair", refuse)
    rows = benchmark_inference(**SMALL)  # type: ignore[arg-type]
    assert [row["error"] for row in rows] == ["does not fit in memory"] * 2
    assert "does not fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": ("convnextv2_ato",)}, "convnextv2_atto"),
        ({"batch_sizes": (0,)}, "batch_sizes: 0"),
        ({"image_sizes": (16,)}, "image_sizes: 16 is less than 32"),
        ({"repeats": 0}, "repeats: 0"),
        ({"precisions": ("fp16",)}, "fp16"),
        ({"json": Path("no/such/folder/file.json")}, "json: the folder"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        benchmark_inference(**{**SMALL, **arguments})  # type: ignore[arg-type]
