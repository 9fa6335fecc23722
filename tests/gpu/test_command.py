"""The command as a user starts it, with other work in place of what needs a GPU."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpu.__main__ import main

ROOT = Path(__file__).parents[2]
MOCKED = """
import sys
import gpu.parts as parts
from gpu.__main__ import main
seconds, cases = float(sys.argv.pop(1)), sys.argv.pop(1)
mocked = {
    "steadily": [{"number": number, "seconds": seconds} for number in range(1, 2000)],
    "two_rows": [{"then": how} for how in ("compilation", "out of memory", "no library", "")],
}
part = parts.Part("figure 1", f"gpu_cases:{cases}", tuple(mocked[cases]), 100)
parts.rehearsal = lambda everything, device: [part]
raise SystemExit(main())
"""


def start(out: Path, seconds: float, cases: str = "steadily") -> subprocess.Popen[str]:
    """A run whose only part has cases that take so many seconds."""
    places = [str(ROOT / name) for name in ("src", "benchmarks", "tests")]
    options = ["--rehearse", "--device", "cpu", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-c", MOCKED, str(seconds), cases, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stored(out: Path) -> list[dict[str, Any]]:
    """The rows in the only JSON file; none as long as there is no file."""
    files = list(out.glob("*.json"))
    if not files:
        return []
    parts = json.loads(files[0].read_text())["parts"]
    return parts[0]["rows"] if parts else []


def require_whole(out: Path) -> None:
    """A JSON file and a page, both to their ends."""
    (file,) = out.glob("rehearsal-*.json")
    record = json.loads(file.read_text())
    assert {"machine", "versions", "commit", "date", "command"} <= set(record)
    page = file.with_suffix(".html").read_text()
    assert record["machine"] in page
    assert page.rstrip().endswith("</html>")


@pytest.mark.parametrize("rows", [1, 7])
def test_killed_at_any_moment_it_leaves_what_was_done(tmp_path: Path, rows: int) -> None:
    run = start(tmp_path, 0.3)
    until = time.monotonic() + 200
    while len(stored(tmp_path)) < rows and time.monotonic() < until:
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    found = stored(tmp_path)
    assert [row["number"] for row in found] == list(range(1, len(found) + 1))
    assert len(found) >= rows
    require_whole(tmp_path)


@pytest.mark.slow
def test_killed_after_forty_ninety_and_two_hundred_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    runs = {seconds: start(tmp_path / str(seconds), 1.0) for seconds in (40, 90, 200)}
    for seconds, run in runs.items():
        time.sleep(max(began + seconds - time.monotonic(), 0))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert stored(tmp_path / str(seconds))
        require_whole(tmp_path / str(seconds))


def test_what_failed_is_said_on_the_screen_and_by_the_code_and_the_rest_is_done(
    tmp_path: Path,
) -> None:
    run = start(tmp_path, 0, "two_rows")
    said, _ = run.communicate(timeout=250)
    assert run.returncode == 1
    rows = stored(tmp_path)
    assert [row["error"].partition(":")[0] for row in rows if "error" in row] == [
        "CompilationError",
        "OutOfMemoryError",
        "ModuleNotFoundError",
    ]
    assert rows[-1] == {"then": "", "row": 2}
    (page,) = tmp_path.glob("*.html")
    for shown in (said, page.read_text()):
        assert "failed: OutOfMemoryError: CUDA out of memory" in shown
    require_whole(tmp_path)


def test_a_machine_without_cuda_is_told_so(tmp_path: Path) -> None:
    out = tmp_path / "new"
    places = os.pathsep.join([str(ROOT / "src"), str(ROOT / "benchmarks")])
    run = subprocess.run(
        [sys.executable, "-m", "gpu", "--out", str(out)],
        env={**os.environ, "PYTHONPATH": places, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("no CUDA device: torch ")
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--parts", "grapf"], "unknown part 'grapf': did you mean 'graph'?"),
        (["--device", "gpu"], "device 'gpu': give cuda, cuda:N or cpu"),
        (["--device", "cpu"], "device 'cpu' can only rehearse, since all is made for a GPU: "),
        (["--minutes", "0"], "minutes 0: give a number above 0"),
        (["--cache", "nowhere"], "cache nowhere is no folder: `make gpu-kernels CACHE=nowhere`"),
        (["--data", "nowhere"], "data nowhere is no folder: give one of train/CLASS"),
    ],
)
def test_bad_use_is_told_before_anything_is_done(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "new"), *options]) == 2
    assert capsys.readouterr().err.startswith(said)
    assert not (tmp_path / "new").exists()
