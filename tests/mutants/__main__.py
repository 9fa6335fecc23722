"""`make mutants`: does some test notice each of the planted mistakes?"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mutants.copies import PACKAGE, CannotTellError
from mutants.mistake import Mistake
from mutants.planted import PLANTED
from mutants.planting import Outcome, Verdict, try_all
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).parents[2]


def main(
    arguments: Sequence[str] | None = None,
    *,
    tree: Path = ROOT,
    planted: Sequence[Mistake] = PLANTED,
) -> int:
    """Plant what is asked for, and say what came of it.

    Returns:
        0 if every mistake was noticed, 1 if one was not, 2 if nothing can be said.
    """
    options = _options(arguments)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    asked = options.only.lower()
    mistakes = [
        mistake
        for mistake in planted
        if asked in mistake.file.lower() or asked in mistake.meaning.lower()
    ]
    if not mistakes:
        console.print(f"No mistake's file or meaning contains {options.only!r}: see --list.")
        return 2
    if options.list:
        for mistake in mistakes:
            console.print(f"{mistake.file}: {mistake.meaning}")
        return 0
    start = time.monotonic()
    try:
        outcomes = _try(mistakes, tree, console, options)
    except CannotTellError as reason:
        console.print(str(reason))
        return 2
    except KeyboardInterrupt:
        console.print("Stopped; the copies are removed.")
        return 130
    _summarise(outcomes, console, time.monotonic() - start)
    return 0 if all(outcome.verdict is Verdict.NOTICED for outcome in outcomes) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="mistakes whose file or meaning contains it"
    )
    parser.add_argument("--list", action="store_true", help="print the mistakes and plant none")
    parser.add_argument("--verbose", action="store_true", help="print what was noticed too")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds for the tests of one mistake"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    return options


def _try(
    mistakes: Sequence[Mistake], tree: Path, console: Console, options: argparse.Namespace
) -> list[Outcome]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[noticed]} noticed"),
        TimeRemainingColumn(),
    )
    # Where nobody watches there is no bar: the lines above it and the summary are enough.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("planted", total=len(mistakes), noticed=0)
        noticed = 0

        def show(outcome: Outcome) -> None:
            nonlocal noticed
            noticed += outcome.verdict is Verdict.NOTICED
            progress.update(task, advance=1, noticed=noticed)
            if outcome.verdict is not Verdict.NOTICED:
                console.print(_headline(outcome))
            elif options.verbose:
                console.print(f"{_headline(outcome)}\n    by {outcome.details}")

        return try_all(
            mistakes, tree, jobs=options.jobs, limit=options.limit, say=console.print, show=show
        )


def _headline(outcome: Outcome) -> str:
    place = PACKAGE / outcome.mistake.file
    return f"{outcome.verdict.value}: {place}: {outcome.mistake.meaning}"


def _summarise(outcomes: Sequence[Outcome], console: Console, seconds: float) -> None:
    noticed = sum(outcome.verdict is Verdict.NOTICED for outcome in outcomes)
    console.print(f"{len(outcomes)} planted, {noticed} noticed, in {seconds:.0f} s.")
    for outcome in outcomes:
        if outcome.verdict is Verdict.NOTICED:
            continue
        mistake = outcome.mistake
        console.print(f"\n{_headline(outcome)}")
        console.print(_indented("- ", mistake.words) + "\n" + _indented("+ ", mistake.replacement))
        console.print(f"    tests: {' '.join(mistake.tests)}")
        if outcome.details:
            console.print(_indented("| ", outcome.details))


def _indented(mark: str, text: str) -> str:
    return "\n".join(f"    {mark}{line}" for line in text.splitlines() or [""])


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: no process, no copy stays behind
        if signal.getsignal(ending) is signal.SIG_DFL:  # which nohup, for one, has changed
            signal.signal(ending, signal.default_int_handler)
    sys.exit(main())
