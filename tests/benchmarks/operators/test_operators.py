import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fcmae.benchmarks.operators import benchmark_operators
from fcmae.benchmarks.operators.cases import PLAIN
from fcmae.training.devices import Place

FP32, BF16 = (Place(torch.device("cpu"), precision) for precision in ("fp32", "bf16"))


def test_a_row_for_each_implementation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = benchmark_operators(
        batch_size=1, image_size=64, mask_ratio=0.5, precision="bf16", device="cpu", repeats=3,
        json=tmp_path / "a.json",
    )  # fmt: skip
    assert {row["implementation"] for row in rows if row["operator"] == "depthwise_conv"} == {
        "reference", "tiled"
    }  # fmt: skip
    for row in rows:
        for name in ("forward", "backward"):
            assert len(row["seconds"][name]) == 3
            assert row[name]["share"] > 0
            assert row[name]["bound"] in ("matrix products", "memory")
            if row["implementation"] == PLAIN:
                assert row[name]["speedup"] == 1
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["rows"] == rows
    assert written["batch_size"] == 1
    assert "depthwise_conv 4  tiled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "convnextv2_ato"}, "convnextv2_atto"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"image_size": 100}, "image_size: 100 is not a multiple of 32"),
        ({"repeats": 0}, "repeats: 0"),
        ({"json": Path("no/such/folder/file.json")}, "json: the folder"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        benchmark_operators(**arguments)
