import base64
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from report.page import Page as Shown

from fcmae.report.charts import Chart, Panel, Series
from fcmae.report.files import draw_figure
from fcmae.report.findings import Finding, Page, Section, Table, write_finding, write_page

EVIL = '"><script>alert(1)</script>'
RUN = {
    "machine": f"A {EVIL}", "versions": {"torch": "2"}, "command": f"fcmae {EVIL}",
    "date": "2026", "settings": {"repeats": 7, "update": True},
}  # fmt: skip
SVG, PNG = b'<?xml version="1.0"?><svg/>', b"\x89PNG\r\n\x1a\n..."


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    sections = (
        Section("Both", ("One.", EVIL), SVG, f"a line {EVIL}", Table(("a", "b"), [["1", EVIL]])),
        Section("Pixels", figure=PNG, alternative="a map"),
        Section("Words", table=Table(("a", "b", "c"), [["1", "2", "3"], ["4", "?"]], "In metres.")),
    )
    page = Page(f"Kind {EVIL}", f"Title {EVIL}", (f"First {EVIL}", "Second"), sections)
    path = tmp_path / "page.html"
    assert write_page(path, page, RUN) == path
    return Shown(path)


def test_figures_are_inside_the_page_whatever_their_kind(shown: Shown) -> None:
    images = [attributes for tag, attributes in shown.tags if tag == "img"]
    assert [image["alt"] for image in images] == [f"a line {EVIL}", "a map"]
    for image, kind, data in zip(images, ("svg+xml", "png"), (SVG, PNG), strict=True):
        before, _, encoded = str(image["src"]).partition(",")
        assert before == f"data:image/{kind};base64"
        assert base64.b64decode(encoded) == data


def test_sections_stand_in_their_order_with_what_they_have(shown: Shown) -> None:
    places = [shown.text.index(word) for word in ("One.", "Pixels", "In metres.", "Running it")]
    assert places == sorted(places)
    assert shown.text.count("In metres.") == 1
    tags = [tag for tag, _ in shown.tags]
    assert tags.count("table") == 2 + 1
    assert tags.count("tr") == 2 + 3 + 3  # the last: what is in RUN besides machine and command
    assert "repeats: 7, update: yes" in shown.text


def test_whatever_is_said_stays_text(shown: Shown) -> None:
    assert not {tag for tag, _ in shown.tags} & {"script", "link", "iframe", "object", "base"}
    assert shown.text.count(EVIL) == 8


def test_the_head_forbids_scripts_and_the_network(shown: Shown) -> None:
    (policy,) = (
        attributes["content"]
        for _, attributes in shown.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert str(policy).startswith("default-src 'none'")


def finding(figure: Chart | Figure) -> Finding:
    return Finding(
        kind="Cost",
        title="Speed",
        shows=["It is fast."],
        figure=figure,
        alternative="images a second",
        reading=["More is better."],
        table=Table(("size", "images/s"), [["atto", "1"], ["base", "2"]]),
    )


ROWS = [[Panel("images/s", "size", ("atto", "base"), (Series("tiled", "ours", (1.0, 2.0)),))]]
WRITTEN = {"page.html", "figure.png", "figure.svg"}


def test_a_figure_that_is_no_chart_is_embedded(tmp_path: Path) -> None:
    path = write_finding(tmp_path, finding(draw_figure(Chart(ROWS))), RUN)
    assert path == tmp_path / "page.html"
    assert {file.name for file in tmp_path.iterdir()} == WRITTEN
    page = Shown(path)
    assert page.text.index("It is fast.") < page.text.index("More is better.")
    (figure,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', path.read_text())
    assert base64.b64decode(figure) == (tmp_path / "figure.svg").read_bytes()


def test_a_chart_is_drawn_into_the_page(tmp_path: Path) -> None:
    more = (Section("How it was done", ("With care.",)),)
    page = Shown(write_finding(tmp_path, finding(Chart(ROWS, bars=True)), RUN, more))
    assert {file.name for file in tmp_path.iterdir()} == WRITTEN
    tags = [tag for tag, _ in page.tags]
    assert "img" not in tags
    assert tags.count("svg") == 2
    assert [a["aria-label"] for tag, a in page.tags if tag == "svg"] == ["images a second"] * 2
    places = [page.text.index(word) for word in ("More is", "ours", "Table", "With care.")]
    assert places == sorted(places)
