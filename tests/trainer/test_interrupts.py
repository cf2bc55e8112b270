"""SIGTERM as a Ctrl-C, once; between steps where a training asks for that."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from kuaixun.trainer.interrupts import Termination, interrupts_between_steps, terminations_as_interrupts


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Without handlers these signals would end the tests."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_interrupts_once(number: int) -> None:
    with terminations_as_interrupts():
        with pytest.raises(Termination):
            signal.raise_signal(number)
        signal.raise_signal(number)

    assert signal.getsignal(number) is signal.default_int_handler


def test_between_steps_a_termination_is_asked_for_and_a_second_one_gives_nothing_up() -> None:
    with terminations_as_interrupts(), interrupts_between_steps() as asked_to_stop:
        assert not asked_to_stop()
        signal.raise_signal(signal.SIGTERM)
        assert asked_to_stop()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_where_sigint_is_ignored_a_termination_still_interrupts() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with terminations_as_interrupts(), pytest.raises(Termination):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_was_to_be_ignored_still_is() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with terminations_as_interrupts():
        signal.raise_signal(signal.SIGHUP)

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
