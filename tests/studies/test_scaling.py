"""Table 7: the page by made-up rows, and the smallest study from end to end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fcmae.studies import page, runner
from fcmae.studies.contrastive import contrastive
from fcmae.studies.grn import grn
from fcmae.studies.mask_ratio import mask_ratio
from fcmae.studies.normalization import normalization
from fcmae.studies.page import findings, results_of, table
from fcmae.studies.results import Results
from fcmae.studies.scaling import CASES, FAMILIES, PAPERS, STUDY, scaling
from fcmae.studies.study import Setting

RUN = json.loads((Path(__file__).parent / "run.json").read_text())
PERCENT = {"atto": (30, 31, 32, 40), "base": (50, 50, 50, 55)}


def rows(values: dict[str, tuple[int, ...]], seeds: int = 2) -> list[dict[str, Any]]:
    """Rows in the order of `CASES`, with two points between seeds, which do not all move alike."""
    return [
        {
            "name": f"{FAMILIES[family]}_{size}-{method.lower()}", "seed": seed, "unstable": None,
            "model": f"{FAMILIES[family]}_{size}", "method": method,
            "accuracy": (value + 2 * ((seed + place) % 2)) / 100,
        }
        for size, accuracies in values.items()
        for place, ((family, method), value) in enumerate(zip(CASES, accuracies, strict=True))
        for seed in range(seeds)
    ]  # fmt: skip


def results(values: dict[str, tuple[int, ...]]) -> Results:
    return results_of(STUDY, rows(values), RUN["settings"])


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, "is reproduced"),
        ({"base": (50, 50, 60, 55)}, "is not reproduced"),
        ({"base": (50, 50, 54, 55)}, "is not decidable"),
    ],
)
def test_v2_with_fcmae_is_above_the_others_at_every_size(
    changed: dict[str, tuple[int, ...]], word: str
) -> None:
    shown = findings(STUDY, results(PERCENT | changed))[0]
    assert shown.startswith(f"The co-design of Table 7 {word}")


def test_the_table_has_differences_to_supervised_v1_here_and_in_the_paper() -> None:
    assert [tuple(line[:3]) for line in table(STUDY, results(PERCENT)).rows] == [
        ("V1 atto, supervised", "31.0 ± 1.4 (2)", "75.7"),
        ("V2 atto, supervised", "32.0 ± 1.4 (2) (+1.0)", "76.2 (+0.5)"),
        ("V1 atto, FCMAE", "33.0 ± 1.4 (2) (+2.0)", "–"),
        ("V2 atto, FCMAE", "41.0 ± 1.4 (2) (+10.0)", "76.7 (+1.0)"),
        ("V1 base, supervised", "51.0 ± 1.4 (2)", "83.8"),
        ("V2 base, supervised", "51.0 ± 1.4 (2)", "84.3 (+0.5)"),
        ("V1 base, FCMAE", "51.0 ± 1.4 (2)", "83.7 (-0.1)"),
        ("V2 base, FCMAE", "56.0 ± 1.4 (2) (+5.0)", "84.9 (+1.1)"),
    ]


def test_the_papers_accuracies_are_found_by_size_and_method() -> None:
    assert PAPERS["V1 large, FCMAE"] == 84.4
    assert PAPERS["V2 tiny, supervised"] == 82.5
    assert PAPERS["V1 atto, FCMAE"] is None


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (("bas",), "did you mean 'base'"),
        (("huge",), "unknown size 'huge'"),
        (("atto", "atto"), "sizes: atto is given twice"),
    ],
)
def test_sizes_that_cannot_be_compared_are_refused(
    classes: Path, tmp_path: Path, sizes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        scaling(data=classes, out=tmp_path / "out", sizes=sizes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("study", "epochs"),
    [(scaling, 1600), (contrastive, 1600), (grn, 800), (mask_ratio, 800), (normalization, 800)],
)
def test_of_the_papers_scale_this_study_and_section_d_have_the_longer_pretraining(
    classes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    study: Callable[..., Any],
    epochs: int,
) -> None:
    settings: list[Setting] = []
    monkeypatch.setattr(  # and trains none
        runner, "train", lambda setting, *_: settings.append(setting) or {"unstable": None}
    )
    monkeypatch.setattr(page, "write", lambda *_: None)
    batches = (f"{part}_batch_size=4" for part in ("pretraining", "contrastive", "supervised"))
    options: dict[str, Any] = {"scale": "paper", "set": tuple(batches), "device": "cpu"}
    study(data=classes, out=tmp_path / "out", **options)
    masked = [one.pretraining for one in settings if one.pretraining]
    assert {one["epochs"] for one in masked if "method" not in one} == {epochs}


@pytest.mark.slow
def test_a_study_from_end_to_end(classes: Path, tmp_path: Path, tiny: tuple[str, ...]) -> None:
    out = tmp_path / "study"
    found = scaling(data=classes, out=out, seeds=(0,), set=tiny, device="cpu", workers=0)
    assert [(row["model"], row["method"]) for row in found] == [
        (f"{FAMILIES[family]}_atto", method) for family, method in CASES
    ]
    for row in found:
        runs = sorted(path.name for path in (out / "runs" / row["name"] / "seed-0").iterdir())
        assert runs == (["finetune"] if row["method"] == "supervised" else ["finetune", "pretrain"])
    page = (out / "page.html").read_text()
    assert "V2 atto, FCMAE" in page
    assert "76.7 (+1.0)" in page
