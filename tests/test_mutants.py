"""`make mutants` itself, on a made-up tree of one file; and whether the list is well-formed."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from mutants.__main__ import main
from mutants.children import Children
from mutants.copies import CannotTellError, Copy
from mutants.mistake import Mistake
from mutants.planted import PLANTED
from mutants.planting import Outcome, Verdict, try_all

ROOT = Path(__file__).parent.parent
CODE = """\
SIZE = 3


def twice(x):
    return x + x


def half(x):
    return x / 2


def unseen(x):
    return x - 1
"""
TESTS = """\
from fcmae import numbers


def test_twice():
    assert numbers.twice(numbers.SIZE) == 6


def test_half():
    assert numbers.half(numbers.SIZE) == 1.5
"""

# What loads slowly and is not needed
SETTINGS = (
    '[tool.pytest.ini_options]\naddopts = "-p no:hypothesispytest -p no:anyio -p no:typeguard"'
)


def mistake(
    words: str,
    replacement: str,
    meaning: str = "It is wrong.",
    tests: tuple[str, ...] = ("tests/test_numbers.py",),
) -> Mistake:
    return Mistake("numbers.py", words, replacement, meaning, tests)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    package = root / "src" / "fcmae"
    package.mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "pyproject.toml").write_text(SETTINGS)
    (package / "__init__.py").touch()
    (package / "numbers.py").write_text(CODE)
    (root / "tests" / "test_numbers.py").write_text(TESTS)
    return root


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def outcomes(tree: Path, *mistakes: Mistake, limit: float = 60) -> list[Outcome]:
    return try_all(mistakes, tree, jobs=1, limit=limit, say=str, show=lambda outcome: None)


def test_what_came_of_each_mistake(tree: Path, temporary: Path) -> None:
    """One after the other in one copy, so that the last is noticed only if each was put back."""
    found = outcomes(
        tree,
        mistake("x + x", "x * x"),
        mistake("x - 1", "x + 1"),
        mistake("x ** 2", "x ** 3"),
        mistake("(x)", "(y)"),
        mistake("SIZE = 3", "SIZE = THREE"),
        mistake("SIZE = 3", "SIZE ="),
        mistake("x / 2", "x / 3", tests=("tests/test_numbers.py::test_twice",)),
        mistake("x / 2", "x / 3"),
    )
    assert [outcome.verdict for outcome in found] == [
        Verdict.NOTICED,
        Verdict.NOT_NOTICED,
        Verdict.NO_LONGER_FITS,
        Verdict.NO_LONGER_FITS,
        Verdict.NOT_TRIED,
        Verdict.NOT_TRIED,
        Verdict.NOT_NOTICED,
        Verdict.NOTICED,
    ]
    details = [outcome.details for outcome in found]
    assert details[0] == "tests/test_numbers.py::test_twice"
    assert details[7] == "tests/test_numbers.py::test_half"
    assert "occur 0 times" in details[2]
    assert "occur 3 times" in details[3]
    assert "name 'THREE' is not defined" in details[4]
    assert "invalid syntax" in details[5]
    assert (tree / "src" / "fcmae" / "numbers.py").read_text() == CODE
    assert not any(temporary.iterdir())


def test_tests_run_the_copy_and_keep_to_the_time(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = f"""\
import os
import fcmae
from fcmae import numbers


def test_place():
    for place in (os.getcwd(), fcmae.__file__, numbers.__file__, __file__):
        assert "/mutants-" in place and not place.startswith({str(tree)!r})
    assert os.environ["FCMAE_TEST_DATA"] == {str(tree.parent / "shared" / "data")!r}
    assert os.environ["OMP_NUM_THREADS"] == "1"
    while numbers.half(2) < 1:
        pass
"""
    (tree / "tests" / "test_numbers.py").write_text(test)
    monkeypatch.delenv("FCMAE_TEST_DATA", raising=False)
    (endless,) = outcomes(tree, mistake("x / 2", "x / 3"), limit=1)
    assert endless.verdict is Verdict.NOT_DECIDED


def test_bytecode_of_what_a_file_was_is_never_run(tree: Path, temporary: Path) -> None:
    """It would be, where the replacement is as long as the words and both have one second."""
    package = tree / "src" / "fcmae"
    (package / "__pycache__").mkdir()
    stale = package / "__pycache__" / f"numbers.{sys.implementation.cache_tag}.pyc"
    kernel = package / "__pycache__" / "numbers.half-8.nbi"
    for path in (stale, kernel):
        path.write_text("of the unchanged file")
    with Children() as children:
        unchanged = Copy.of(tree, temporary / "unchanged", {}, children)
        copy = Copy.of(tree, temporary / "copy", {}, children)
    cached = [copy.folder / path.relative_to(tree) for path in (stale, kernel)]
    assert not cached[0].exists()
    source = Path("src", "fcmae", "numbers.py")
    cached[0].write_text("of the unchanged file")
    copy.write(source, "SIZE = 4")
    assert not cached[0].exists()
    for path in cached:
        path.write_text("of the mistake")
    copy.restore(source, unchanged)
    assert not cached[0].exists()
    assert cached[1].read_text() == "of the unchanged file"
    before, after = (tree / source).stat(), (copy.folder / source).stat()
    assert (copy.folder / source).read_text() == CODE
    assert after.st_mtime_ns == before.st_mtime_ns  # or numba would compile anew


def test_nothing_is_said_where_tests_fail_without_a_mistake(tree: Path) -> None:
    (tree / "tests" / "test_numbers.py").write_text(TESTS.replace("== 6", "== 7"))
    with pytest.raises(CannotTellError, match=r"(?s)without any mistake.*test_twice"):
        outcomes(tree, mistake("x + x", "x * x"))


def test_nothing_is_said_where_the_copy_would_not_be_tested(tree: Path) -> None:
    (tree / "src" / "fcmae" / "__init__.py").write_text("__file__ = '/elsewhere/fcmae/a.py'")
    with pytest.raises(CannotTellError, match="Tests would run /elsewhere/fcmae, not the copy"):
        outcomes(tree, mistake("x + x", "x * x"))


def test_the_command_prints_what_no_test_noticed(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = (
        mistake("x + x", "x * x", "Twice is a square."),
        mistake("x - 1", "x + 1", "It goes [up]."),
    )
    assert main(["--jobs", "2"], tree=tree, planted=planted) == 1
    printed = capsys.readouterr().out
    assert "2 planted, 1 noticed, in" in printed
    assert (
        "\nnot noticed: src/fcmae/numbers.py: It goes [up].\n    - x - 1\n    + x + 1\n" in printed
    )
    assert "tests: tests/test_numbers.py" in printed
    assert "square" not in printed
    assert main(["--jobs", "1", "--only", "SQUARE", "--verbose"], tree=tree, planted=planted) == 0
    printed = capsys.readouterr().out
    assert "1 planted, 1 noticed" in printed
    assert "by tests/test_numbers.py::test_twice" in printed
    assert main(["--list"], tree=tree, planted=planted) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["--only", "cube"], tree=tree, planted=planted) == 2
    assert "'cube'" in capsys.readouterr().out


def test_ctrl_c_ends_the_tests_and_removes_the_copies(tree: Path, temporary: Path) -> None:
    started = tree / "started"
    test = f"""\
import os, subprocess, sys, time
from fcmae import numbers


def test_endless():
    if numbers.half(2) < 1:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        with open({str(started)!r}, "w") as file:
            print(os.getpid(), child.pid, file=file, flush=True)
        time.sleep(100)
"""
    (tree / "tests" / "test_numbers.py").write_text(test)
    code = f"""\
import signal
from pathlib import Path
from mutants.__main__ import main
from mutants.mistake import Mistake
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
wrong = Mistake("numbers.py", "x / 2", "x / 3", "Wrong.", ("tests/test_numbers.py",))
raise SystemExit(main(["--jobs", "1"], tree=Path({str(tree)!r}), planted=[wrong]))
"""
    command = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests"), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while not (started.exists() and started.read_text().endswith("\n")):
            assert command.poll() is None
            time.sleep(0.02)
        command.send_signal(signal.SIGINT)
        assert "Stopped" in command.communicate(timeout=60)[0]
    finally:
        command.kill()
    assert command.returncode == 130
    assert not any(temporary.iterdir())
    for number in started.read_text().split():
        while runs(number):
            time.sleep(0.02)


def runs(number: str) -> bool:
    """Whether a process still does, where the system has /proc to say so; a zombie does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_planted_mistakes_are_well_formed() -> None:
    """Not whether they still fit the code: that is for `make mutants` to say."""
    assert len({(one.file, one.words, one.replacement) for one in PLANTED}) == len(PLANTED)
    for one in PLANTED:
        assert (ROOT / "src" / "fcmae" / one.file).is_file(), one
        assert one.words != one.replacement, one
        assert re.fullmatch(r"[A-Z0-9].*\.", one.meaning), one
        assert one.tests, one
        for test in one.tests:
            file, *names = test.split("[")[0].split("::")
            assert (ROOT / file).exists(), one
            for name in names:
                assert re.search(rf"^\s*(def|class) {name}\b", (ROOT / file).read_text(), re.M), one
