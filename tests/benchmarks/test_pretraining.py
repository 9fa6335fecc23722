import json
import statistics
from pathlib import Path

import pytest

from fcmae.benchmarks.pretraining import benchmark_pretraining
from fcmae.ops import norm_tiled


def test_rows_are_shown_returned_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "benchmark.json"
    rows = benchmark_pretraining(
        models=("convnextv2_atto",),
        batch_sizes=(1, 2),
        image_sizes=(64,),
        mask_ratios=(0.5,),
        precisions=("fp32",),
        device="cpu",
        repeats=3,
        json=file,
    )
    assert [row["batch_size"] for row in rows] == [1, 2]
    for row in rows:
        seconds = row["seconds"]
        assert {mode: len(values) for mode, values in seconds.items()} == dict.fromkeys(seconds, 3)
        pairs = [
            slow / fast for slow, fast in zip(seconds["masked"], seconds["tiled"], strict=True)
        ]
        assert row["speedup"]["tiled / masked"] == statistics.median(pairs)
        median = statistics.median(seconds["dense"])
        assert row["images_per_second"]["dense"] == row["batch_size"] / median
        if row["memory"] is not None:
            assert row["memory"]["tiled"] > 4 * 3.4e6  # the gradients alone
            assert row["memory_ratio"] == row["memory"]["tiled"] / row["memory"]["masked"]

    written = json.loads(file.read_text())
    assert written["rows"] == rows
    assert {"machine", "versions", "command", "date"} < set(written)
    screen = capsys.readouterr().out
    assert "64 px, batch 2" in screen
    assert "Wrote" in screen


def test_wrong_results_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = norm_tiled.response_norm
    monkeypatch.setattr(norm_tiled, "response_norm", lambda x, tiles: 2 * right(x, tiles))
    with pytest.raises(RuntimeError, match="tiled and masked loss"):
        benchmark_pretraining(
            models=("convnextv2_atto",), batch_sizes=(1,), image_sizes=(64,), device="cpu"
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": ("convnextv2_ato",)}, "convnextv2_atto"),
        ({"batch_sizes": (4, 0)}, "batch_sizes: 0"),
        ({"repeats": 0}, "repeats: 0"),
        ({"threads": -1}, "threads: -1"),
        ({"image_sizes": (225,)}, "image_sizes: 225 .* 224 or 256"),
        ({"image_sizes": (16,)}, "image_sizes: 16 .* 32 or 64"),
        ({"mask_ratios": (1.0,)}, "mask ratio 1.0"),
        ({"precisions": ("fp16",)}, "fp16"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"json": Path("no/such/folder/file.json")}, "json: the folder"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: dict[str, object], words: str) -> None:
    small = {
        "models": ("convnextv2_atto",),
        "image_sizes": (64,),
        "batch_sizes": (1,),
        "device": "cpu",
    }
    with pytest.raises(ValueError, match=words):
        benchmark_pretraining(**{**small, **arguments})  # type: ignore[arg-type]
