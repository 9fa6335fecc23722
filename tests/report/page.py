"""A report as its reader sees it."""

import re
from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text between them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def ids(self) -> set[str | None]:
        return {attributes.get("id") for _, attributes in self.tags}


def assert_self_contained(path: Path) -> None:
    """The page refers to nothing outside it, and runs nothing."""
    for tag, attributes in Page(path).tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        assert (attributes.get("src") or "data:").startswith("data:")
        assert not (attributes.keys() & {"href", "srcset", "action", "background"})
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"url\(|@import", text)
