"""Worker threads that make calls side by side, each over its own connection, until one of them meets an outage."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from watcher.errors import AnswerLost, Outage, PaymentWatcherError, Stopping

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# How long calls under way may still take once the program is asked to end. What has no answer then is looked up at the
# next start, as after a crash.
_GRACE_SECONDS = 3.0
_TICK_SECONDS = 0.2


class Batch(Generic[Item, Answer]):
    """Items that have been handed to the workers, and the answers so far.

    Attributes:
        size: how many items there are.
        halted: set when none of them is to be begun any more.
        came: each item with its answer or error; ``Stopping`` for one that was not begun.
    """

    def __init__(self, halted: threading.Event) -> None:
        """Hold nothing yet."""
        self.size = 0
        self.halted = halted
        self.came: queue.SimpleQueue[tuple[Item, Answer | BaseException]] = queue.SimpleQueue()

    def act(self, act: Callable[[Item], Answer], item: Item) -> None:
        """Act on one item, in a worker thread."""
        if self.halted.is_set():
            self.came.put((item, Stopping("not begun")))
            return
        try:
            self.came.put((item, act(item)))
        except (Outage, AnswerLost, Stopping) as error:
            self.halted.set()
            self.came.put((item, error))
        except BaseException as error:  # noqa: BLE001  (raised again where the answers are collected)
            self.came.put((item, error))


class Workers:
    """A fixed number of threads. They live as long as the process and keep no interpreter from ending.

    Attributes:
        count: how many calls may be under way at once.
    """

    def __init__(self, count: int, stop: threading.Event, alive: Callable[[], None] = lambda: None) -> None:
        """Start no thread before there is work.

        Args:
            count: how many calls may be under way at once.
            stop: set when the program ends.
            alive: called with every answer.
        """
        self.count = count
        self._stop = stop
        self._alive = alive
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = False

    def each(
        self, act: Callable[[Item], Answer], items: Sequence[Item], idle: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Item, Answer | PaymentWatcherError]]:
        """Act on every item, several at once: ``begin`` and ``answers`` in one."""
        return self.answers(self.begin(act, items), idle)

    def begin(
        self, act: Callable[[Item], Answer], items: Sequence[Item], after: Batch[Any, Any] | None = None
    ) -> Batch[Item, Answer]:
        """Hand items to the workers, behind those that they have already.

        After an outage or a lost answer no further item is begun.

        Args:
            act: called in a worker thread.
            items: what to act on, begun in this order.
            after: what this is the continuation of: once that is halted, none of these is begun either.
        """
        self._start()
        batch = Batch[Item, Answer](after.halted if after else threading.Event())
        self.add(batch, act, items)
        return batch

    def add(self, batch: Batch[Item, Answer], act: Callable[[Item], Answer], items: Sequence[Item]) -> None:
        """Hand more items of a batch to the workers, behind those that they have already."""
        batch.size += len(items)
        for item in items:
            self._tasks.put(lambda item=item: batch.act(act, item))  # type: ignore[misc]

    def answers(
        self, batch: Batch[Item, Answer], idle: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Item, Answer | PaymentWatcherError]]:
        """Collect the answers of a batch.

        Args:
            batch: what ``begin`` gave.
            idle: called now and then while no answer comes in.

        Yields:
            Each item that was begun with its answer or its error, as they come in.

        Raises:
            Stopping: the program ends; calls under way were given a moment to finish first.
        """
        collected = False
        try:
            for _ in range(batch.size):
                item, answer = self._next(batch.came, idle)
                if isinstance(answer, Stopping):
                    continue
                if isinstance(answer, BaseException) and not isinstance(answer, PaymentWatcherError):
                    raise answer
                self._alive()
                yield item, answer
            collected = True
        finally:
            if not collected:
                batch.halted.set()
        if self._stop.is_set():
            raise Stopping("asked to end between calls")

    def _next(self, answers: queue.SimpleQueue[Any], idle: Callable[[], None]) -> Any:
        deadline = None
        while True:
            try:
                return answers.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                idle()
                if self._stop.is_set():
                    now = time.monotonic()
                    deadline = deadline or now + _GRACE_SECONDS
                    if now >= deadline:
                        raise Stopping("asked to end while calls were under way") from None

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for number in range(self.count):
            # Daemon threads: a call that hangs must not hold up the end of the process.
            threading.Thread(target=self._run, name=f"worker-{number + 1}", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._tasks.get()()
