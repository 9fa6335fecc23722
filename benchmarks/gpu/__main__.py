"""`python -m gpu`: every part, one after the other, as long as the time lasts."""

import argparse
import contextlib
import io
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpu.isolation import run_cases

if TYPE_CHECKING:
    from gpu.parts import Part
    from gpu.record import Recorder

DESCRIBE = "gpu.device:describe"
DESCRIBING = 120.0  # seconds that finding out about the machine may take
LETTERS = 150  # of a row on the screen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; 0 if nothing failed or disagreed, 1 if something did, 2 for bad use."""
    options = _parser().parse_args(arguments)
    try:
        return _do(options)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:  # what was done is kept
        return 130


def _do(options: argparse.Namespace) -> int:
    ends = time.monotonic() + 60 * options.minutes
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of terminals that know few letters
    out = options.out or Path("runs/rehearsal" if options.rehearse else "benchmarks/results")
    _check(options, out)
    if options.device == "cpu":  # before Triton is imported
        os.environ.setdefault("TRITON_INTERPRET", "1")

    from gpu.page import write_page
    from gpu.parts import chosen, parts, rehearsal
    from gpu.precompile import move_in
    from gpu.record import Recorder

    everything = parts(options.data, out)
    if options.rehearse:
        everything = rehearsal(everything, options.device)
    wanted = chosen(everything, options.parts)
    if options.cache:
        os.environ["TRITON_CACHE_DIR"] = str(options.cache.absolute())
        move_in(options.cache)
    (run,) = run_cases(DESCRIBE, options.device, [{}], DESCRIBING, time.monotonic() + DESCRIBING)
    if "machine" not in run:
        raise ValueError(next(iter(run.values())).removeprefix("ValueError: "))
    name = re.sub(r"\W+", "-", run["machine"].partition(",")[0]).strip("-").lower()
    path = out / f"{'rehearsal' if options.rehearse else 'gpu'}-{name}"
    with _alone(path):
        recorder = Recorder(
            path,
            {**run, "rehearsal": options.rehearse, "minutes": options.minutes},
            [part.name for part in everything],
            write_page,
        )
        failures = _run(wanted, recorder, options.device, ends)
    for suffix in ("json", "html"):
        _say_line(f"Wrote {path}.{suffix}")
    return 1 if failures else 0


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process write the same files."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ValueError(f"out: another process writes {path}.json: wait for it") from error
    try:
        yield
    finally:
        lock.release()
        path.with_suffix(".lock").unlink(missing_ok=True)


def _check(options: argparse.Namespace, out: Path) -> None:
    """Refuse what cannot be, before anything is started."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
        raise ValueError(f"device {options.device!r}: give cuda, cuda:N or cpu")
    if options.device == "cpu" and not options.rehearse:
        raise ValueError("device 'cpu' can only rehearse, since all is made for a GPU: --rehearse")
    if not options.minutes > 0:
        raise ValueError(f"minutes {options.minutes:g}: give a number above 0")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out {out} is a file: give a folder")
    if options.data and not options.data.is_dir():
        raise ValueError(f"data {options.data} is no folder: give one of train/CLASS and val/CLASS")
    if options.cache and not options.cache.is_dir():
        raise ValueError(
            f"cache {options.cache} is no folder: `make gpu-kernels CACHE={options.cache}` makes it"
        )


def _run(wanted: "Sequence[Part]", recorder: "Recorder", device: str, ends: float) -> int:
    """Do the parts that are not known already; how many rows failed or disagreed."""
    from gpu.page import is_failed, one_line

    failures = 0
    # Of what is done again, some may fail each time: what was never done comes before it.
    wanted = sorted(wanted, key=lambda part: recorder.has(part.name))
    for number, part in enumerate(wanted, 1):
        title = f"[{number}/{len(wanted)}] {part.name}"
        if recorder.is_done(part.name):
            _say(f"{title}: known already", ends)
            continue
        _say(title, ends)
        recorder.begin(part.name)
        for row in run_cases(part.function, device, part.cases, part.seconds, ends):
            recorder.add(row)
            failures += is_failed(row)
            _say(f"    {one_line(part.name, row)}"[:LETTERS], ends)
        recorder.finish()
    return failures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpu",
        description="What only a GPU can show, as much as the time allows, in order of worth. "
        "Every finding is kept at once, in a JSON file and a page: stop it whenever you like. The "
        "same command goes on with what is missing or failed, on the same machine, versions and "
        "commit; otherwise it begins anew, in the same file.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="a folder, made if need be (default: benchmarks/results; of a rehearsal, "
        "runs/rehearsal)",
    )
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="what is not done by then is ended (default: 9)"
    )
    parser.add_argument(
        "--data", type=Path, help="a folder of train/CLASS and val/CLASS: the toy study is done too"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        help="a folder of kernels that `python -m gpu.precompile --cache DIR` compiled",
    )
    parser.add_argument("--parts", nargs="+", default=[], help="only these; default: all")
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="every part on something tiny: does the script run here? With --device cpu Triton's "
        "kernels are interpreted",
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    return parser


def _say(words: str, ends: float) -> None:
    left = max(ends - time.monotonic(), 0)
    _say_line(f"{left:5.0f} s left  {words}")


def _say_line(words: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        sys.stdout.write(words + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
