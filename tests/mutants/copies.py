"""Copies of the tree, in which tests run as in the tree itself."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mutants.children import Children

PACKAGE = Path("src", "fcmae")
FOLDERS = ("src", "tests", "docs", "benchmarks")  # what tests look at, beside the files of the root
LAST_LINES = 25


class CannotTellError(Exception):
    """Why nothing can be said of any mistake."""


@dataclass(frozen=True)
class Copy:
    """A copy of the tree, and what processes in it are told."""

    folder: Path
    environment: Mapping[str, str]
    children: Children

    @classmethod
    def of(
        cls, tree: Path, folder: Path, environment: Mapping[str, str], children: Children
    ) -> Self:
        """Copy what tests need, with the times of the files; make sure that it is what they run.

        Numba's compiled kernels come along. They hold as long as their source has its time, and
        compiling them anew takes half a minute. Python's bytecode stays behind.
        """
        folder.mkdir()
        for path in tree.iterdir():
            if path.is_file():
                shutil.copy2(path, folder)
            elif path.name in FOLDERS:
                ignored = shutil.ignore_patterns("*.pyc")
                shutil.copytree(path, folder / path.name, ignore=ignored)
        paths = {"PYTHONPATH": str(folder / "src")}
        copy = cls(folder, {**environment, **paths}, children)
        copy._check()
        return copy

    def _check(self) -> None:
        code, printed = self._run(["-c", "import fcmae; print(fcmae.__file__)"])
        if code:
            raise CannotTellError(f"The package cannot be imported:\n{last_lines(printed)}")
        imported = Path(printed.splitlines()[-1])
        if not imported.resolve().is_relative_to((self.folder / PACKAGE).resolve()):
            raise CannotTellError(
                f"Tests would run {imported.parent}, not the copy in {self.folder}."
            )

    def _run(self, arguments: Sequence[str], limit: float | None = None) -> tuple[int | None, str]:
        command = [sys.executable, *arguments]
        return self.children.run(command, self.folder, self.environment, limit)

    def test(
        self, tests: Sequence[str], *options: str, limit: float | None = None
    ) -> tuple[int | None, str]:
        """Run tests: pytest's exit code, None where they took too long, and what it printed."""
        # Without the cache, so that nothing is known of the mistake before.
        quiet = ["-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider"]
        return self._run([*quiet, *options, *tests], limit)

    def write(self, file: Path, text: str) -> None:
        """Change a file, and leave no bytecode of what it was.

        Python takes bytecode for current if size and second of the source are still the same.
        """
        _remove_cached(self.folder / file, "pyc")
        (self.folder / file).write_text(text, encoding="utf-8", newline="")

    def restore(self, file: Path, unchanged: "Copy") -> None:
        """Put a file back as it was, and numba's kernels of it."""
        _remove_cached(self.folder / file, "pyc", "nbi", "nbc")
        shutil.copy2(unchanged.folder / file, self.folder / file)
        for kernel in _cached(unchanged.folder / file, "nbi", "nbc"):
            shutil.copy2(kernel, self.folder / kernel.relative_to(unchanged.folder))


def _cached(file: Path, *kinds: str) -> list[Path]:
    folder = file.parent / "__pycache__"
    return [path for kind in kinds for path in folder.glob(f"{file.stem}.*{kind}")]


def _remove_cached(file: Path, *kinds: str) -> None:
    for path in _cached(file, *kinds):
        path.unlink()


def environment_of_tests(tree: Path, scratch: Path) -> dict[str, str]:
    """What tests are told in every copy.

    Args:
        tree: the original, beside which the real photographs may lie.
        scratch: an existing folder for temporary files, also those of tests that are killed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    photographs = str(tree.parent / "shared" / "data")  # as tests/conftest.py has it
    fixed = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    return {"FCMAE_TEST_DATA": photographs} | kept | fixed


def last_lines(printed: str) -> str:
    """The end of what a process printed, where the reason stands."""
    return "\n".join(printed.rstrip().splitlines()[-LAST_LINES:])
