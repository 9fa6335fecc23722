"""Figure 3: the page by made-up rows, and the smallest study from end to end."""

import json
from pathlib import Path
from typing import Any

import pytest

from fcmae.studies.mask_ratio import STUDY, mask_ratio
from fcmae.studies.page import findings, results_of, table

RUN = json.loads((Path(__file__).parent / "run.json").read_text())


def rows(values: dict[str, int], seeds: int = 2) -> list[dict[str, Any]]:
    """Rows with a spread of two points between seeds, which do not all move alike."""
    return [
        {
            "name": ratio, "seed": seed, "unstable": None,
            "accuracy": (value + 2 * ((seed + place) % 2)) / 100,
            "visible_patches": int(16 * (1 - float(ratio))), "patches": 16,
        }
        for place, (ratio, value) in enumerate(values.items())
        for seed in range(seeds)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"0.9": 20, "0.1": 30, "0.6": 40}, "is reproduced"),
        ({"0.9": 30, "0.1": 20, "0.6": 40}, "is not reproduced"),
        ({"0.9": 39, "0.1": 30, "0.6": 40}, "is not reproduced"),  # 0.9 is above 0.1
        ({"0.9": 20, "0.1": 38, "0.6": 39}, "is not decidable"),
        ({"0.9": 20, "0.6": 40}, "is not decidable"),
    ],
)
def test_the_middle_is_above_the_ends_and_the_low_end_above_the_high(
    values: dict[str, int], word: str
) -> None:
    found = results_of(STUDY, rows(values), RUN["settings"])
    assert findings(STUDY, found)[0].startswith(f"Figure 3 {word}")


def test_the_page_has_ratios_in_order_with_what_is_really_masked() -> None:
    found = results_of(STUDY, rows({"0.9": 20, "0.1": 30, "0.6": 40}), RUN["settings"])
    assert [row[:3] for row in table(STUDY, found).rows] == [
        ["0.1", "12.5\u00a0%", "31.0 ± 1.4 (2)"],
        ["0.6", "62.5\u00a0%", "41.0 ± 1.4 (2)"],
        ["0.9", "93.8\u00a0%", "21.0 ± 1.4 (2)"],
    ]
    assert findings(STUDY, found)[-1] == "Highest mean here: at 0.6."


def test_the_command_has_the_name_that_it_is_imported_by() -> None:
    assert mask_ratio.__name__ == "mask_ratio"


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ((0.6, 0.6), "ratios: 0.6 is given twice"),
        ((1.0,), "ratios 1.0: shares between 0 and 1"),
        ((0.6, -0.1), "ratios -0.1"),
        ((0.8,), "leaves none of the 4 patches visible"),
    ],
)
def test_ratios_that_cannot_be_are_refused_before_any_training(
    classes: Path, tmp_path: Path, tiny: tuple[str, ...], ratios: tuple[float, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        mask_ratio(data=classes, out=tmp_path / "out", ratios=ratios, set=tiny, device="cpu")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_a_study_from_end_to_end(classes: Path, tmp_path: Path, tiny: tuple[str, ...]) -> None:
    out = tmp_path / "study"
    found = mask_ratio(
        data=classes, out=out, ratios=(0.5, 0.3), seeds=(0,), set=tiny, device="cpu", workers=0
    )
    assert [(row["name"], row["visible_patches"]) for row in found] == [("0.5", 2), ("0.3", 2)]
    for ratio in ("0.5", "0.3"):
        config = json.loads((out / f"runs/{ratio}/seed-0/pretrain/config.json").read_text())
        assert config["mask_ratio"] == float(ratio)
    assert "Highest mean here: at" in (out / "page.html").read_text()
    assert (out / "figure.svg").exists()
    header = (out / "results.csv").read_text().partition("\n")[0]
    assert header.startswith("name,seed,model,visible_patches,patches,unstable")
