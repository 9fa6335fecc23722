import json
import statistics
from pathlib import Path

import pytest
import torch
from interrupted import calls_of, cut_off
from torch import Tensor

from fcmae.benchmarks.pretraining import cases, measurement
from fcmae.benchmarks.pretraining.cases import choose_cases
from fcmae.benchmarks.pretraining.pages import FIELDS
from fcmae.benchmarks.pretraining.workload import Workload
from fcmae.cli import main
from fcmae.commands.benchmark import BenchmarkPretraining, Sweep
from fcmae.commands.benchmark import pretraining as benchmark_pretraining


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
        assert row["agrees"] is True
        assert max(row["difference"].values()) < 1e-4
        assert list(row["of_matrix_products"]) == ["dense", "masked", "tiled", "timm"]
        assert row["speedup"].keys() == {"tiled / dense", "tiled / masked", "tiled / timm"}
        if row["memory"] is not None:
            assert row["memory"]["tiled"] > 4 * 3.4e6  # the gradients alone
            assert row["memory_ratio"] == row["memory"]["tiled"] / row["memory"]["masked"]

    written = json.loads(file.read_text())
    assert written["rows"] == rows
    assert {"machine", "versions", "command", "date"} < set(written)
    screen = capsys.readouterr().out
    assert "64 px, batch 2" in screen
    assert "product rate" in screen
    assert "Wrote" in screen


def test_wrong_results_are_shown_and_end_with_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Workload.loss

    def wrong(workload: Workload, mask: Tensor, mode: str) -> Tensor:
        return right(workload, mask, mode) * (1.01 if mode == "tiled" else 1)

    monkeypatch.setattr(Workload, "loss", wrong)
    monkeypatch.setattr(measurement, "measure_memory", lambda *_, **__: None)
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "benchmark.json"
    command = (
        "benchmark pretraining --models convnextv2_atto --batch-sizes 1 --image-sizes 64 "
        f"--precisions fp32 --device cpu --repeats 1 --json {file}"
    )
    assert main(command.split()) == 1
    (row,) = json.loads(file.read_text())["rows"]
    assert row["difference"] == {
        name: pytest.approx(0.01, rel=0.01) for name in ("loss", "gradient")
    }
    assert row["agrees"] is False
    assert row["images_per_second"]["tiled"] > 0
    said = capsys.readouterr()
    shown = " ".join(line[:18].strip() for line in said.out.splitlines())
    assert "tiled and masked differ by 0.01, more than 0.0001: not right" in shown
    assert "convnextv2_atto: tiled and masked differ by 0.01, more than 0.0001: not" in said.err


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
        ({"sweep": "ratio"}, "sweep 'ratio': did you mean 'mask-ratio'"),
        ({"out": Path("folder")}, "out folder is for the files of a sweep"),
        ({"sweep": "batch", "json": Path("file.json")}, "results.json in --out"),
        ({"sweep": "batch", "out": Path(__file__)}, "is a file: give a folder"),
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


SMALL = {
    "models": ("convnextv2_atto",),
    "image_sizes": (64,),
    "batch_sizes": (1,),
    "mask_ratios": (0.5, 0.75),
    "precisions": ("fp32",),
    "device": "cpu",
    "repeats": 1,
}


@pytest.fixture
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring memory takes a process for each case, and is tested elsewhere."""
    monkeypatch.setattr(measurement, "measure_memory", lambda *_, **__: None)


@pytest.mark.usefixtures("_no_memory")
def test_a_sweep_is_drawn_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "sweep"
    first = benchmark_pretraining(sweep="mask-ratio", out=out, **SMALL)  # type: ignore[arg-type]
    assert [row["mask_ratio"] for row in first] == [0.5, 0.75]
    assert {path.name for path in out.iterdir()} == {
        "results.json", "results.csv", "figure.png", "figure.svg", "page.html"
    }  # fmt: skip
    assert "64 px, batch 1, mask 0.75, fp32 (2 of 2, about" in capsys.readouterr().err

    measured = calls_of(monkeypatch, cases, "measure")
    more = SMALL | {"mask_ratios": (0.75, 0.25, 0.5)}
    again = benchmark_pretraining(sweep="mask-ratio", out=out, **more)  # type: ignore[arg-type]
    assert [case.mask_ratio for case, *_ in measured] == [0.25]
    assert [again[0], again[2]] == [first[1], first[0]]
    assert len(json.loads((out / "results.json").read_text())["rows"]) == 3

    with pytest.raises(ValueError, match="measured with other settings"):
        benchmark_pretraining(
            sweep="mask-ratio",
            out=out,
            **SMALL | {"repeats": 2},  # type: ignore[arg-type]
        )


@pytest.mark.usefixtures("_no_memory")
def test_a_sweep_that_is_cut_off_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, cases, "measure", lambda case, *_: case.mask_ratio == 0.75)
    with pytest.raises(KeyboardInterrupt):
        benchmark_pretraining(sweep="mask-ratio", out=tmp_path, **SMALL)  # type: ignore[arg-type]
    (row,) = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert row["mask_ratio"] == 0.5


CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FP32 = ("fp32",)


@pytest.mark.parametrize("sweep", list(FIELDS))
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_by_itself_a_sweep_varies_one_field(sweep: Sweep, device: torch.device) -> None:
    found = choose_cases(BenchmarkPretraining(precisions=FP32, sweep=sweep), device)
    assert len(found) > 4
    for name in ("model", "image_size", "batch_size", "mask_ratio", "precision"):
        values = {getattr(case, name) for case in found}
        assert len(values) == (len(found) if name == FIELDS[sweep][0] else 1), name


def test_what_was_asked_for_is_what_is_swept() -> None:
    wanted = BenchmarkPretraining(
        models=("convnext_tiny",), batch_sizes=(2, 3), image_sizes=(64,), mask_ratios=(0.25, 0.5),
        precisions=FP32, sweep="mask-ratio",
    )  # fmt: skip
    found = choose_cases(wanted, CPU)
    assert [(case.mask_ratio, case.batch_size) for case in found] == [
        (0.25, 2), (0.25, 3), (0.5, 2), (0.5, 3)
    ]  # fmt: skip


def test_without_a_sweep_there_are_the_usual_two() -> None:
    found = choose_cases(BenchmarkPretraining(precisions=FP32), CPU)
    assert [(case.model, case.batch_size) for case in found] == [
        ("convnextv2_atto", 16), ("convnextv2_tiny", 8)
    ]  # fmt: skip
