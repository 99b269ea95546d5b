"""A thread that works on folders while others go on, one piece of work after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Piece = TypeVar("Piece")
Came = TypeVar("Came")


class Lane(Generic[Piece, Came]):
    """Pieces of work on folders, done in order in a thread of their own.

    Whoever gives them takes them back in the same order, and is the only one who does.
    """

    def __init__(self, name: str) -> None:
        """Start no thread before there is work.

        Args:
            name: of the thread.
        """
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._under_way: deque[tuple[Piece, Future[Came]]] = deque()

    def begin(self, act: Callable[[Piece], Came], piece: Piece) -> None:
        """Begin to work on a piece once those before it are done."""
        self._under_way.append((piece, self._pool.submit(act, piece)))

    @property
    def pieces(self) -> list[Piece]:
        """The pieces that were not taken back yet."""
        return [piece for piece, _ in self._under_way]

    def is_next_done(self) -> bool:
        """Return True if there is a piece that can be taken back without a wait."""
        return bool(self._under_way) and self._under_way[0][1].done()

    def take_back(self) -> tuple[Piece, Came]:
        """Wait for the first piece; return it, and what came of it.

        Raises:
            Exception: what the work on it raised. The piece is taken back by that, too.
        """
        piece, future = self._under_way.popleft()
        return piece, future.result()
