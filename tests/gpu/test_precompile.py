"""Kernels are compiled without a GPU, and found again where their cache was carried to."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpu import precompile
from gpu.precompile import Block, Variants, jobs, move_in

ROOT = Path(__file__).parents[2]


def test_jobs_are_what_is_needed_first_and_none_twice() -> None:
    wanted = jobs()
    assert len(set(wanted)) == len(wanted)
    assert wanted[0] == Block(7, 512, tiled=False, dtype="bf16")  # every model's decoder
    assert Block(8, 352, tiled=True, dtype="bf16") in wanted  # Huge
    kinds = [type(job) for job in wanted]
    assert kinds == sorted(kinds, key=[Block, Variants].index)


def test_a_cache_names_its_files_where_it_lies_now(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "KEY"
    folder.mkdir(parents=True)
    group = folder / "__grp__kernel.json"
    group.write_text(json.dumps({"child_paths": {"kernel.cubin": "/elsewhere/KEY/kernel.cubin"}}))
    for _ in range(2):
        move_in(tmp_path / "cache")
        named = json.loads(group.read_text())["child_paths"]
        assert named == {"kernel.cubin": str(folder / "kernel.cubin")}


@pytest.mark.parametrize("text", ["{", "[1]", '{"child_paths": 5}', "{}"])
def test_what_is_no_list_of_files_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "KEY").mkdir()
    (tmp_path / "KEY" / "__grp__kernel.json").write_text(text)
    move_in(tmp_path)
    assert (tmp_path / "KEY" / "__grp__kernel.json").read_text() == text


COMPILE = """
import sys
from pathlib import Path
from gpu import precompile
precompile.jobs = lambda: [precompile.Block(2, 5, tiled=True, dtype="bf16")]
sys.exit(precompile.main(["--cache", sys.argv[1], "--workers", "1"]))
"""


@pytest.mark.slow
def test_a_carried_cache_has_what_was_compiled_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("triton")

    def compiled(cache: Path) -> str:
        places = os.pathsep.join([str(ROOT / "src"), str(ROOT / "benchmarks")])
        run = subprocess.run(
            [sys.executable, "-c", COMPILE, str(cache)],
            env={**os.environ, "PYTHONPATH": places, "TRITON_INTERPRET": "0"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return run.stdout

    made, carried = tmp_path / "made", tmp_path / "carried"
    assert "8 kernels, 0 of them known" in compiled(made)
    assert set(json.loads((made / precompile.MADE_BY).read_text())) == {"triton", "assembler"}
    shutil.copytree(made, carried)
    shutil.rmtree(made)
    move_in(carried)
    assert "8 kernels, 8 of them known" in compiled(carried)
