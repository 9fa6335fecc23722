"""Plants mistakes in copies of the tree, one at a time, and runs the tests that should notice.

The tree itself is only read. Each worker has a copy of its own, and one more stays unchanged: what
a mistake leaves behind in a worker's copy is put right from there.
"""

import queue
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mutants.children import Children
from mutants.copies import PACKAGE, CannotTellError, Copy, environment_of_tests, last_lines
from mutants.mistake import Mistake


class Verdict(Enum):
    """What came of a mistake. All but the first are to be put right."""

    NOTICED = "noticed"
    NOT_NOTICED = "not noticed"
    NOT_DECIDED = "not decided, its tests took too long"
    NOT_TRIED = "could not be tried"
    NO_LONGER_FITS = "no longer fits the code"


@dataclass(frozen=True)
class Outcome:
    """A mistake, what came of it, and the test that noticed or the reason that none could."""

    mistake: Mistake
    verdict: Verdict
    details: str = ""


def try_all(
    mistakes: Sequence[Mistake],
    tree: Path,
    *,
    jobs: int,
    limit: float,
    say: Callable[[str], None],
    show: Callable[[Outcome], None],
) -> list[Outcome]:
    """Try mistakes side by side, in copies of the tree that are removed in the end.

    Args:
        mistakes: what to plant.
        tree: the root of the project.
        jobs: how many at once.
        limit: of the tests of one mistake, in seconds.
        say: is told what goes on before the first mistake.
        show: is told each outcome when it is known.

    Returns:
        Outcomes in the order of the mistakes.

    Raises:
        CannotTellError: where tests fail without any mistake, or would not run the copy.
    """
    with (
        tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder,
        Children() as children,
    ):
        root = Path(folder).resolve()
        scratch = root / "scratch"
        scratch.mkdir()
        environment = environment_of_tests(tree, scratch)
        unchanged = Copy.of(tree, root / "unchanged", environment, children)
        check_unchanged(mistakes, unchanged, jobs=jobs, say=say)
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(min(jobs, len(mistakes))):
            # Not of the tree: its kernels may be older than those that were compiled just now.
            free.put(Copy.of(unchanged.folder, root / str(number), environment, children))

        def attempt(mistake: Mistake) -> Outcome:
            copy = free.get()
            try:
                return try_one(mistake, copy, unchanged, limit=limit)
            finally:
                free.put(copy)

        with ThreadPoolExecutor(free.qsize()) as pool:
            attempts = [pool.submit(attempt, mistake) for mistake in mistakes]
            try:
                for done in as_completed(attempts):
                    show(done.result())
            except BaseException:  # Ctrl-C above all: the pool waits for what runs
                children.end()
                raise
        return [done.result() for done in attempts]


def check_unchanged(
    mistakes: Sequence[Mistake], unchanged: Copy, *, jobs: int, say: Callable[[str], None]
) -> None:
    """Run the tests of all mistakes without any: one that fails now says nothing later."""
    tests = sorted({test for mistake in mistakes for test in mistake.tests})
    say(f"The unchanged code first, with all tests of {len(mistakes)} mistakes.")
    start = time.monotonic()
    code, printed = unchanged.test(tests, "-n", str(jobs if jobs > 1 else 0))
    if code:
        raise CannotTellError(
            f"Tests fail without any mistake, so nothing can be said:\n{last_lines(printed)}"
        )
    say(f"They pass, in {time.monotonic() - start:.0f} s.")


def try_one(mistake: Mistake, copy: Copy, unchanged: Copy, *, limit: float) -> Outcome:
    """Plant a mistake in a copy, run its tests there, and put the file back."""
    file = PACKAGE / mistake.file
    try:
        text = (unchanged.folder / file).read_bytes().decode()
    except FileNotFoundError:
        return Outcome(mistake, Verdict.NO_LONGER_FITS, "there is no such file")
    if (count := text.count(mistake.words)) != 1:
        return Outcome(mistake, Verdict.NO_LONGER_FITS, f"its words occur {count} times, not once")
    text = text.replace(mistake.words, mistake.replacement)
    if file.suffix == ".py":
        # Here, since a test that imports late would fail of it and seem to have noticed.
        try:
            compile(text, str(file), "exec", dont_inherit=True)
        except SyntaxError as error:
            return Outcome(mistake, Verdict.NOT_TRIED, f"it is no Python: {error}")
    try:
        copy.write(file, text)
        code, printed = copy.test(mistake.tests, "-x", "-n", "0", limit=limit)
    finally:
        copy.restore(file, unchanged)
    return judged(mistake, code, printed)


def judged(mistake: Mistake, code: int | None, printed: str) -> Outcome:
    """What pytest's exit code says of a mistake."""
    if code is None:
        return Outcome(mistake, Verdict.NOT_DECIDED, last_lines(printed))
    if code == 0:
        return Outcome(mistake, Verdict.NOT_NOTICED)
    if code == 1:
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", printed, re.MULTILINE)
        return Outcome(mistake, Verdict.NOTICED, failed[1] if failed else "")
    return Outcome(mistake, Verdict.NOT_TRIED, last_lines(printed))
