"""Signals around something that must not be left behind, sent by this process to itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from neonctl.provision.interruption import Interruption

EACH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@pytest.fixture(autouse=True)
def a_terminal() -> Iterator[None]:
    """Whoever started the tests may ignore the end of a terminal (`nohup`); here nobody does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Story:
    def __init__(self) -> None:
        self.told: list[str] = []

    def cut(self) -> None:
        self.told.append("cut")


@EACH
def test_work_is_interrupted_at_once_and_only_once(number):
    story = Story()
    with pytest.raises(KeyboardInterrupt), Interruption(story.cut) as interruption:
        interruption.work()
        try:
            signal.raise_signal(number)
            story.told.append("went on")
        finally:
            signal.raise_signal(number)
            interruption.tidy()
            signal.raise_signal(number)
            story.told.append("tidied")
    assert story.told == ["cut", "tidied"]


@EACH
def test_while_making_the_first_signal_waits_for_the_step_to_end(number):
    story = Story()
    with pytest.raises(KeyboardInterrupt), Interruption(story.cut) as interruption:
        signal.raise_signal(number)
        story.told.append("made")
        interruption.check()
        story.told.append("went on")
    assert story.told == ["made"]


def test_while_making_a_second_signal_does_not_wait():
    story = Story()
    with pytest.raises(KeyboardInterrupt), Interruption(story.cut):
        signal.raise_signal(signal.SIGINT)
        story.told.append("making")
        signal.raise_signal(signal.SIGINT)
        story.told.append("made")
    assert story.told == ["making", "cut"]


def test_a_signal_while_tidying_is_kept_until_the_end():
    story = Story()
    with pytest.raises(KeyboardInterrupt), Interruption(story.cut) as interruption:
        interruption.work()
        interruption.tidy()
        signal.raise_signal(signal.SIGTERM)
        story.told.append("tidied")
    assert story.told == ["tidied"]


def test_what_fails_because_of_an_interruption_is_an_interruption():
    with pytest.raises(KeyboardInterrupt), Interruption(lambda: None) as interruption:
        interruption.work()
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("a thread lost its connection") from None


def test_other_errors_pass_and_the_old_handlers_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="its own"), Interruption(lambda: None) as interruption:
        interruption.work()
        raise ValueError("its own")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption(lambda: None) as interruption:
            interruption.work()
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
