"""SIGTERM and Ctrl-C: finish what must be whole, save, and leave with the usual exit code."""

import signal
import types


class Interrupted(SystemExit):
    """A run that was asked to stop and saved its state; exit code 130 or 143."""

    def __init__(self, received: int) -> None:
        super().__init__(128 + received)


class Interrupt:
    """Within `with`, remembers a signal instead of dying of it; a second Ctrl-C does not wait."""

    def __init__(self) -> None:
        self.received = 0

    def __call__(self) -> bool:
        """Whether the run should stop."""
        return self.received != 0

    def __enter__(self) -> "Interrupt":
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: types.FrameType | None) -> None:
        if self.received == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
