"""Virtual time: it runs with a factor of real time, or only when a test advances it."""
from __future__ import annotations

import asyncio
import datetime
import time
from typing import Callable, Optional, Set

QUANTUM = 0.25  # virtual seconds; no step of the world is longer


class Pulse:
    """Wakes everybody who waits for something to change."""

    def __init__(self) -> None:
        self._waiting: Set["asyncio.Future[None]"] = set()

    def fire(self) -> None:
        """Wakes all."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Returns when the predicate holds; it is asked again after each pulse."""
        while not predicate():
            future: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)


class Clock:
    """Seconds since the start of the simulation, and what they mean as a date."""

    def __init__(self, factor: float) -> None:
        self.now = 0.0
        self.factor = factor
        self.base = time.time()
        self.pulse = Pulse()
        self._real = time.monotonic()

    def elapsed(self) -> float:
        """Virtual seconds due since the last call, by the real-time factor."""
        real = time.monotonic()
        due = (real - self._real) * self.factor
        self._real = real
        return due

    def wall_ms(self, at: Optional[float] = None) -> int:
        """Milliseconds since 1970 of a virtual moment."""
        return int((self.base + (self.now if at is None else at)) * 1000)

    def iso(self, at: Optional[float] = None) -> str:
        """ISO 8601 in UTC with milliseconds, as events and reports carry it."""
        stamp = datetime.datetime.fromtimestamp(self.wall_ms(at) / 1000, datetime.timezone.utc)
        return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{stamp.microsecond // 1000:03d}Z"
