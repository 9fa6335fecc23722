"""`analyze diversity`: distances against single images, resuming, verdicts, and bad input."""

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import MEAN, ON_CPU, SIZE, STD, save_model

from fcmae.analyze import diversity, diversity_by_depth
from fcmae.analyze.diversity_by_depth import Curve, compare, plot
from fcmae.analyze.models import AnalyzedModel
from fcmae.images import decode, evaluation_crop
from fcmae.inference.load import load_backbone
from fcmae.probes.blocks import diversity as diversity_of
from fcmae.report.charts import places_of


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["rows"]
    return rows


@pytest.mark.parametrize("tensor", ["block", "grn"])
def test_distances_are_means_over_images(tmp_path: Path, data: Path, v2: str, tensor: str) -> None:
    out = tmp_path / "out"
    page = diversity(weights=(v2,), data=str(data / "val"), out=out, tensor=tensor, **ON_CPU)
    backbone = load_backbone(v2).backbone.double()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    found = []
    for path in sorted((data / "val").glob("*/*.png")):
        image = ((evaluation_crop(decode(path, 3), SIZE) - mean) / std).double()
        found.append(diversity_of(backbone, image[None], tensor))
    rows = rows_of(out)
    assert [row["block"] for row in rows] == list(found[0])
    assert [row["depth"] for row in rows] == pytest.approx([place / 11 for place in range(12)])
    for row in rows:
        values = [each[row["block"]] for each in found]
        assert row["images"] == len(values) == 8
        assert row["distance"] == pytest.approx(statistics.mean(values), abs=1e-5)
        assert row["deviation"] == pytest.approx(statistics.pstdev(values), abs=1e-4)
    assert page == out / "page.html"
    assert {path.name for path in out.iterdir()} == {
        "results.json",
        "results.csv",
        "figure.png",
        "figure.svg",
        "page.html",
    }


def test_models_of_other_depths_share_a_figure(
    tmp_path: Path, data: Path, v1: str, v2: str
) -> None:
    nano = str(save_model(tmp_path / "nano.safetensors", "convnextv2_nano"))
    page = diversity(weights=(v2, nano, v1), data=str(data), out=tmp_path / "out", **ON_CPU)
    rows = rows_of(page.parent)
    assert [row["depth"] for row in rows if row["label"] == "nano.safetensors"][-1] == 1
    assert len(rows) == 12 + 14 + 12
    assert "V1’s features collapse with depth, and V2’s stay more diverse" in page.read_text()


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, data: Path, v1: str, v2: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, usual, measured = tmp_path / "out", diversity_by_depth.measure, list[str]()

    def measure(model: Any, analysis: Any, tensor: str) -> Any:
        measured.append(f"{model.label} {tensor}")
        return usual(model, analysis, tensor)

    monkeypatch.setattr(diversity_by_depth, "measure", measure)
    diversity(weights=(v1,), data=str(data), out=out, **ON_CPU)
    before = rows_of(out)
    diversity(weights=(v1, v2), data=str(data), out=out, **ON_CPU)
    diversity(weights=(v2,), data=str(data), out=out, tensor="branch", **ON_CPU)
    diversity(weights=(v2,), data=str(data), out=out, num_images=2, **ON_CPU)
    one, two = "one.safetensors", "two.safetensors"
    assert measured == [f"{one} block", f"{two} block", f"{two} branch", f"{two} block"]
    assert rows_of(out)[:12] == before
    assert [row["images"] for row in rows_of(out)][::12] == [8, 8, 8, 2]


def test_files_that_cannot_be_read_are_left_out(tmp_path: Path, data: Path, v2: str) -> None:
    (data / "val" / "bee" / "0.png").write_bytes(b"")
    page = diversity(weights=(v2,), data=str(data), out=tmp_path / "out", **ON_CPU)
    row = rows_of(tmp_path / "out")[0]
    assert (row["images"], row["unreadable"]) == (7, 1)
    assert "Measured on 7 images (1 more could not be read)." in page.read_text()


def test_without_any_image_that_can_be_read_there_is_nothing(
    tmp_path: Path, data: Path, v2: str
) -> None:
    for path in data.glob("*/*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 8 images can be read \(val/ant/3.png"):
        diversity(weights=(v2,), data=str(data), out=tmp_path / "out", **ON_CPU)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tensor": "branches"}, "unknown tensor 'branches': did you mean 'branch'"),
        ({"num_images": 0}, "num_images 0: at least 1"),
        ({"data": "nowhere"}, "data 'nowhere' does not exist"),
        ({"weights": ("nowhere",)}, "weights nowhere: there is no file"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, data: Path, v2: str, options: dict[str, Any], words: str
) -> None:
    given = {"weights": (v2,), "data": str(data), "out": tmp_path / "out", **ON_CPU}
    with pytest.raises(ValueError, match=words):
        diversity(**given | options)


def test_grn_of_a_model_without_it_is_refused_before_anything_is_measured(
    tmp_path: Path, data: Path, v1: str, v2: str
) -> None:
    with pytest.raises(ValueError, match="tensor 'grn': convnext_atto has no GRN; 'widened'"):
        diversity(weights=(v2, v1), data=str(data), out=tmp_path, tensor="grn", **ON_CPU)
    assert not (tmp_path / "results.json").exists()


def test_an_unfinished_run_without_weights_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match=r"there is no file .*weights.safetensors"):
        diversity(weights=(str(tmp_path / "run"),), data=str(data), out=tmp_path / "o", **ON_CPU)


def test_an_unfinished_run_is_refused_and_its_file_is_taken(
    tmp_path: Path, data: Path, v2: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"task": "pretrain", "options": {}, "plan": {}, "steps": 9}')
    with pytest.raises(ValueError, match="unfinished: finish it with fcmae pretrain --resume"):
        diversity(weights=(str(run),), data=str(data), out=tmp_path / "o", **ON_CPU)
    shutil.copy(v2, run / "weights.safetensors")
    with pytest.raises(ValueError, match=r"or give .*weights.safetensors to take it as it is"):
        diversity(weights=(str(run),), data=str(data), out=tmp_path / "o", **ON_CPU)


# What is said, with made-up distances


def curve(model: str, deep: float, deviation: float = 0.1, blocks: int = 6) -> Curve:
    last = blocks - blocks // 3
    rows = [
        {
            "block": f"stages.0.{number}",
            "label": model,
            "depth": number / (blocks - 1),
            "distance": 0.5 if number < last else deep,
            "deviation": deviation,
            "images": 100,
            "unreadable": 0,
        }
        for number in range(blocks)
    ]
    return Curve(AnalyzedModel(model, model, model, ""), rows)


@pytest.mark.parametrize(
    ("v1", "v2", "verdict"),
    [
        (0.3, 0.33, "reproduced"),
        (0.33, 0.3, "not reproduced"),
        (0.3, 0.327, "not decidable at this scale"),
    ],
)
def test_a_difference_counts_beyond_two_standard_errors(v1: float, v2: float, verdict: str) -> None:
    # The standard error of either mean is 0.1 / 10, of the difference 0.0141.
    sentence = compare(curve("convnext_atto", v1, blocks=9), curve("convnextv2_atto", v2))[0]
    assert f"stay more diverse: {verdict} ({v2:.4f} against {v1:.4f}" in sentence


def test_without_a_collapse_there_is_nothing_to_reproduce() -> None:
    same = [curve("convnext_atto", 0.495, deviation=0), curve("convnextv2_atto", 0.9, deviation=0)]
    assert "not decidable" in compare(*same)[0]  # V1's fall by 0.005
    little = [curve(f"convnext{v}_atto", deep, 0) for v, deep in (("", 0.3), ("v2", 0.309))]
    assert "not decidable" in compare(*little)[0]


def test_each_curve_is_drawn_at_its_own_depths() -> None:
    drawn = plot([curve("convnextv2_atto", 0.3), curve("convnext_atto", 0.3, blocks=3)])
    assert [list(places_of(drawn, series)) for series in drawn.series] == [
        pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1]),
        [0, 0.5, 1],
    ]
