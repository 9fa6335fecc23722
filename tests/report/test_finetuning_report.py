import json
import re
from pathlib import Path

import pytest
from report.page import Page

from fcmae.report import write_report
from fcmae.report.finetuning.classes import MOST_CELLS

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'
PARTS = {"learning", "confusion", "classes", "imbalance", "mistakes", "calibration"}


def change(run: Path, **parts: object) -> None:
    path = run / "validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


def test_a_report_has_every_part_and_none_of_pre_training(finetuned_run: Path) -> None:
    page = Page(write_report(finetuned_run))
    assert PARTS | {"throughput", "unreadable", "departures", "again"} <= page.ids()
    assert not page.ids() & {"loss", "reconstructions", "diversity"}
    assert "Fine-tuning" in page.text
    assert "Masked pre-training" not in page.text
    assert "differs from Table 2 of" in page.text
    assert "Table 1" not in page.text
    assert "rose/broken.jpg" in page.text
    assert "2 files of 420" in page.text
    assert "fcmae finetune --data flowers --out runs/second" in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 1  # the other mistake has no picture
    assert "appear" not in page.text


def test_pre_training_has_none_of_fine_tuning(full_run: Path) -> None:
    page = Page(write_report(full_run))
    assert not page.ids() & PARTS
    assert "--wrong" not in page.text


def test_nothing_outside_the_page_is_referred_to(finetuned_run: Path) -> None:
    path = write_report(finetuned_run)
    for tag, attributes in Page(path).tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        assert (attributes.get("src") or "data:").startswith("data:")
        assert not (attributes.keys() & {"href", "srcset", "action", "background"})
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"url\(|@import", text)


@pytest.mark.parametrize("number", [2, MOST_CELLS + 1])
def test_whatever_a_name_holds_stays_text(finetuned_run: Path, number: int) -> None:
    confusion = [[1] * number for _ in range(number)]
    mistake = {"name": EVIL, "label": EVIL, "predicted": EVIL, "confidence": 0.9}
    change(
        finetuned_run,
        classes=[EVIL + str(place) for place in range(number)],
        confusion=confusion,
        train_images=[100] + [1] * (number - 1),
        mistakes=[mistake],
        unreadable=[[EVIL, EVIL]],
    )
    config = json.loads((finetuned_run / "config.json").read_text())
    config |= {"init": EVIL, "table": EVIL, "command": EVIL}
    (finetuned_run / "config.json").write_text(json.dumps(config))
    stop = {"kind": "stop", "step": 4, "epoch": 2, "because": EVIL}
    with (finetuned_run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(stop) + "\n")
    path = write_report(finetuned_run)
    assert "<script" not in path.read_text(encoding="utf-8")
    page = Page(path)
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text.count(EVIL) >= 12


NAMES = ["x" * 300, "珍しい鳥 🦩", "مالك الحزين", "\udcff.d", ""]


def test_names_of_any_script_and_length_are_shown(finetuned_run: Path) -> None:
    change(finetuned_run, classes=NAMES, confusion=[[2] * 5] * 5, train_images=[1] * 5)
    page = Page(write_report(finetuned_run))
    assert all(name in page.text for name in NAMES[:3])
    assert "\\udcff.d" in page.text


def test_a_run_that_has_only_begun_says_what_will_appear(make_run) -> None:
    page = Page(write_report(make_run(config={"task": "finetune"})))
    assert page.text.count("appear") == 3
    assert not page.ids() & (PARTS - {"learning", "confusion"})


@pytest.mark.parametrize(
    "absent", ["metrics.jsonl", "timing.jsonl", "validation.json", "unreadable.json"]
)
def test_a_missing_file_is_no_error(finetuned_run: Path, absent: str) -> None:
    (finetuned_run / absent).unlink()
    text = Page(write_report(finetuned_run)).text
    assert "At best" in text  # either of two files says what was best
    assert "nan" not in text


JUNK = [None, "x", 3, -1.5, [], {}, [None], [[]], [{}], {"a": 1}, float("nan"), float("inf")]


@pytest.mark.parametrize(
    "part",
    [
        "epoch",
        "of",
        "classes",
        "train_images",
        "images",
        "confusion",
        "accuracy",
        "top_5",
        "calibration_error",
        "mistakes",
        "unreadable",
    ],
)
def test_a_damaged_part_is_no_error(finetuned_run: Path, part: str) -> None:
    for junk in JUNK:
        change(finetuned_run, **{part: junk})
        text = Page(write_report(finetuned_run)).text
        assert "convnextv2_atto" in text
        assert not re.search(r"\b(nan|inf)\b", text)


def test_damaged_lines_of_the_curves_are_no_error(finetuned_run: Path) -> None:
    (finetuned_run / "validation.json").write_text("{")
    with (finetuned_run / "metrics.jsonl").open("a") as file:
        for junk in JUNK:
            line = {"kind": "validation", "step": 5, "epoch": junk, "loss": junk, "average": junk}
            file.write(json.dumps({**line, "accuracy": junk, "top_5": junk}) + "\n")
            file.write(json.dumps({"kind": "stop", "epoch": junk, "because": junk}) + "\n")
    assert "85.0" in Page(write_report(finetuned_run)).text


def test_of_very_many_classes_the_page_says_where_the_confusions_are(finetuned_run: Path) -> None:
    change(finetuned_run, classes=list(map(str, range(1001))), confusion=None)
    page = Page(write_report(finetuned_run))
    assert "fcmae evaluate --json" in page.text


def test_a_perfect_model_of_many_classes_has_no_confusion(finetuned_run: Path) -> None:
    number = MOST_CELLS + 1
    confusion = [[int(a == b) for a in range(number)] for b in range(number)]
    change(finetuned_run, classes=list(map(str, range(number))), confusion=confusion, mistakes=[])
    page = Page(write_report(finetuned_run))
    assert "every validation image was classified correctly" in page.text
    assert "mistakes" not in page.ids()


def test_a_thousand_classes_stay_small(finetuned_run: Path) -> None:
    number = 1000
    confusion = [[int((a + 2 * b) % 7 == 0) for a in range(number)] for b in range(number)]
    names = [f"class {place}" for place in range(number)]
    change(finetuned_run, classes=names, confusion=confusion, train_images=[500] * 999 + [3])
    path = write_report(finetuned_run)
    assert path.stat().st_size < 1_000_000
    page = Page(path)
    assert "Most frequent confusions" in page.text
    assert page.text.count("980 more") == 2
