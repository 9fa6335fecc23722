"""What is done: in order of worth, with functions that take what they are given."""

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.columns import PARTS
from gpu.parts import chosen, parts, rehearsal

ROOT = Path(__file__).parents[2]
EVERYTHING = parts(Path("cifar100"), Path("out"))
BLOCKED = ("tyro", "simplejpeg", "torchcodec")


@pytest.mark.parametrize(
    "part", [*EVERYTHING, *rehearsal(EVERYTHING, "cpu")], ids=lambda part: part.name
)
def test_every_case_can_be_called(part: object) -> None:
    module, _, name = part.function.partition(":")
    signature = inspect.signature(getattr(importlib.import_module(module), name))
    for case in part.cases:
        signature.bind("cpu", **case)


def test_every_part_has_its_section_and_nothing_else_has() -> None:
    assert [part.name for part in EVERYTHING] == list(PARTS)


def test_what_is_right_comes_before_what_is_fast_and_figure_1_before_the_rest() -> None:
    names = [part.name for part in EVERYTHING]
    assert names.index("kernels agree") < names.index("doctor") < names.index("figure 1")
    assert names.index("figure 1") < names.index("whole steps") < names.index("variants")
    assert names[-2:] == ["toy study", "tests"]


def test_figure_1_has_every_size_and_huge_comes_last_of_its_precision() -> None:
    (part,) = chosen(EVERYTHING, ["figure 1"])
    models = [case["model"] for case in part.cases if "precision" not in case]
    assert models[0] == "convnextv2_atto"
    assert models[-1] == "convnextv2_huge"
    assert len(models) == 8


def test_without_data_there_is_no_toy_study() -> None:
    assert "toy study" not in [part.name for part in parts(None, Path("out"))]


@pytest.mark.slow
def test_all_parts_run_without_libraries_that_a_borrowed_machine_lacks(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in BLOCKED)
    )
    places = [str(tmp_path), str(ROOT / "src"), str(ROOT / "benchmarks")]
    options = ["--rehearse", "--device", "cpu", "--out", str(tmp_path / "out"), "--minutes", "25"]
    run = subprocess.run(
        [sys.executable, "-m", "gpu", *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    names = [part.name for part in rehearsal(parts(None, Path("out")), "cpu")]
    for number, name in enumerate(names, 1):
        assert f"[{number}/{len(names)}] {name}" in run.stdout
    assert "failed:" not in run.stdout
    assert "left out" not in run.stdout
    (record,) = (tmp_path / "out").glob("rehearsal-*.json")
    rows = {part["name"]: part["rows"] for part in json.loads(record.read_text())["parts"]}
    cuda_alone = {"graph", "registers", "compiled opponents"}  # nothing is compiled for a processor
    assert {name for name, found in rows.items() if not found} == cuda_alone
