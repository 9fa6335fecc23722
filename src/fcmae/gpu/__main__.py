"""`python -m fcmae.gpu`: every part, one after the other, as long as the time lasts."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fcmae.gpu.isolation import run_cases

if TYPE_CHECKING:
    from fcmae.gpu.parts import Part
    from fcmae.gpu.record import Recorder

DESCRIBE = "fcmae.gpu.device:describe"
LETTERS = 150  # of a row on the screen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; 0 if nothing failed or disagreed, 1 if something did, 2 without a device."""
    options = _parser().parse_args(arguments)
    if options.cache:
        os.environ["TRITON_CACHE_DIR"] = str(options.cache.absolute())
    if options.device == "cpu":  # before Triton is imported
        os.environ.setdefault("TRITON_INTERPRET", "1")
    ends = time.monotonic() + 60 * options.minutes

    from fcmae.gpu.page import write_page
    from fcmae.gpu.parts import chosen, parts, rehearsal
    from fcmae.gpu.precompile import move_in
    from fcmae.gpu.record import Recorder

    try:
        everything = parts(options.data, options.out)
        if options.rehearse:
            everything = rehearsal(everything, options.device)
        wanted = chosen(everything, options.parts)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.cache:
        move_in(options.cache)
    (run,) = run_cases(DESCRIBE, options.device, [{}], 120, ends)
    if "error" in run:
        sys.stderr.write(f"{run['error']}\n")
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", run["machine"].partition(",")[0]).strip("-").lower()
    recorder = Recorder(
        options.out / f"gpu-{name}", run, [part.name for part in everything], write_page
    )
    failures = _run(wanted, recorder, options.device, ends)
    for suffix in ("json", "html"):
        sys.stdout.write(f"Wrote {recorder.path}.{suffix}\n")
    return 1 if failures else 0


def _run(wanted: "Sequence[Part]", recorder: "Recorder", device: str, ends: float) -> int:
    """Do the parts that are not known already; how many rows failed or disagreed."""
    from fcmae.gpu.page import line

    failures = 0
    for number, part in enumerate(wanted, 1):
        title = f"[{number}/{len(wanted)}] {part.name}"
        if recorder.is_done(part.name):
            _say(f"{title}: known already", ends)
            continue
        _say(title, ends)
        recorder.begin(part.name)
        for row in run_cases(part.function, device, part.cases, part.seconds, ends):
            recorder.add(row)
            failures += "error" in row or row.get("agrees") is False
            _say(f"    {line(part.name, row)}"[:LETTERS], ends)
        recorder.finish()
    return failures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fcmae.gpu",
        description="What only a GPU can show, as much as the time allows, in order of worth. "
        "Every finding is kept at once, in a JSON file and a page: stop it whenever you like. The "
        "same command goes on with what is missing or failed, on the same machine, versions and "
        "commit; otherwise it begins anew, in the same file.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), help="a folder, made if need be"
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
        help="a folder of kernels that `python -m fcmae.gpu.precompile --cache DIR` compiled",
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
    sys.stdout.write(f"{left:5.0f} s left  {words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
