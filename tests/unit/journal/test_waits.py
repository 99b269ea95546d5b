"""What the journal says of files that wait by themselves."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from watcher.claim import Claim
from watcher.journal.claims import Claims, NewClaim
from watcher.journal.database import Database
from watcher.journal.waits import Wait, Waits

SINCE = datetime(2026, 9, 22, 9, 30, tzinfo=UTC)
CLAIM = Claim("20260922T093015Z_00000001", "pay.xml")
HELD = Wait(CLAIM.name, CLAIM.id, SINCE, "its name is taken", "Move it")
DROPPED = Wait(os.fsdecode(b"\xff\\x5c.xml"), "", SINCE, "half \udc80 read", overdue=True)


@pytest.fixture
def database():
    """An empty journal."""
    with closing(Database("sqlite://")) as database:
        yield database


def test_a_wait_is_kept_until_it_is_over(database):
    """Each file has one, whatever its name is; a later one takes its place."""
    waits = Waits(database)
    waits.change([HELD, DROPPED])
    assert waits.all() == [replace(DROPPED, reason="half \\udc80 read"), HELD]
    changed = replace(HELD, reason="another thing has it", overdue=True)
    waits.change([changed], [("", DROPPED.file)])
    assert waits.all() == [changed]


def test_waits_of_the_inbox_and_of_other_claims_are_forgotten_apart(database):
    """The inbox is another one after a restart, and work is not."""
    waits = Waits(database)
    other = replace(HELD, claim="20260922T093015Z_00000002")
    waits.change([HELD, other, DROPPED])
    waits.keep_only({CLAIM.id})
    assert [wait.claim for wait in waits.all()] == ["", CLAIM.id]
    waits.forget_inbox()
    assert waits.all() == [HELD]


@pytest.mark.parametrize("end", [lambda claims: claims.finish(CLAIM.id), lambda claims: claims.undo([CLAIM.id])])
def test_a_claim_that_comes_to_its_end_waits_no_longer(database, end):
    """Whoever ends it need not know that it waited."""
    claims = Claims(database)
    claims.add([NewClaim(CLAIM, "digest", b"<a/>")])
    Waits(database).change([HELD])
    end(claims)
    assert Waits(database).all() == []
