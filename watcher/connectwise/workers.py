"""Worker threads that make calls side by side, until one of them meets an outage."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, Generic, TypeVar

from watcher.errors import AnswerLost, Contradicted, Outage, PaymentWatcherError, Scope, Stopping
from watcher.lifetime import Lifetime

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# How long calls under way may still take once the process is asked to end (seconds). What has no answer by then is
# looked up at the next start, as after a crash.
_GRACE_SECONDS = 3.0
# How often a wait for answers looks whether the process is asked to end (seconds).
_LOOK_SECONDS = 0.2


class Batch(Generic[Item, Answer]):
    """Items that the workers have been given, and their answers so far.

    Attributes:
        awaited: how many items have not come back yet.
        halted: set once no further item may be begun.
        fault: what an item raised that is no error of this program's own; None if none did.
        not_begun: the items for which no call was made.
    """

    def __init__(self, halted: threading.Event, patience: int) -> None:
        """Begin without items.

        Args:
            halted: as above.
            patience: how many calls in a row may fail in a way that may be the single record's fault.
        """
        self._patience = patience
        self._failed = 0
        self._counting = threading.Lock()
        self.awaited = 0
        self.halted = halted
        self.fault: BaseException | None = None
        self.not_begun: list[Item] = []
        # Each item with its answer or error; Stopping for an item that was not begun.
        self._came: queue.SimpleQueue[tuple[Item, Answer | BaseException]] = queue.SimpleQueue()

    def act(self, act: Callable[[Item], Answer], item: Item) -> None:
        """Act on one item, in a worker thread."""
        if self.halted.is_set():
            self._came.put((item, Stopping("not begun")))
            return
        try:
            answer = act(item)
            self._count(good=True)
            self._came.put((item, answer))
        except Stopping as error:
            self.halted.set()
            self._came.put((item, error))
        except (Outage, AnswerLost) as error:
            if error.scope is Scope.LINE:
                self.halted.set()
            elif isinstance(error, AnswerLost) and error.payment_id is not None:
                # A row whose id is known was made, whatever else was odd.
                self._count(good=True)
            elif not isinstance(error, Contradicted):
                self._count(good=False)
            self._came.put((item, error))
        except BaseException as error:  # noqa: BLE001  (raised again where the answers are gathered)
            self._came.put((item, error))

    def _count(self, *, good: bool) -> None:
        """Count the calls in a row that failed; too many of them are the line's trouble."""
        with self._counting:
            self._failed = 0 if good else self._failed + 1
            if self._failed >= self._patience:
                self.halted.set()

    def take(self, seconds: float) -> Iterator[tuple[Item, Answer | PaymentWatcherError]]:
        """Take what has come in.

        Args:
            seconds: how long to wait if nothing has.

        Yields:
            Each item that was begun with its answer or error, up to the first ``fault``.
        """
        try:
            came = [self._came.get(timeout=seconds)]
        except queue.Empty:
            return
        came += [self._came.get() for _ in range(self._came.qsize())]
        self.awaited -= len(came)
        for item, answer in came:
            if isinstance(answer, Stopping):
                self.not_begun.append(item)
                continue
            if isinstance(answer, BaseException) and not isinstance(answer, PaymentWatcherError):
                self.fault = answer
                return
            yield item, answer


class Workers:
    """A fixed number of threads. They do not keep the process from ending.

    Attributes:
        count: how many calls may be under way at once.
        lifetime: of this process.
    """

    def __init__(self, count: int, lifetime: Lifetime) -> None:
        """Start no thread before there is work.

        Args:
            count: how many calls may be under way at once.
            lifetime: gets the signs of life while answers are awaited, and knows whether the process is asked to end.
        """
        self.count = count
        self.lifetime = lifetime
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    def each(
        self, act: Callable[[Item], Answer], items: Sequence[Item], patience: int = 1
    ) -> Iterator[tuple[Item, Answer | PaymentWatcherError]]:
        """Act on every item, several at once, and yield each answer as soon as it comes in.

        It is ``begin`` and ``gather`` in one.
        """
        with closing(self.gather(self.begin(act, items, patience=patience), 0)) as gathered:
            for answers in gathered:
                yield from answers

    def begin(
        self,
        act: Callable[[Item], Answer],
        items: Sequence[Item],
        after: Batch[Any, Any] | None = None,
        patience: int = 1,
    ) -> Batch[Item, Answer]:
        """Give items to the workers, behind those that they have already.

        After an outage or a lost answer no further item of the batch is begun. An answer that came, and says something
        else than was expected, is about its own item alone.

        Args:
            act: called in a worker thread.
            items: what to act on; the workers begin them in this order.
            after: a batch that this one continues. Once that one is halted, no item of this one is begun either.
            patience: how many calls in a row may fail, without one that succeeds between them, before that is an
                outage. This is about failures that may be the single record's fault (``Scope``).
        """
        self._start()
        batch = Batch[Item, Answer](after.halted if after else threading.Event(), patience)
        self.add(batch, act, items)
        return batch

    def add(self, batch: Batch[Item, Answer], act: Callable[[Item], Answer], items: Sequence[Item]) -> None:
        """Give more items of a batch to the workers, behind those that they have already."""
        batch.awaited += len(items)
        for item in items:
            self._tasks.put(lambda item=item: batch.act(act, item))  # type: ignore[misc]

    def gather(
        self, batch: Batch[Item, Answer], seconds: float = 1.0
    ) -> Generator[list[tuple[Item, Answer | PaymentWatcherError]], None, None]:
        """Gather the answers of a batch in lists, so that a list can be written down at once.

        Closing the generator halts the batch.

        Args:
            batch: what ``begin`` returned.
            seconds: the longest time from one list to the next while there are answers to yield.

        Yields:
            Each item that was begun with its answer or its error, as they come in; no list is empty.

        Raises:
            Stopping: the process is asked to end. Calls under way were given a moment, and what came in was yielded.
        """
        answers: list[tuple[Item, Answer | PaymentWatcherError]] = []
        # This is real time, even where a test's lifetime only pretends: it is how long threads take.
        due = time.monotonic() + seconds
        leave_at = math.inf
        complete = False
        try:
            while batch.awaited and batch.fault is None and (now := time.monotonic()) < leave_at:
                if self.lifetime.ending:
                    leave_at = min(leave_at, now + _GRACE_SECONDS)
                if answers and now >= due:
                    due = now + seconds
                    yield answers
                    answers = []
                # To wait for ConnectWise is on purpose, and each call is bounded in time.
                self.lifetime.alive()
                answers += batch.take(min(due - now, _LOOK_SECONDS) if answers else _LOOK_SECONDS)
            if answers:
                yield answers
            complete = batch.awaited == 0 and batch.fault is None
        finally:
            if not complete:
                batch.halted.set()
        if batch.fault is not None:
            raise batch.fault
        if self.lifetime.ending:
            raise Stopping("asked to end between calls" if complete else "asked to end while calls were under way")

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for number in range(self.count):
            # Daemon threads: a call that hangs must not hold up the end of the process.
            threading.Thread(target=self._run, name=f"worker-{number + 1}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end once they have done what they were given."""
        if self._started:
            for _ in range(self.count):
                self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
