"""How much processor time something takes, as a multiple of a fixed piece of work that is done beside it.

A number of seconds says as much about the machine, and about what else runs on it, as about the program.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Effort:
    """What something took.

    Attributes:
        pieces: how many times as much as the fixed piece of work, which takes some 20 ms; known at the end.
    """

    pieces: float = 0.0


@contextmanager
def effort() -> Iterator[Effort]:
    """Measure the processor time of what is done in this context."""
    spent = Effort()
    before = _piece()
    began = time.process_time()
    yield spent
    took = time.process_time() - began
    spent.pieces = took / max(before, _piece())


def _piece() -> float:
    began = time.process_time()
    sum(number * number for number in range(300_000))
    return time.process_time() - began
