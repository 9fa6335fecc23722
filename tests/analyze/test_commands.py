"""The analyses as commands and as functions."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fcmae
from fcmae.analyze import (
    activation_maps,
    diversity_by_depth,
    reconstructions,
    selectivity_indices,
)
from fcmae.cli import COMMANDS, main

NAMES = ("selectivity", "diversity", "activations", "reconstruct")


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_the_function_of_its_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    function = getattr(fcmae.analyze, name)
    assert COMMANDS[f"analyze {name}"].function == name
    with pytest.raises(SystemExit, match="0"):
        main(["analyze", name, "--help"])
    words = capsys.readouterr().out
    for option in inspect.signature(function).parameters:
        assert f"--{option.replace('_', '-')}" in words
    assert str(inspect.signature(function).parameters["out"].default) == f"runs/analyze-{name}"


def test_the_functions_are_there_before_anything_heavy_is() -> None:
    code = (
        "import fcmae; fcmae.analyze.selectivity; import sys; "
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_functions_stay_what_they_are_once_they_have_run() -> None:
    assert inspect.isfunction(activation_maps.run_activations)
    assert inspect.isfunction(diversity_by_depth.run_diversity)
    assert inspect.isfunction(reconstructions.run_reconstruct)
    assert inspect.isfunction(selectivity_indices.run_selectivity)
    for name in NAMES:
        assert inspect.isfunction(getattr(fcmae.analyze, name))


def test_a_command_says_what_it_wrote(
    tmp_path: Path, data: Path, v1: str, v2: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["analyze", "diversity", "--weights", v1, v2, "--data", str(data), "--out", str(out)]
    assert main([*words, "--device", "cpu", "--workers", "0", "--tensor", "widened"]) == 0
    assert capsys.readouterr().out.endswith(f"Wrote {out / 'page.html'}\n")


def test_bad_input_is_said_in_a_line(
    tmp_path: Path, data: Path, v1: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["analyze", "diversity", "--weights", v1, "--data", str(data), "--tensor", "grn"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("fcmae: tensor 'grn': convnext_atto has no GRN")
