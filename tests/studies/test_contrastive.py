"""Section D: the page by made-up rows, and the smallest study from end to end."""

import json
from pathlib import Path
from typing import Any

import pytest

from fcmae.studies.contrastive import LABELS, STUDY, contrastive
from fcmae.studies.page import findings, results_of, table

RUN = json.loads((Path(__file__).parent / "run.json").read_text())


def rows(values: dict[str, int], seeds: int = 2) -> list[dict[str, Any]]:
    """Rows with a spread of two points between seeds, which do not all move alike."""
    return [
        {
            "name": method, "seed": seed, "unstable": None, "seconds": 60.0 + 30 * seed,
            "accuracy": (value + 2 * ((seed + place) % 2)) / 100,
        }
        for place, (method, value) in enumerate(values.items())
        for seed in range(seeds)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"supervised": 30, "moco-v3": 20, "fcmae": 40}, "is reproduced"),
        ({"supervised": 30, "moco-v3": 50, "fcmae": 40}, "is not reproduced"),
        ({"supervised": 39, "moco-v3": 20, "fcmae": 40}, "is not decidable"),
        ({"moco-v3": 20, "fcmae": 40}, "is not decidable"),
    ],
)
def test_fcmae_is_above_both_others(values: dict[str, int], word: str) -> None:
    found = findings(STUDY, results_of(STUDY, rows(values), RUN["settings"]))
    assert found[0].startswith(f"The comparison of section D {word}")


def test_the_table_has_the_papers_numbers_beside_ours_and_the_time_of_a_seed() -> None:
    found = table(STUDY, results_of(STUDY, rows({"fcmae": 40, "supervised": 30}), RUN["settings"]))
    assert [row[:4] for row in found.rows] == [
        ["from scratch", "31.0 ± 1.4 (2)", "84.3", "1 min 15 s"],
        ["FCMAE", "41.0 ± 1.4 (2)", "84.9", "1 min 15 s"],
    ]


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (("moco",), "unknown method 'moco': did you mean 'moco-v3'"),
        (("fcmae", "fcmae"), "methods: fcmae is given twice"),
    ],
)
def test_methods_that_cannot_be_are_refused_before_any_training(
    classes: Path, tmp_path: Path, tiny: tuple[str, ...], methods: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        contrastive(data=classes, out=tmp_path / "out", methods=methods, set=tiny, device="cpu")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_a_study_from_end_to_end(classes: Path, tmp_path: Path, tiny: tuple[str, ...]) -> None:
    out = tmp_path / "study"
    found = contrastive(data=classes, out=out, seeds=(0,), set=tiny, device="cpu", workers=0)
    assert [row["name"] for row in found] == list(LABELS)
    assert all(0 <= row["accuracy"] <= 1 for row in found)
    assert ["loss" in row for row in found] == [False, True, True]
    config = json.loads((out / "runs/moco-v3/seed-0/pretrain/config.json").read_text())
    assert config["options"]["method"] == "moco-v3"
    begun = json.loads((out / "runs/moco-v3/seed-0/finetune/config.json").read_text())
    assert begun["options"]["init"].endswith("moco-v3/seed-0/pretrain")
    assert "MoCo v3" in (out / "page.html").read_text()
