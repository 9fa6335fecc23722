"""What the documentation shows is run, and its numbers are those of the files they come from."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from wiring.small import tiny_sizes

from fcmae import cli
from fcmae.studies import page as study_page
from fcmae.studies.reconstruction import page as toy_page
from fcmae.studies.reconstruction.claims import comparisons

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "fcmae"
README = (ROOT / "README.md").read_text()
QUICK = {  # the same commands, on less
    "pretrain": ["--epochs", "1", "--workers", "0", "--device", "cpu"],
    "finetune": ["--epochs", "1", "--workers", "0", "--device", "cpu"],
    "evaluate": ["--workers", "0", "--device", "cpu"],
    "predict": ["--workers", "0", "--device", "cpu"],
    "embed": ["--workers", "0", "--device", "cpu"],
    "probe": ["--seeds", "2", "--workers", "0", "--device", "cpu"],
    "doctor": ["--image-size", "64", "--device", "cpu"],
    "analyze": ["--device", "cpu"],
    "benchmark": ["--image-sizes", "64", "--repeats", "1", "--device", "cpu"],
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """The README's commands that start with `program`, as lists of words."""
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line[:1] == [program]]


def quick(words: list[str]) -> list[str]:
    """Words of a command, with less to do: later options win."""
    less = [] if "--resume" in words else QUICK[words[0]]
    size = ["--image-size", "64"] if words[0] == "pretrain" and "--image-size" not in words else []
    return [*words, *less, *(size if less else [])]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place to work in, with some photos."""
    (tmp_path / "photos").mkdir()
    noise = np.random.default_rng(0)
    for i in range(6):
        pixels = noise.integers(0, 255, (130, 260, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.jpg")
        for split in ("train", "val"):
            place = tmp_path / "flowers" / split / ("rose", "tulip")[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            for copy in range(4):  # as many as neighbours are counted
                Image.fromarray(pixels[copy:, :100]).save(place / f"{i}-{copy}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_and_the_code_of_the_readme_run(photos: Path) -> None:
    shown = commands("fcmae")
    assert {words[1] for words in shown} == QUICK.keys()
    for words in shown:
        # What needs no weights of a run before it needs no model of a real size either.
        alone = words[1] in ("doctor", "benchmark") and "--weights" not in words
        with tiny_sizes() if alone else nullcontext():
            assert cli.main(quick(words[1:])) == 0, words
    for run in ("photos", "flowers"):
        assert (photos / "runs" / run / "report.html").exists()
    assert (photos / "photos.csv").exists()
    for code in blocks(README, "python"):
        exec(code, {})
    assert (photos / "runs" / "timm.safetensors").exists()


@pytest.mark.slow
def test_the_readme_runs_several_processes(photos: Path) -> None:
    ((program, *words),) = commands("torchrun")
    at = words.index("pretrain")
    torchrun = Path(sys.executable).with_name(program)
    command = [str(torchrun), *words[:at], *quick(words[at:])]
    subprocess.run(command, check=True, timeout=300)
    assert (photos / "runs" / "two" / "weights.safetensors").exists()


def test_the_targets_of_make_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[1] for words in commands("make")} <= targets


def test_links_lead_to_files() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), (page, link)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_module_that_a_page_names_is_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for path in re.findall(r"`([\w.-]+/[\w./-]+)`", text):
        to_be_written = re.search(r"[A-Z]{2}", path.removesuffix("README.md"))
        if not (to_be_written or path.startswith("runs/")):
            assert any((folder / path).exists() for folder in (ROOT, PACKAGE)), path
    text = re.sub(r"`python -m [^`]*`", "", text)  # as it was run, at the commit beside it
    for name in re.findall(r"\bfcmae(?:\.[a-z_]\w*)+", text):
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether there is such a module, or something of this name in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_the_code_of_the_tour_runs() -> None:
    code = "\n".join(blocks((ROOT / "docs" / "tour.md").read_text(), "python"))
    assert code.count("assert ") > 10
    exec(compile(code, "tour.md", "exec"), {})


def speeds(row: dict[str, Any]) -> list[str]:
    return [f"{value:.1f}" for value in row["images_per_second"].values()]


def ratio(middle: float, ends: list[float]) -> str:
    return f"{middle:.2f} ({ends[0]:.2f} to {ends[1]:.2f})"


def pretraining_cells(row: dict[str, Any]) -> list[str]:
    pairs = ("tiled / masked", "tiled / timm")
    return [
        f"{row['model']}, {row['batch_size']}",
        *speeds(row),
        *(ratio(row["speedup"][pair], row["speedup_range"][pair]) for pair in pairs),
        f"{row['memory_ratio']:.2f}",
        f"{row['of_matrix_products']['tiled']:.0%}",
    ]


def inference_cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['model']}, {row['batch_size']}",
        f"{row['work']}, {row['kind']}",
        *speeds(row),
        ratio(row["speedup"], row["speedup_range"]),
    ]


def image_cells(row: dict[str, Any]) -> list[str]:
    error = row["pixel_error"]["fast"]
    return [
        f"{row['megapixels']:.2g}",
        *speeds(row),
        *(ratio(row["speedup"][name], ends) for name, ends in row["speedup_range"].items()),
        f"{error['mean']:.2f}, {error['max']:.0f}",
    ]


def operator_cells(row: dict[str, Any]) -> list[str]:
    passes = [row[name] for name in ("forward", "backward")]
    return [
        f"{row['operator']}, {row['stage']}",
        row["implementation"],
        *(f"{1000 * one['median_seconds']:.2f}" for one in passes),
        *(ratio(one["speedup"], one["speedup_range"]) for one in passes),
        ", ".join(f"{one['share']:.0%}" for one in passes),
    ]


TABLES = {  # of each benchmark: the heading as the pages have it, and the cells of a row
    "pretraining": (
        "| model, batch | images/s: dense | masked | tiled | timm | tiled is faster than masked by "
        "| than timm by | memory of tiled / masked | of the matrix-product rate |",
        pretraining_cells,
    ),
    "inference": (
        "| model, batch | what | images/s: ours | timm | ours is faster by |",
        inference_cells,
    ),
    "operators": (
        "| operator, stage | by | ms: forward | backward | forward is faster by | backward is "
        "faster by | share of the limit |",
        operator_cells,
    ),
    "images": (
        "| megapixels | images/s: Pillow | exact | fast | exact is faster by | fast is faster by "
        "| error of fast: mean, max |",
        image_cells,
    ),
}


def table(benchmark: str, rows: list[dict[str, Any]]) -> str:
    heading, cells = TABLES[benchmark]
    return in_markdown(heading.strip("| ").split(" | "), [cells(row) for row in rows])


def in_markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def study(name: str, measured: dict[str, Any]) -> tuple[str, list[str]]:
    """A study's table in Markdown, and what it says of the paper's claims."""
    rows = measured["rows"]
    if name == "reconstruction":
        found = toy_page.table(rows)
        said = [f"{one.paper}: {one.verdict}." for one in comparisons(rows)]
    else:
        compared = importlib.import_module(f"fcmae.studies.{name.replace('-', '_')}").STUDY
        results = study_page.results_of(compared, rows, measured["settings"])
        found, said = (
            study_page.table(compared, results),
            study_page.findings(compared, results)[:1],
        )
    return in_markdown(found.heading, found.rows), said


@pytest.mark.parametrize("page", ["README.md", "docs/reproduce.md"])
def test_the_numbers_shown_are_the_measured_ones(page: str) -> None:
    text = (ROOT / page).read_text()
    marks = re.findall(r"<!-- (benchmarks/results/\S+\.json) -->\n\n", text)
    assert marks
    for file in marks:
        measured = json.loads((ROOT / file).read_text())
        shown = text.partition(f"<!-- {file} -->\n\n")[2]
        if Path(file).name == "results.json":
            name = Path(file).parent.name.removeprefix("study-").removesuffix("-cpu")
            expected, said = study(name, measured)
            prose = " ".join(shown.split())
            assert all(" ".join(sentence.split()) in prose for sentence in said)
        else:
            expected = table(Path(file).name.partition("-")[0], measured["rows"])
        expected += f"\n\n{measured['machine']}; torch"
        assert shown[: len(expected)] == expected


def test_every_room_is_on_the_map_for_contributors() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("## Where a change belongs")[2].partition("## How")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    rooms = {
        path.stem
        for path in (ROOT / "src/fcmae").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(named) == sorted(rooms - {"__init__", "__main__"})
