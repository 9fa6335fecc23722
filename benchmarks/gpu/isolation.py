"""Cases of a part in a process of their own: whatever one of them does costs its own row alone.

A kernel that reads where it may not ends all work on the device for its process, a compiler may
end the process itself, and some things never end. So a process does case after case until one
fails, or takes too long, or the process is gone; then a fresh one does what is left. Processes are
forked from a server that has imported PyTorch and has never touched the device: each starts at
once.
"""

import gc
import importlib
import json
import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from fcmae.errors import described

Row = dict[str, Any]  # JSON-able
Case = Mapping[str, Any]  # the keywords of a call, JSON-able

PRELOADED = ("torch", "fcmae.models.autoencoder", "gpu.isolation")
NO_TIME, CUT_OFF = "no time was left", "cut off when the time ended"
SHORTEST = 2.0  # seconds that must be left for a case to begin
ENDING = 3.0  # seconds that a process may take to end by itself, when all is done


def run_cases(
    function: str, device: str, cases: Sequence[Case], seconds: float, ends: float
) -> Iterator[Row]:
    """Call a function for each case and give its rows, each as soon as it is there.

    Args:
        function: "module:name"; it is called with the device and the keywords of a case, and
            returns an iterator of rows.
        device: as `torch.device` takes it.
        cases: the keywords of each call.
        seconds: the most that a case may take; the first of a process also starts it.
        ends: by `time.monotonic()`, when all must end. What has not begun by then is left out.

    Yields:
        The fields of the case and those of the row; where it failed, `error`, the reason; where it
        did not begin, `left_out`, the reason.
    """
    ahead = deque(cases)
    while ahead and ends - time.monotonic() > SHORTEST:
        process, results = _start(function, device, list(ahead))
        try:
            yield from _rows_of(process, results, ahead, seconds, ends)
        finally:
            _end(process)
            results.close()
    for case in ahead:
        yield {**case, "left_out": NO_TIME}


def _rows_of(
    process: BaseProcess, results: Connection, ahead: deque[Case], seconds: float, ends: float
) -> Iterator[Row]:
    """Rows of one process, until a case fails; what it has done is taken off `ahead`."""
    while ahead and (left := ends - time.monotonic()) > SHORTEST:
        case = ahead[0]
        late = {"left_out": CUT_OFF} if left < seconds else {"error": f"not done in {seconds:g} s"}
        until = time.monotonic() + min(seconds, left)
        while True:
            kind, row = _next(process, results, until, late)
            if kind == "done":
                ahead.popleft()
                break
            yield {**case, **row}
            if kind == "error":
                ahead.popleft()
                return
    process.join(ENDING)  # it tidies up


def _next(process: BaseProcess, results: Connection, until: float, late: Row) -> tuple[str, Row]:
    """What the process says next, or why it says nothing; `late` if it does not in time."""
    left = max(until - time.monotonic(), 0)
    ready = multiprocessing.connection.wait([results, process.sentinel], left)
    if not ready:
        return "error", late
    try:
        if results in ready or results.poll():
            kind, text = results.recv()
            return kind, json.loads(text)
    except (EOFError, OSError):
        pass
    process.join(ENDING)  # it is gone
    return "error", {"error": _ending(process.exitcode)}


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended by itself, with code {code}"


def _start(function: str, device: str, cases: list[Case]) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    results, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, function, device, cases))
    process.start()
    sender.close()  # the process's copy is the only one: where it ends, so does the pipe
    return process, results


def _end(process: BaseProcess) -> None:
    """End a process with all that it started, now."""
    assert process.pid is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # before it had a group of its own
    process.join(ENDING)  # one that a driver holds back ends later


def _work(results: Connection, function: str, device: str, cases: list[Case]) -> None:
    """The process: one case after the other, until one fails."""
    os.setpgrp()
    _end_with_parent(results)
    for case in cases:
        try:
            for row in _call(function, device, case):
                if not isinstance(row, dict):
                    raise TypeError(f"{function} gave {row!r} in place of a row")
                results.send(("row", json.dumps(_in_json(row), allow_nan=False)))
            results.send(("done", "{}"))
        except BaseException as error:
            traceback.print_exc()
            results.send(("error", json.dumps({"error": described(error)})))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)  # what a broken device would still do at the end is of no matter


def _call(function: str, device: str, case: Case) -> Iterator[Row]:
    import torch

    module, _, name = function.partition(":")
    where = torch.device(device)
    if where.type == "cuda" and torch.cuda.is_available():
        where = torch.device("cuda", where.index or 0)
        torch.cuda.set_device(where)
    yield from getattr(importlib.import_module(module), name)(where, **case)
    gc.collect()
    if where.type == "cuda":
        torch.cuda.synchronize()  # a fault of this case is not the next one's
        torch.cuda.empty_cache()


def _in_json(value: Any) -> Any:
    """The same with words for numbers that JSON has not: "nan", "inf" and "-inf"."""
    match value:
        case dict():
            return {name: _in_json(one) for name, one in value.items()}
        case list() | tuple():
            return [_in_json(one) for one in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def _end_with_parent(results: Connection) -> None:
    """Have all that this process starts end, at the latest, when its parent does.

    The guardian is a process, since a thread would wait where a library holds the interpreter.
    """
    parent, watched = multiprocessing.parent_process(), os.getpid()
    assert parent is not None
    if os.fork() > 0:
        return
    results.close()
    while os.getppid() == watched and parent.is_alive():
        parent.join(1.0)
    if not parent.is_alive():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
