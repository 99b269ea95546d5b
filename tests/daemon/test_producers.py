"""Whatever way a file comes into the inbox, the running daemon pays it whole and once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal

import pytest
from support.connectwise import invoice, payments_of
from support.documents import files
from support.needs import missing, needs
from support.producers import OLD, PAYMENTS, PRODUCERS, QUIET_EVENTS, TAKEN, Place, Producer, asked, content_of
from support.program import PATIENCE, Daemon, configure, until

from watcher.folders.layout import Folders
from watcher.sandbox import Sandbox

SETTLE = 0.3
# How often the inbox is looked through; where it is watched, looks come with the events.
SCANS = {"native": 2, "polling": 0.1, "off": 0.1}


def produce(daemon: Daemon, producer: Producer, place: Place, half_way: Callable[[], object] | None) -> None:
    """Go through a producer's steps, and make sure that its file is left alone until the last of them.

    Args:
        daemon: the daemon.
        producer: the producer.
        place: where it works.
        half_way: called in place of the first wait.
    """
    name = place.target.name
    for number, told in enumerate(producer.write(place)):
        if half_way and number == 0:
            half_way()
            if not told.needed:
                continue
        if told.event:
            daemon.event(told.event, file=told.file or name)
        else:
            wait_for_a_look(daemon)
        assert told is TAKEN or not daemon.events("file.claimed", file=name), f"{name} was taken half-written"


def wait_for_a_look(daemon: Daemon) -> None:
    """Wait until the daemon has looked through the inbox once more, after which it gives systemd a sign of life."""

    def looks() -> int:
        return sum(message == "WATCHDOG=1" for _, message in daemon.told)

    before = looks()
    until(lambda: looks() > before)


@pytest.mark.parametrize(
    ("observer", "starts_in_the_middle"),
    [
        pytest.param("native", False, id="watched natively"),
        pytest.param("polling", False, id="polled"),
        pytest.param("off", False, id="scanned alone"),
        pytest.param("native", True, id="the daemon starts in the middle"),
    ],
)
def test_a_file_is_paid_whole_and_once_whatever_way_it_is_written(
    folders, start_sandbox, tmp_path, observer, starts_in_the_middle
):
    """Nothing is taken half-written, every payment is made once, and every original is archived as it came."""
    producers = {name: way for name, way in PRODUCERS.items() if not (way.needs and missing(way.needs))}
    (tmp_path / "aside").mkdir()
    places = {
        name: Place(
            folders.inbox / f"{name}.xml", tmp_path / "aside" / name, content_of(file, 100), content_of(file, 200)
        )
        for file, name in enumerate(producers)
    }
    numbers = [f"CW-{file}-{payment}" for file in range(len(producers)) for payment in range(PAYMENTS)]
    sandbox = start_sandbox(*(invoice(number, "500.00") for number in numbers))
    inbox = {"observer": observer, "scan_seconds": SCANS[observer], "settle_seconds": SETTLE}
    daemon = Daemon(configure(folders, sandbox.url, inbox=inbox))
    middle, started = threading.Barrier(len(producers) + 1), threading.Event()

    def meet() -> None:
        middle.wait(PATIENCE)
        assert started.wait(PATIENCE)

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(producers)))
        if not starts_in_the_middle:
            stack.enter_context(daemon).tells("READY=1")
        running = [
            pool.submit(produce, daemon, way, places[name], meet if starts_in_the_middle else None)
            for name, way in producers.items()
        ]
        if starts_in_the_middle:
            middle.wait(PATIENCE)
            stack.enter_context(daemon).event("service.started")
            started.set()
        for producing in running:
            producing.result()
        for name, way in producers.items():
            until(lambda: len(daemon.events("file.finished", file=f"{name}.xml")) >= len(way.versions))  # noqa: B023
        assert daemon.end() == 0
    for name, way in producers.items():
        assert_paid(folders, sandbox, daemon, places[name], [getattr(places[name], one) for one in way.versions])
    assert files(folders.fail, "") == list(folders.work.iterdir()) == files(folders.inbox) == []
    assert {line["event"] for line in daemon.log} <= QUIET_EVENTS
    # All is well but for what was left out.
    needs(*(way.needs for way in PRODUCERS.values() if way.needs))


def assert_paid(folders: Folders, sandbox: Sandbox, daemon: Daemon, place: Place, versions: list[bytes]) -> None:
    """Make sure that the versions of a file, and nothing else, went through, in their order."""
    name, stem = place.target.name, place.target.stem
    claimed = daemon.events("file.claimed", file=name)
    assert [line["bytes"] for line in claimed] == [len(version) for version in versions], name
    finished = daemon.events("file.finished", file=name)
    assert {line["outcome"] for line in finished} <= {"succeeded", "succeeded with warnings"}, name
    assert len(finished) == len(versions), name
    for line, version in zip(claimed, versions, strict=True):
        published = f"{stem}__{line['claim']}.xml"
        assert [path.read_bytes() for path in folders.archive.rglob(published)] == [version]
        assert asked(folders.success / published) == asked(version)
    amounts = asked(versions[-1]) if versions else dict.fromkeys(asked(place.content))
    for number, amount in amounts.items():
        found = [row["amount"] for row in payments_of(sandbox, number)]
        assert found == ([Decimal(amount)] if amount else []), f"{name}: {number}"
    writes = [write for write in sandbox.books()["writes"] if write["invoiceNumber"] in amounts]
    assert len(writes) == PAYMENTS * len(versions), name


def test_a_file_whose_size_and_times_never_change_is_taken_soon_after_it_is_whole(folders, start_sandbox):
    """A writer that sets size and times first and puts the times back after the content does not wait to be stalled."""
    sandbox = start_sandbox(*(invoice(f"CW-0-{payment}", "500.00") for payment in range(PAYMENTS)))
    content, target = content_of(0, 100), folders.inbox / "pay.xml"
    with Daemon(configure(folders, sandbox.url)) as daemon, target.open("wb", buffering=0) as file:
        file.truncate(len(content))
        os.utime(target, OLD)
        daemon.event("file.waiting", file="pay.xml")
        file.write(content)
        os.utime(target, OLD)
        assert daemon.event("file.finished")["outcome"] == "succeeded"
