"""Figure 6: the page by made-up rows, its measure, and the smallest study from end to end."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fcmae.images import decode, epoch_order, evaluation_crop
from fcmae.models.encoder import Encoder
from fcmae.probes.blocks import diversity
from fcmae.studies import diversity as measured
from fcmae.studies.normalization import STUDY, deep_half, normalization
from fcmae.studies.page import findings, results_of, table
from fcmae.studies.results import Results
from fcmae.weights import save_weights

RUN = json.loads((Path(__file__).parent / "run.json").read_text())
DISTANCES = {"none": 0.2, "layer": 0.3, "batch": 0.1, "local": 0.25, "grn": 0.4}


def rows(values: dict[str, float], seeds: int = 2) -> list[dict[str, Any]]:
    """Rows of four blocks, whose deeper two have these distances, and seeds 0.01 apart."""
    return [
        {
            "name": name, "seed": seed, "unstable": None,
            "diversity": {
                "block": [0.5, 0.5, *[value + (seed + place) % 2 / 100] * 2],
                "widened": [0.4, 0.4, 0.4, value],
            },
        }
        for place, (name, value) in enumerate(values.items())
        for seed in range(seeds)
    ]  # fmt: skip


def results(found: list[dict[str, Any]]) -> Results:
    return results_of(STUDY, found, RUN["settings"])


def test_the_deeper_half_is_what_is_compared() -> None:
    found = results(rows({"grn": 0.4, "batch": 0.1})).by_seed(deep_half)
    assert found["GRN"] == pytest.approx({0: 0.4, 1: 0.41})
    failed = [{"name": "batch", "seed": 0, "unstable": {}}]
    assert results(failed).by_seed(deep_half) == {"BN": {}}


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, "is reproduced"),
        ({"batch": 0.35}, "is not reproduced"),
        ({"layer": 0.4}, "is not decidable"),
    ],
)
def test_the_papers_order(changed: dict[str, float], word: str) -> None:
    shown = findings(STUDY, results(rows(DISTANCES | changed)))[0]
    assert shown.startswith(f"Figure 6 {word}")


def test_curves_are_means_over_seeds_with_a_band() -> None:
    block, widened = STUDY.panels(results(rows({"batch": 0.1, "grn": 0.4})))
    assert block.places == (0, 0.33, 0.67, 1)
    assert [series.label for series in block.series] == ["BN", "GRN"]
    assert block.series[1].values == pytest.approx((0.5, 0.5, 0.405, 0.405))
    assert block.series[1].spread == pytest.approx((0, 0, 0.00707, 0.00707), abs=1e-5)
    assert widened.series[0].values == pytest.approx((0.4, 0.4, 0.4, 0.1))


def test_a_run_without_a_measure_is_in_the_table_and_in_no_curve() -> None:
    failed = {"name": "batch", "seed": 0, "unstable": {"doing": "pre-training", "step": 3}}
    lines = table(STUDY, results([*rows({"grn": 0.4}), failed])).rows
    assert [line[:2] for line in lines] == [["BN", "–"], ["GRN", "0.405 ± 0.007 (2)"]]
    assert lines[0][4] == "unstable in pre-training at step 3 (seed 0)"


@pytest.mark.parametrize("limit", [1000, 4])
def test_the_measure_is_that_of_whole_images_drawn_from_val(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    assert measured.IMAGES == 1000
    monkeypatch.setattr(measured, "IMAGES", limit)
    monkeypatch.setattr(measured, "AT_A_TIME", 3)
    encoder = Encoder("convnextv2_atto", stem_stride=1, response="batch")
    encoder(torch.randn(9, 3, 16, 16), mode="dense")  # moves its running statistics
    save_weights(encoder.eval(), tmp_path / "weights.safetensors")
    config = {
        "image_size": [16, 24], "statistics": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
        "options": {}, "plan": {},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = measured.diversity_of(tmp_path, classes, ("block", "widened"), device="cpu", workers=0)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    files = sorted((classes / "val").rglob("*.png"))
    files = [files[number] for number in epoch_order(len(files), seed=0, epoch=0)[:limit]]
    images = torch.stack(
        [(evaluation_crop(decode(file, 3), (16, 24)) - mean) / std for file in files]
    )
    with torch.no_grad():
        for tensor, distances in found["diversity"].items():
            expected = list(diversity(encoder, images, tensor).values())
            assert distances == pytest.approx(expected, rel=1e-5)


def test_a_response_of_table_9_is_none_of_figure_6(classes: Path, tmp_path: Path) -> None:
    refused: tuple[tuple[Any, str], ...] = (
        (("scale",), "unknown response 'scale'"),
        (("grn", "layer", "grn"), "responses: grn is given twice"),
    )
    for responses, words in refused:
        with pytest.raises(ValueError, match=words):
            normalization(data=classes, out=tmp_path / "out", responses=responses)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_study_from_end_to_end_and_fine_tuned_later(
    classes: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    out = tmp_path / "study"
    options: dict[str, Any] = {
        "data": classes, "out": out, "seeds": (1,), "set": tiny, "device": "cpu", "workers": 0,
    }  # fmt: skip
    found = normalization(**options)
    assert [row["name"] for row in found] == ["none", "layer", "batch", "local", "grn"]
    for row in found:
        assert {len(row["diversity"][tensor]) for tensor in ("block", "widened")} == {12}
        assert all(0 <= distance <= 1 for distance in row["diversity"]["block"])
        assert "accuracy" not in row
    assert "Figure 6 is not decidable" in (out / "page.html").read_text()
    more = normalization(responses=("batch",), finetuned=True, **options)
    assert [row["name"] for row in more if "accuracy" in row] == ["batch"]
    assert more[2]["diversity"] == found[2]["diversity"]
