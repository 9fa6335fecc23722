import json
import sys
from pathlib import Path

import pytest
import torch

from fcmae.benchmarks import gpu


def test_a_machine_without_cuda_is_told_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path)]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's place is taken by the processor; what is run on it is replaced by its outcome."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "ACME (R) X-1")
    monkeypatch.setattr(gpu, "describe_run", lambda _: {"machine": "ACME X-1"})
    monkeypatch.setattr(gpu, "doctor", lambda **_: sys.stdout.write("ok\n") and 0)
    monkeypatch.setattr(gpu, "_kernels", lambda _: [{"ratio": 3}])
    monkeypatch.setattr(gpu, "_inference", lambda: [{"ratio": 1.5}])


def rows_of(*, models: tuple[str, ...], **_: object) -> list[dict[str, object]]:
    if models == ("convnextv2_huge",):
        raise RuntimeError("out of memory")
    return [{"model": models[0], "speedup": 2}]


@pytest.mark.parametrize("passed", [True, False])
def test_all_that_was_measured_is_in_one_file(
    pretended: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passed: bool
) -> None:
    monkeypatch.setattr(gpu, "_tests", lambda _: {"passed": passed, "summary": "3 of them"})
    monkeypatch.setattr(gpu, "benchmark_pretraining", rows_of)
    assert gpu.main(["--out", str(tmp_path / "new")]) == (0 if passed else 1)
    record = json.loads((tmp_path / "new" / "gpu-acme-r-x-1.json").read_text())
    assert record["doctor"]["lines"] == ["ok"]
    assert (record["kernels"], record["inference"]) == ([{"ratio": 3}], [{"ratio": 1.5}])
    assert [row["model"] for row in record["rows"]] == list(gpu.MODELS)
    assert record["rows"][-1]["error"] == "out of memory"


def test_what_there_is_no_time_for_is_named(
    pretended: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_tests", lambda _: {"passed": True, "summary": ""})
    gpu.main(["--out", str(tmp_path), "--minutes", "0"])
    record = json.loads((tmp_path / "gpu-acme-r-x-1.json").read_text())
    assert record["left out"] == list(gpu.MODELS)
    assert record["rows"] == []
