"""A case that fails, in whatever way, costs its own row."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpu.isolation import CUT_OFF, NO_TIME, run_cases


def rows_of(function: str, cases: list[dict], seconds: float = 120, minutes: float = 10) -> list:
    ends = time.monotonic() + 60 * minutes
    return list(run_cases(f"gpu_cases:{function}", "cpu", cases, seconds, ends))


def test_rows_have_the_fields_of_their_case_and_one_process_does_all() -> None:
    rows = rows_of("squares", [{"number": 3}, {"number": 5}])
    assert [(row["number"], row["square"]) for row in rows] == [(3, 9), (5, 25)]
    assert len({row["process"] for row in rows} - {os.getpid()}) == 1


def test_what_fails_costs_one_row_and_the_rest_goes_on() -> None:
    ways = {
        "out of memory": "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "no library": "ModuleNotFoundError: No module named 'no_such_library'",
        "compilation": "CompilationError: ",
        "resources": "OutOfResources: out of resource: shared memory, Required: 300000",
        "assembler": "PTXASError: ",
        "exit": "SystemExit: 3",
        "crash": "its process was ended by SIGSEGV",
    }
    rows = rows_of("two_rows", [{"then": how} for how in (*ways, "nothing")])
    for how, said in ways.items():
        first, second = (row for row in rows if row["then"] == how)
        assert first == {"then": how, "row": 1}
        assert second["error"].startswith(said)
        assert "row" not in second
    assert rows[-2:] == [{"then": "nothing", "row": 1}, {"then": "nothing", "row": 2}]


def test_what_takes_too_long_is_ended_with_all_it_started_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    rows_of("squares", [{"number": 1}])  # the server from which processes are forked is there
    told = str(tmp_path / "told")
    cases = [{"number": 2, "told": told}, {"number": 3, "told": None}]
    rows = rows_of("endless", cases, seconds=5)
    assert rows[0] == {**cases[0], "row": 1}
    assert rows[1] == {**cases[0], "error": "not done in 5 s"}
    assert rows[2:] == [{**cases[1], "row": 1}, {**cases[1], "row": 2}]
    for process in map(int, Path(told).read_text().split()):
        _require_end(process)


def test_what_there_is_no_time_for_is_named() -> None:
    rows = rows_of("squares", [{"number": 3}, {"number": 5}], minutes=-1)
    assert rows == [{"number": number, "left_out": NO_TIME} for number in (3, 5)]


def test_numbers_that_json_has_not_are_words_and_what_is_no_number_costs_its_row() -> None:
    first, second, third = rows_of("odd_values", [{"kind": kind} for kind in ("nan", "tensor", "")])
    assert first == {"kind": "nan", "value": ["nan", {"a": "-inf"}]}
    assert second["error"].startswith("TypeError: ")
    assert third == {"kind": "", "value": 1}


def test_what_is_under_way_when_the_time_ends_is_cut_off_and_no_failure(tmp_path: Path) -> None:
    rows_of("squares", [{"number": 1}])
    cases = [{"number": 2, "told": str(tmp_path / "told")}, {"number": 3, "told": None}]
    rows = rows_of("endless", cases, minutes=5 / 60)
    assert rows[-2:] == [
        {**cases[0], "left_out": CUT_OFF},
        {**cases[1], "left_out": NO_TIME},
    ]


def test_what_is_no_row_costs_its_row() -> None:
    (row,) = rows_of("no_rows", [{"number": 7}])
    assert row == {"number": 7, "error": "TypeError: gpu_cases:no_rows gave 7 in place of a row"}


def test_nothing_goes_on_when_the_parent_is_killed_even_where_python_cannot_run(
    tmp_path: Path,
) -> None:
    told = tmp_path / "told"
    code = (
        "import sys, time; from gpu.isolation import run_cases\n"
        "ends, case = time.monotonic() + 600, {'told': sys.argv[1]}\n"
        "list(run_cases('gpu_cases:holding', 'cpu', [case], 600, ends))"
    )
    root = Path(__file__).parents[2]
    places = os.pathsep.join(str(root / name) for name in ("src", "benchmarks", "tests"))
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(told)], env={**os.environ, "PYTHONPATH": places}
    )
    for _ in range(1000):
        if told.exists() and told.read_text():
            break
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    _require_end(int(told.read_text()))


def test_a_function_that_is_not_there_costs_its_rows() -> None:
    rows = rows_of("nothing_of_this_name", [{"number": 3}, {"number": 5}])
    assert all("nothing_of_this_name" in row["error"] for row in rows)


def _require_end(process: int) -> None:
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # ended, though nobody has asked
            return
        time.sleep(0.1)
    pytest.fail(f"process {process} goes on")
