import subprocess
import sys
from pathlib import Path

from fcmae.recipes.page import recipes_page

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


def test_the_committed_page_is_what_the_recipes_say() -> None:
    assert PAGE.read_text("utf-8") == recipes_page(), "run `make docs`"


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    written = tmp_path / "recipes.md"
    subprocess.run([sys.executable, "-m", "fcmae.recipes.page", str(written)], check=True)
    assert written.read_text("utf-8") == recipes_page()


def test_every_row_has_the_columns_of_its_table() -> None:
    for table in recipes_page().split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("| ")]
        assert len({row.count(" | ") for row in rows}) <= 1, table
