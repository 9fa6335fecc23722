"""Signals: the first is remembered, a second Ctrl-C does not wait."""

import os
import signal

import pytest

from fcmae.training.signals import Interrupt, Interrupted

BOTH = [signal.SIGINT, signal.SIGTERM]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_is_the_usual_one(number: int, code: int) -> None:
    with pytest.raises(SystemExit) as leaving:
        raise Interrupted(number)
    assert leaving.value.code == code


def test_without_a_signal_nothing_stops() -> None:
    with Interrupt() as interrupt:
        assert not interrupt()
    assert interrupt.received == 0


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_is_remembered(number: int) -> None:
    with Interrupt() as interrupt:
        send(number)
        assert interrupt()
        assert interrupt()  # however often it is asked
    assert interrupt.received == number


def test_a_second_ctrl_c_does_not_wait() -> None:
    with Interrupt() as interrupt:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert interrupt.received == signal.SIGINT


@pytest.mark.parametrize("first", BOTH)
def test_being_terminated_again_still_saves(first: int) -> None:
    with Interrupt() as interrupt:
        send(first)
        send(signal.SIGTERM)  # schedulers send it to a whole group, sometimes twice
        assert interrupt()
    assert interrupt.received == signal.SIGTERM


def test_one_ctrl_c_after_a_termination_still_saves() -> None:
    with Interrupt() as interrupt:
        send(signal.SIGTERM)
        send(signal.SIGINT)
        assert interrupt()


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("error", [None, RuntimeError("disk full")])
def test_afterwards_signals_do_what_they_did_before(
    number: int, error: RuntimeError | None
) -> None:
    received: list[int] = []
    before = signal.signal(number, lambda number, _: received.append(number))
    try:
        try:
            with Interrupt() as interrupt:
                if error is not None:
                    raise error
        except RuntimeError:
            pass
        send(number)
        assert received == [number]
        assert not interrupt()
    finally:
        signal.signal(number, before)
