"""Processes that end with this one, and take with them what they have started."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self


class Children:
    """Runs commands from several threads; when it is left, none of them still runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        limit: float | None = None,
    ) -> tuple[int | None, str]:
        """Run a command to its end, but no longer than `limit` seconds.

        Returns:
            Its exit code, or None where it took too long; and what it printed.
        """
        # A file, since whoever reads a pipe waits for every process that still holds its other end.
        with tempfile.TemporaryFile() as printed:
            with self._lock:
                if self._ended:
                    raise RuntimeError("no process is started any more")
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a group of its own, to be killed as one
                )
                self._running.add(process)
            code: int | None = None
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(limit)
            finally:
                with self._lock:
                    _kill(process)
                    self._running.discard(process)
            printed.seek(0)
            return code, printed.read().decode(errors="replace")

    def end(self) -> None:
        """Kill what runs, and start nothing more."""
        with self._lock:
            self._ended = True
            for process in self._running:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:  # else its number may be another's by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
