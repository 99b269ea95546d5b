"""What all tests share: nothing of the machine's gets in; a running ConnectWise sandbox, a client, a set of folders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine
from support.connectwise import account, invoice
from support.needs import skipped
from support.network import free_port
from support.program import alone

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.disk import naming
from watcher.folders.layout import Folders
from watcher.journal import sqlite
from watcher.lifetime import Lifetime
from watcher.sandbox import InvoiceSeed, Sandbox

# How long an example takes says how busy the machine is, and nothing of the program.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def _statements_are_compiled_once() -> Iterator[None]:
    """Let all journals share what SQLAlchemy has compiled: a process of tests opens thousands, a program a few."""
    engine_of, first = sqlite.engine_of, sqlite.engine_of("sqlite://")
    # What the driver can do is asked at the first connection.
    first.connect().close()
    compiled: dict[object, object] = {}

    def sharing(url: str) -> Engine:
        engine = engine_of(url)
        # The compiled statements are kept by dialect.
        engine.dialect = first.dialect
        engine.update_execution_options(compiled_cache=compiled)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "engine_of", sharing)
        yield


@pytest.fixture(autouse=True)
def _no_file_system_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file system is made to answer in one test is not remembered in the next one."""
    monkeypatch.setattr(naming, "_unknown", set())


def pytest_xdist_auto_num_workers() -> int:
    """Return the number for ``--numprocesses=auto``: half as many again as there are cores, since many tests wait."""
    return len(os.sched_getaffinity(0)) * 3 // 2


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was skipped, and what to install so that it is not."""
    reports = terminalreporter.stats.get("skipped", ())
    lines = list(skipped(report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)))
    if lines:
        terminalreporter.section("skipped")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's settings out of every test, which has a working directory and a home of its own."""
    alone(monkeypatch, tmp_path)


@pytest.fixture
def start_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with given invoices; all are stopped at the end."""
    with ExitStack() as stack:

        def start(*invoices: InvoiceSeed, **options: object) -> Sandbox:
            # With a port that stays its own while it is stopped.
            return stack.enter_context(Sandbox(invoices=list(invoices), **{"port": free_port(), **options}))

        yield start


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """A ConnectWise with four open invoices, CW-1 to CW-4 of 100.00 each, whose ids are 1001 to 1004."""
    return start_sandbox(*(invoice(f"CW-{number}", "100.00") for number in range(1, 5)))


@pytest.fixture
def client_of() -> Callable[..., ConnectWise]:
    """Return a function that makes clients for a sandbox, at a pace that does not hold up a test."""

    def client(url: str, requests_per_minute: float = 60000, **changes: object) -> ConnectWise:
        return ConnectWise(Gateway(account(url, **changes), Pace(requests_per_minute, Lifetime())))

    return client


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A set of empty folders."""
    made = Folders(*(tmp_path / name for name in ("inbox", ".work", "success", "fail", "archive")))
    for folder in (made.inbox, made.work, made.success, made.fail, made.archive):
        folder.mkdir()
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the test's other folders."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory, prefix="payment-watcher-test-") as name:
        yield Path(name)
