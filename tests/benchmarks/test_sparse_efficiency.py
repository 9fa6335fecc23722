import json
from pathlib import Path
from typing import Any

import pytest
from interrupted import calls_of, cut_off

from fcmae.benchmarks import measuring
from fcmae.benchmarks.pretraining import cases, measurement
from fcmae.benchmarks.pretraining.workload import Workload
from fcmae.benchmarks.sparse_efficiency import chart_of, sentences, total
from fcmae.commands.benchmark import sparse_efficiency


def row(size: str, *, faster: float, masked: int, tiled: int) -> dict[str, Any]:
    return {
        "model": f"convnextv2_{size}", "batch_size": 4, "precision": "fp32", "held": 100,
        "images_per_second": {"masked": 10.0, "tiled": 10 * faster},
        "speedup": {"tiled / masked": faster}, "memory": {"masked": masked, "tiled": tiled},
    }  # fmt: skip


ROWS = [row("atto", faster=2.0, masked=300, tiled=100), row("base", faster=3.0, masked=700,
        tiled=100), {"model": "convnextv2_huge", "error": "does not fit in memory"}]  # fmt: skip


def test_averages_are_over_what_fits_and_all_that_is_held() -> None:
    here, large = sentences(ROWS)
    assert here.startswith("Here: 2.50 times the images a second and 3.00 times less memory")
    assert "atto, base" in here
    assert large == "Not measured, for lack of memory: huge."
    assert total(ROWS[0], "tiled") == 200


WRONG = {"agrees": False, "difference": {"loss": 0.001, "gradient": 0.0123}}
WORDS = "tiled and masked differ by 0.012, more than 0.0001: not right"


def test_a_size_that_is_not_right_is_said_to_be() -> None:
    _, wrong, _ = sentences([ROWS[0], ROWS[1] | WRONG, ROWS[2]])
    assert wrong == f"base: {WORDS}."


def test_masked_stands_beside_tiled() -> None:
    drawn = chart_of(ROWS)
    ((speed, memory),) = drawn.rows
    assert drawn.bars
    assert speed.places == memory.places == ("atto", "base")
    heights = [[series.values for series in panel.series] for panel in (speed, memory)]
    assert heights == [[(10.0, 10.0), (20.0, 30.0)], [(4e-7, 8e-7), (2e-7, 2e-7)]]


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A study that takes little."""
    monkeypatch.setitem(measuring.SIDES, "cpu", (64,))
    memory = {"dense": 5, "masked": 6, "tiled": 3}  # measuring it is tested with the benchmarks
    monkeypatch.setattr(measurement, "measure_memory", lambda *_, **__: memory)
    return {
        "models": ("convnextv2_atto", "convnextv2_femto"), "batch_size": 1, "device": "cpu",
        "steps": 1, "precision": "fp32", "out": tmp_path / "study",
    }  # fmt: skip


def test_the_study_is_measured_and_drawn(
    options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = sparse_efficiency(**options)
    assert list(rows[0]["seconds"]) == ["dense", "masked", "tiled"]
    for row, model in zip(rows, options["models"], strict=True):
        case = (row["model"], row["image_size"], row["batch_size"], row["mask_ratio"])
        assert case == (model, 224, 1, 0.6)  # as the page says
    out = options["out"]
    settings = json.loads((out / "results.json").read_text())["settings"]
    assert settings["update"] is False
    page = (out / "page.html").read_text()
    assert "1.3 times the images a second" in page
    assert "RTX A6000" in page
    assert (out / "figure.png").stat().st_size > 10_000
    assert (out / "results.csv").read_text().count("\n") == 3
    assert capsys.readouterr().out.endswith(f"Wrote {out / 'page.html'}\n")


def test_what_is_not_right_is_written_and_an_error(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workload, "agreement", lambda _: WRONG)
    for _ in range(2):  # and when it goes on, too
        with pytest.raises(RuntimeError, match=f"convnextv2_atto: {WORDS}; convnextv2_femto"):
            sparse_efficiency(**options)
    assert f"atto: {WORDS}." in (options["out"] / "page.html").read_text()


def test_a_study_that_was_cut_off_goes_on(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut_off(patch, cases, "measure", lambda case, *_: case.model == "convnextv2_femto")
        with pytest.raises(KeyboardInterrupt):
            sparse_efficiency(**options)
    measured = calls_of(monkeypatch, cases, "measure")
    rows = sparse_efficiency(**options)
    assert [case.model for case, *_ in measured] == ["convnextv2_femto"]
    assert [row["model"] for row in rows] == list(options["models"])
    assert sparse_efficiency(**options) == rows
    assert len(measured) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"models": ("convnextv2_ato",)}, "convnextv2_atto"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"steps": 0}, "steps: 0"),
        ({"precision": "fp16"}, "fp16"),
        ({"out": Path(__file__)}, "is a file: give a folder"),
    ],
)
def test_bad_arguments_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sparse_efficiency(**wrong)
