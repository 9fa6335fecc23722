import json
import time
from pathlib import Path

import pytest
from report.page import Page, assert_self_contained

from fcmae.report import write_report

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'


def test_a_report_has_every_part(full_run: Path) -> None:
    path = write_report(full_run)
    page = Page(path)
    assert path == full_run / "report.html"
    parts = {"loss", "reconstructions", "diversity", "throughput", "unreadable", "departures"}
    assert parts <= page.ids()
    assert "Loss fell from 1.020" in page.text
    assert "4000 images" in page.text
    assert "fcmae pretrain --data flowers/train --out runs/first" in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 8  # two images, four pictures each
    assert "appears" not in page.text


def test_nothing_outside_the_page_is_referred_to(full_run: Path) -> None:
    assert_self_contained(write_report(full_run))


def test_the_policy_of_the_page_forbids_scripts_and_the_network(full_run: Path) -> None:
    policies = [
        attributes["content"]
        for tag, attributes in Page(write_report(full_run)).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "script-src" not in policies[0]


def test_whatever_a_name_holds_stays_text(make_run) -> None:
    run = make_run(
        [
            {"kind": "step", "step": 1, "loss": 0.9},
            {"kind": "look", "epoch": 1, "diversity": [{"block": EVIL, "distance": 0.4}]},
        ],
        config={
            "command": EVIL,
            "model": {"name": EVIL, EVIL: EVIL},
            "data": {"path": EVIL, "images": 3},
            "departures": [{"field": EVIL, "table": EVIL, "run": [EVIL], "because": EVIL}],
            "recipe": {EVIL: {EVIL: EVIL}},
            "device": EVIL,
        },
    )
    (run / "unreadable.json").write_text(json.dumps([[EVIL, EVIL]]))
    pictures = run / "reconstructions"
    pictures.mkdir()
    (pictures / "images.json").write_text(json.dumps([{"name": EVIL}]))
    (pictures / "input-0.webp").write_bytes(b"")
    path = write_report(run)
    assert "<script" not in path.read_text(encoding="utf-8")
    page = Page(path)
    assert "img" not in {tag for tag, _ in page.tags}
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text.count(EVIL) >= 8


@pytest.mark.parametrize(
    "absent", ["metrics.jsonl", "timing.jsonl", "unreadable.json", "reconstructions/images.json"]
)
def test_a_missing_part_is_no_error(full_run: Path, absent: str) -> None:
    (full_run / absent).unlink()
    assert "convnextv2_atto" in Page(write_report(full_run)).text


def test_a_run_that_has_only_begun_says_what_will_appear(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    page = Page(write_report(tmp_path))
    assert page.text.count("appear") == 4
    assert "unreadable" not in page.ids()


def test_a_long_list_of_unreadable_files_is_folded(full_run: Path) -> None:
    def folded() -> bool:
        tags = Page(write_report(full_run)).tags
        place = next(
            i for i, (_, attributes) in enumerate(tags) if attributes.get("id") == "unreadable"
        )
        return "open" not in next(a for tag, a in tags[place:] if tag == "details")

    assert not folded()
    (full_run / "unreadable.json").write_text(
        json.dumps([[f"{i}.jpg", "empty"] for i in range(50)])
    )
    assert folded()


def test_a_later_report_replaces_an_earlier_one_and_leaves_nothing_else(full_run: Path) -> None:
    before = set(full_run.iterdir())
    write_report(full_run).write_text("old")
    write_report(full_run)
    assert (full_run / "report.html").read_text(encoding="utf-8") != "old"
    assert set(full_run.iterdir()) - before == {full_run / "report.html"}


def test_a_long_run_stays_small_and_quick(make_run) -> None:
    number = 50_000
    metrics = [
        {"kind": "step", "step": s, "loss": 1 / s, "learning_rate": 1e-4} for s in range(1, number)
    ]
    timing = [
        {"step": s, "images_per_second": 50 + s % 7, "waiting": 0.1} for s in range(1, number)
    ]
    run = make_run(metrics, timing)
    start = time.perf_counter()
    path = write_report(run)
    assert time.perf_counter() - start < 20
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("departures", "says"), [([], "None: every field"), (None, "does not say")]
)
def test_no_departures_and_unknown_ones_are_not_the_same(make_run, departures, says: str) -> None:
    page = Page(write_report(make_run(config={"departures": departures})))
    assert says in page.text


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({}, "Masked pre-training"),
        ({"task": None}, "Masked pre-training"),  # as the first runs have it
        ({"task": "pretrain", "method": "moco-v3"}, "Contrastive pre-training"),
        ({"task": "finetune"}, "Fine-tuning"),
    ],
)
def test_each_task_has_its_page(make_run, config: dict[str, object], kind: str) -> None:
    assert kind in Page(write_report(make_run(config=config))).text


def test_a_task_that_is_not_known_is_refused(make_run) -> None:
    run = make_run(config={"task": "finetuna"})
    with pytest.raises(ValueError, match=r"unknown task.*config\.json.*'finetuna'.*'finetune'"):
        write_report(run)
    assert not (run / "report.html").exists()
