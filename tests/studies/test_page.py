"""The page of a study, written from made-up rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from fcmae.report.record import Record
from fcmae.studies import contrastive, grn, mask_ratio, normalization, page, scaling
from fcmae.studies.study import Study

RUN = json.loads((Path(__file__).parent / "run.json").read_text())
DISTANCES = {"diversity": {"block": [0.5, 0.4], "widened": [0.4, 0.3]}}


def row(name: str, seed: int, **facts: Any) -> dict[str, Any]:
    return {"name": name, "seed": seed, "model": "convnextv2_atto", "unstable": None, **facts}


@pytest.mark.parametrize(
    ("study", "facts"),
    [
        (mask_ratio.STUDY, {"name": "0.6", "visible_patches": 6, "patches": 16}),
        (normalization.STUDY, {"name": "layer", **DISTANCES}),
        (grn.STUDY, {"name": "aggregate"}),
        (scaling.STUDY, {"name": "convnextv2_atto-fcmae", "method": "FCMAE"}),
        (contrastive.STUDY, {"name": "moco-v3", "seconds": 3.0}),
    ],
)
def test_a_page_has_verdict_figure_table_and_how_it_was_done(
    study: Study, facts: dict[str, Any], tmp_path: Path
) -> None:
    record = Record(tmp_path, RUN, ("name", "seed"), same=())
    for seed in range(2):
        record.add(row(seed=seed, accuracy=0.25, **facts))
    page.write(study, record)
    written = " ".join((tmp_path / "page.html").read_text().split())
    assert f"{study.subject} is not decidable at this scale" in written
    for words in (
        study.title,
        "25.0 ± 0.0 (2)",
        "Scale “small”: convnextv2_atto at 32 x 32 pixels, stem stride 1; 10 epochs",
        "50,000 images, then 20 epochs of fine-tuning on 20 % of their labels, 100 classes",
        "Settings are compared within seeds",
    ):
        assert words in written
    assert written.count("<svg ") == 2  # wide and narrow
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert (tmp_path / "figure.svg").exists()
    assert "{" not in written.partition("<h2>Figure</h2>")[2].partition("<svg")[0]


def test_without_fine_tuning_nothing_is_said_of_it(tmp_path: Path) -> None:
    rows = [row("grn", 0, **DISTANCES)]
    words = page.trained_in_words(page.results_of(normalization.STUDY, rows, RUN["settings"]))
    assert words.endswith("10 epochs of pre-training on 50,000 images.")
