"""Commands where payments are added up: apply and its plan, history, requeue, status, withdraw, prune."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from support.connectwise import payments_of
from support.documents import drop, files, invoice_payments, one, records
from support.program import Daemon, command, configure
from support.results import FAIL, SUCCESS

from watcher.cli.commands import CONFIGURATION
from watcher.cli.exits import SIGN_IN_REFUSED
from watcher.journal.sums import Sums

EACH = {"amounts": "each"}


def receipts(*payments):
    """Return a document of (externalId, amount[, invoice]) records."""
    return invoice_payments(
        *(
            {
                "externalId": external_id,
                "invoice/identifier": number[0] if number else "CW-1",
                "amount": amount,
                "paymentDate": "2016-09-22",
            }
            for external_id, amount, *number in payments
        )
    )


@pytest.fixture
def config(folders, sandbox):
    """The configuration of an installation that adds payments up."""
    return configure(folders, sandbox.url, payments=EACH)


def paid(sandbox, number="CW-1"):
    """Return the amounts of an invoice's payments."""
    return [str(row["amount"]) for row in payments_of(sandbox, number)]


def once(config, folders, name, content):
    """Drop a file and take it to its end."""
    drop(folders.inbox, name, content)
    return command("run", "--once", "--config", config)


def notes(plan):
    """Return all that the last column of a plan says."""
    return " ".join(line.split("│")[5].strip() for line in plan.splitlines() if line.startswith("│"))


def apply(config, content, *options):
    """Apply a document."""
    return command("apply", content.decode(), *options, "--config", config)


def test_apply_adds_to_what_the_daemon_accepted_and_the_other_way_round(config, folders, sandbox, tmp_path):
    """Both use one journal, so a payment counts once, however it comes."""
    assert once(config, folders, "a.xml", receipts(("R-1", "60.00"))).code == 0
    assert apply(config, receipts(("R-1", "60.00"), ("R-2", "10.00"))).code == 0
    assert [record["externalId"] for record in records(tmp_path / SUCCESS)] == ["R-1", "R-2"]
    assert apply(config, receipts(("R-2", "11.00"))).code == 1
    (failed,) = records(tmp_path / FAIL)
    assert (
        "externalId R-2 was accepted before with 10.00, in apply, and this record says 11.00" in failed["ErrorMessage"]
    )
    assert once(config, folders, "b.xml", receipts(("R-2", "10.00"), ("R-3", "-20.00"))).code == 0
    assert paid(sandbox) == ["50.00"]


def test_apply_refuses_to_work_beside_the_daemon(config, folders, sandbox):
    """The journal belongs to the daemon while it runs. A plan can be made all the same."""
    with Daemon(config) as daemon:
        daemon.event("service.started")
        refused = apply(config, receipts(("R-1", "60.00")))
        assert (refused.code, "is held by another payment-watcher" in refused.err) == (CONFIGURATION, True)
        assert apply(config, receipts(("R-1", "60.00")), "--dry-run").code == 0
    assert paid(sandbox) == []


def test_apply_that_was_killed_after_its_call_adds_nothing_twice(config, sandbox, monkeypatch):
    """What it was about to set is in the journal, so that the next run knows it for its own."""

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    assert apply(config, receipts(("R-1", "60.00"))).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Sums, "accept", killed)
        with pytest.raises(Killed):
            apply(config, receipts(("R-2", "10.00")))
    assert paid(sandbox) == ["70.00"]
    assert apply(config, receipts(("R-2", "10.00"))).code == 0
    assert apply(config, receipts(("R-3", "5.00"))).code == 0
    assert paid(sandbox) == ["75.00"]


def test_the_plan_says_what_it_adds_up_and_writes_nothing(config, folders, sandbox):
    """With and without a journal; records that add nothing say so."""
    document = receipts(("R-1", "60.00"), ("R-2", "10.00"), ("R-3", "-5.00"), ("R-4", "1.00", "CW-404"))
    plan = apply(config, document, "--dry-run").out
    assert notes(plan).count("accepted before 0.00 + 60.00 + 10.00 - 5.00 = 65.00") == 3
    assert not (folders.inbox.parent / "journal.db").exists()
    once(config, folders, "a.xml", receipts(("R-1", "60.00")))
    plan = apply(config, document, "--dry-run").out
    assert notes(plan).count("accepted before 60.00 + 10.00 - 5.00 = 65.00") == 2
    assert "change to 65.00" in plan
    assert "Cannot find Invoice Number CW-404" in notes(plan)
    (known,) = [line for line in plan.splitlines() if "keep as it is" in line]
    assert "60.00" in known
    below = apply(config, receipts(("R-9", "-70.00")), "--dry-run")
    assert (below.code, "would be below zero" in notes(below.out)) == (1, True)
    assert paid(sandbox) == ["60.00"]


def test_a_payment_that_is_taken_back_with_it_changes_nothing(config, folders, sandbox):
    """Nothing was set and nothing is to be set, so zero_amount has no say. It stays taken back if it comes again."""
    assert once(config, folders, "a.xml", receipts(("R-1", "60.00"), ("R-1/deleted", "-60.00"))).code == 0
    assert once(config, folders, "b.xml", receipts(("R-1", "60.00"))).code == 0
    assert paid(sandbox) == []
    assert once(config, folders, "c.xml", receipts(("R-2", "10.00"))).code == 0
    assert once(config, folders, "d.xml", receipts(("R-3", "5.00"), ("R-3/deleted", "-5.00"))).code == 0
    assert paid(sandbox) == ["10.00"]
    told = json.loads(command("history", "CW-1", "--json", "--config", config).out)
    assert [row["sum"] for row in told if "sum" in row] == ["60.00", "0.00", "10.00", "15.00", "10.00"]


def test_history_shows_how_a_sum_came_together(config, folders, sandbox):
    """Each payment with its file, externalId, day, amount and the sum with it; also when its file is forgotten."""
    once(config, folders, "a.xml", receipts(("R-1", "60.00"), ("R-2", "10.00")))
    once(config, folders, "b.xml", receipts(("R-3", "-20.00"), ("R-1", "60.00")))
    shown = command("history", "cw-1", "--config", config).out
    lines = [line.strip() for line in shown.partition("Sum of the accepted payments:\n")[2].splitlines()]
    assert lines[::2] == [
        "CW-1: 60.00 of 2016-09-22, sum 60.00",
        "CW-1: 10.00 of 2016-09-22, sum 70.00",
        "CW-1: -20.00 of 2016-09-22, sum 50.00",
    ]
    assert [(line[:14], line[-5:]) for line in lines[1::2]] == [
        ("externalId R-1", "a.xml"), ("externalId R-2", "a.xml"), ("externalId R-3", "b.xml")
    ]  # fmt: skip
    told = json.loads(command("history", "CW-1", "--json", "--config", config).out)
    assert [(row["external_id"], row["outcome"], row.get("sum")) for row in told] == [
        ("R-1", "applied", "60.00"),
        ("R-2", "applied", "70.00"),
        ("R-3", "applied", "50.00"),
        ("R-1", "unchanged", None),
    ]
    with closing(sqlite3.connect(config.parent / "journal.db")) as journal, journal:
        journal.execute("UPDATE files SET finished_at = '2020-01-01T00:00:00.000+00:00'")
    config = configure(folders, sandbox.url, payments=EACH, retention={"journal_days": 30})
    assert "rows of 2 files, are gone" in command("prune", "--config", config).out
    assert "R-2" in command("history", "CW-1", "--config", config).out
    told = json.loads(command("history", "CW-1", "--json", "--config", config).out)
    assert [(row["file"], row["external_id"], row["day"], row["asked"], row["sum"]) for row in told] == [
        ("a.xml", "R-1", "2016-09-22", "60.00", "60.00"),
        ("a.xml", "R-2", "2016-09-22", "10.00", "70.00"),
        ("b.xml", "R-3", "2016-09-22", "-20.00", "50.00"),
    ]


def test_a_failed_payment_is_unpaid_until_it_is_tried_again_itself(config, folders):
    """Another payment of its invoice resolves nothing. With its number corrected, it is resolved."""

    def unpaid():
        status = json.loads(command("status", "--json", "--config", config).out)
        return [(row["invoice_number"], row["external_id"]) for row in status["unpaid"]]

    once(config, folders, "a.xml", receipts(("R-1", "60.00", "CW-404"), ("R-2", "-10.00")))
    assert unpaid() == [("CW-404", "R-1"), ("CW-1", "R-2")]
    once(config, folders, "b.xml", receipts(("R-3", "5.00"), ("R-4", "7.00", "CW-404")))
    assert unpaid() == [("CW-404", "R-1"), ("CW-1", "R-2"), ("CW-404", "R-4")]
    once(config, folders, "c.xml", receipts(("R-1", "60.00", "CW-1"), ("R-2", "-10.00")))
    assert unpaid() == [("CW-404", "R-4")]


def test_a_file_can_be_put_back_whatever_came_later(config, folders, sandbox):
    """Where payments are added up, a file that comes again replaces nothing."""
    once(config, folders, "a.xml", receipts(("R-1", "60.00")))
    once(config, folders, "b.xml", receipts(("R-2", "10.00")))
    done = command("requeue", "a.xml", "--config", config)
    assert done.code == 0, done.err
    assert command("run", "--once", "--config", config).code == 0
    assert paid(sandbox) == ["70.00"]


def test_a_payment_that_was_withdrawn_is_in_no_sum_and_can_be_sent_again(folders, sandbox, config):
    """Its fail file is dropped in again, and the payment counts once."""
    refused = configure(folders, sandbox.url, payments=EACH, connectwise={"private_key": "refused"})
    assert once(refused, folders, "a.xml", receipts(("R-1", "60.00"))).code == SIGN_IN_REFUSED
    config = configure(folders, sandbox.url, payments=EACH)
    assert command("withdraw", "a.xml", "--config", config).code == 0
    assert once(config, folders, "b.xml", receipts(("R-2", "10.00"))).code == 0
    assert paid(sandbox) == ["10.00"]
    assert command("requeue", one(files(folders.fail, "a__*.xml")).name, "--config", config).code == 0
    assert command("run", "--once", "--config", config).code == 0
    assert paid(sandbox) == ["70.00"]
