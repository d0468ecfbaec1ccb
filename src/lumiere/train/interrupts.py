"""Ctrl-C and SIGTERM, deferred while a step or a save is in progress."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

HANDLED = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, a signal raises ``KeyboardInterrupt``, or, under ``held``, only sets ``received``.

    A second one of the same kind always raises. (One of another kind is a launcher's that was itself
    interrupted.)
    """

    def __init__(self) -> None:
        self.received: int | None = None
        #: a second signal interrupted a held section
        self.forced = False
        self._holding = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._caught) for number in HANDLED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        before, self._holding = self._holding, True
        try:
            yield
        finally:
            self._holding = before

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        again = self.received == number
        self.received = number
        if again or not self._holding:
            self.forced = self._holding
            raise KeyboardInterrupt
