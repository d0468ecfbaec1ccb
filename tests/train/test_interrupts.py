from __future__ import annotations

import os
import signal

import pytest

from lumiere.train.interrupts import Interrupts


def test_what_is_held_is_broken_by_a_second_signal_of_the_same_kind_alone():
    with Interrupts() as interrupts, interrupts.held():
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # as a launcher sends it that was itself interrupted
        assert interrupts.received == signal.SIGTERM and not interrupts.forced
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.forced


def test_what_is_not_held_is_broken_at_once():
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert interrupts.received == signal.SIGINT and not interrupts.forced
