"""A file is taken out of work once, at whatever step the program ends, and with no ConnectWise at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing, suppress
from decimal import Decimal

import pytest
from support.documents import document, files, numbers, one
from support.journal import applied, demand
from support.line import Line
from support.steps import Interrupted, Stepping, interrupted_at

from watcher.claim import Claim
from watcher.disk.hanging import FolderCalls
from watcher.errors import Unreachable
from watcher.folders.layout import Folders
from watcher.folders.outboxes import Outboxes
from watcher.folders.work import Work
from watcher.journal.database import Database
from watcher.journal.withdrawals import Withdrawals
from watcher.payments.model import Action, Intent
from watcher.processing.publishing import Publisher
from watcher.processing.withdrawing import Withdrawer

NOWHERE = "http://127.0.0.1:9"
CONTENT = document(("CW-0", "10.00"), ("CW-1", "10.00"), ("CW-2", "10.00"))
# Nothing here takes more steps.
MOST_STEPS = 150


def _unopened(line: Line, claim: Claim) -> None:
    """Leave it as it was claimed."""


def _opened(line: Line, claim: Claim) -> None:
    with pytest.raises(Unreachable):
        line.process([claim])


def _begun(line: Line, claim: Claim) -> None:
    """The first payment is made, of the second one the answer is lost, and the third was not sent."""
    _opened(line, claim)
    line.ledger.intend([(demand(claim, 0), Intent(Action.CREATE, Decimal(10), None))])
    line.ledger.record([(claim.id, applied(0))])
    line.ledger.intend([(demand(claim, 1), Intent(Action.CREATE, Decimal(10), None))])


def _stepping(line: Line, database: Database) -> Withdrawer:
    """Return the withdrawer of a program that can be ended at each of its steps."""
    work, outboxes = Work(line.folders, FolderCalls(), 1 << 20), Outboxes(line.folders, FolderCalls())
    ledger = Stepping(line.ledger)
    publisher = Publisher(
        Stepping(work), Stepping(outboxes), Stepping(line.claims), ledger, line.waiting, line.lifetime
    )
    return Withdrawer(Stepping(Withdrawals(database)), Stepping(line.ledger), publisher)


def _check(line: Line, claim: Claim, succeeded: list[str], failed: list[str]) -> None:
    """Make sure that the file ended once, and that all of it is told once."""
    folders = line.folders
    assert [numbers(path) for path in files(folders.success)] == [succeeded] * bool(succeeded)
    assert one(files(folders.archive)).read_bytes() == CONTENT
    told = json.loads(one(files(folders.archive, ".receipt.json")).read_bytes())
    fail = one(files(folders.fail))
    if failed:
        assert numbers(fail) == failed
        rejected = {each["invoice_number"]: each["message"] for each in told["records"] if each["message"]}
        assert list(rejected) == failed
        for number, message in rejected.items():
            assert message.startswith("Withdrawn by a person"), message
            assert ("may have been set" in message) is (bool(succeeded) and number == "CW-1"), message
    else:
        assert fail.read_bytes() == CONTENT
        assert told["refused"].startswith("Withdrawn by a person")
        assert "taken out of work by a person" in one(files(folders.fail, ".error.txt")).read_text()
    assert list(folders.work.iterdir()) == []
    assert line.claims.unfinished() == []
    assert claim.id in fail.name


SCENES = {
    "not opened": (_unopened, [], []),
    "opened": (_opened, [], ["CW-0", "CW-1", "CW-2"]),
    "begun": (_begun, ["CW-0"], ["CW-1", "CW-2"]),
}


@pytest.mark.parametrize(("state", "succeeded", "failed"), SCENES.values(), ids=SCENES.keys())
def test_withdrawing_can_be_ended_at_any_step(worlds, state: Callable[[Line, Claim], None], succeeded, failed):
    """Ended at any step, the next start takes the file to its end, once, without a word to ConnectWise."""
    for step in range(1, MOST_STEPS):
        base = worlds / str(step)
        folders = Folders(*(base / name for name in ("inbox", ".work", "success", "fail", "archive")))
        for _, folder in folders.named():
            folder.mkdir(parents=True)
        with closing(Line(folders, NOWHERE)) as line, closing(Database(line.settings.journal.url)) as database:
            claim = line.claim("pay.xml", CONTENT)
            state(line, claim)
            Withdrawals(database).ask(claim.id, "a mistake")
            with interrupted_at(step) as steps, suppress(Interrupted):
                _stepping(line, database).carry_out()
            with line.service() as service:
                service.run_once()
            try:
                _check(line, claim, succeeded, failed)
            except AssertionError as error:
                error.add_note(f"ended at step {step}: {steps[-1]}")
                raise
            assert Withdrawals(database).asked() == []
        if len(steps) < step:
            break
    assert 20 < step < MOST_STEPS


def test_a_file_that_is_all_decided_ends_as_it_was_decided(folders):
    """There is nothing to withdraw any more: no record changes, and the request goes with the file."""
    with closing(Line(folders, NOWHERE)) as line, closing(Database(line.settings.journal.url)) as database:
        claim = line.claim("pay.xml", CONTENT)
        _opened(line, claim)
        line.ledger.record([(claim.id, applied(position)) for position in range(3)])
        Withdrawals(database).ask(claim.id, "")
        with line.service() as service:
            service.run_once()
        assert numbers(one(files(folders.success))) == ["CW-0", "CW-1", "CW-2"]
        assert files(folders.fail, "") == []
        assert line.history.files_of("pay.xml", 1)[0].taken_out is False


def test_a_claim_that_comes_to_nothing_takes_its_request_along(folders):
    """A file that goes back into the inbox is not in work. Nothing of the request is left, or keeps it from paying."""
    with closing(Line(folders, NOWHERE)) as line, closing(Database(line.settings.journal.url)) as database:
        claim = line.claim("pay.xml", CONTENT)
        Withdrawals(database).ask(claim.id, "")
        line.claims.undo([claim.id])
        assert Withdrawals(database).asked() == []
        Withdrawals(database).ask(claim.id, "")
        assert Withdrawals(database).asked() == []
