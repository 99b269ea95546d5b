"""The withdraw command: a person takes a file out of work, whether or not the daemon runs."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from support.connectwise import payments_of
from support.documents import document, drop, files, numbers, one, records
from support.line import Line
from support.network import SILENT_BEFORE, Strike, Unreliable
from support.program import Daemon, command, configure, until

from watcher.actions import withdraw as action
from watcher.cli.commands import CONFIGURATION, SOME_FAILED, UNUSABLE
from watcher.cli.exits import SIGN_IN_REFUSED

TWO = document(("CW-1", "100.00"), ("CW-2", "50.00"))
NO_CALL = "As far as its journal knows, payment-watcher has sent nothing to ConnectWise"
IN_DOUBT = "It may have been set in ConnectWise all the same, by a call whose answer is not known"
# A file whose invoices have to be looked up before it can be opened.
BY_ID = (
    b"<InvoicePayments><InvoicePayment><invoice><id>1001</id></invoice><amount>100.00</amount>"
    b"<paymentDate>2016-09-22</paymentDate></InvoicePayment></InvoicePayments>"
)


def withdraw(config, name, *options, code=0):
    """Withdraw a file; return what was said, on one line."""
    done = command("withdraw", name, *options, "--config", config)
    assert done.code == code, (done.out, done.err)
    return " ".join((done.out + " ".join(line for line in done.err.splitlines() if line[:1] != "{")).split())


def receipt(folders):
    """Return the only receipt."""
    return json.loads(one(files(folders.archive, ".receipt.json")).read_bytes())


def status(config):
    """Return how things are."""
    return json.loads(command("status", "--json", "--config", config).out)


@pytest.fixture
def waits(folders, sandbox):
    """Leave a file in work that waits for ConnectWise, with no daemon; return the configuration file."""

    def leave(name="two.xml", content=TWO):
        # A sign-in that is refused takes less time than a server that is away.
        config = configure(folders, sandbox.url, connectwise={"private_key": "refused"})
        drop(folders.inbox, name, content)
        assert command("run", "--once", "--config", config).code == SIGN_IN_REFUSED
        return configure(folders, sandbox.url)

    return leave


def test_a_file_that_waits_for_connectwise_is_taken_out_by_the_daemon(folders, sandbox):
    """With ConnectWise down, the daemon takes it out at once, tells of it everywhere, and others go on waiting."""
    sandbox.stop()
    config = configure(folders, sandbox.url)
    with Daemon(config) as daemon:
        drop(folders.inbox, "two.xml", TWO)
        daemon.event("line.waiting")
        drop(folders.inbox, "other.xml", document(("CW-3", "10.00")))
        said = withdraw(config, "two.xml", "--reason", "The bank sent it twice.")
        assert "two.xml is out of work." in said
        assert "0 succeeded, 2 rejected (2 of them withdrawn by a person)" in said
        told = daemon.event("file.withdrawn")
        assert (told["file"], told["records"], told["in_doubt"]) == ("two.xml", 2, 0)
        assert told["reason"] == "The bank sent it twice."
        assert daemon.event("file.finished")["outcome"] == "failed"
        assert len(daemon.events("payment.finished", outcome="rejected")) == 2
        sandbox.start()
        assert daemon.event("file.finished", file="other.xml")["outcome"] == "succeeded"
    fail = one(files(folders.fail))
    assert numbers(fail) == ["CW-1", "CW-2"]
    for record in records(fail):
        assert record["ErrorMessage"].startswith("Withdrawn by a person on ")
        assert "Reason: The bank sent it twice." in record["ErrorMessage"]
        assert NO_CALL in record["ErrorMessage"]
    assert [payments_of(sandbox, number) for number in ("CW-1", "CW-2")] == [[], []]
    assert one(path for path in files(folders.archive) if path.name.startswith("two")).read_bytes() == TWO
    assert list(folders.work.iterdir()) == []
    assert [each["invoice_number"] for each in status(config)["unpaid"]] == ["CW-1", "CW-2"]
    assert "Withdrawn by a person" in command("history", "two.xml", "--json", "--config", config).out
    assert "2 of them withdrawn by a person" in " ".join(command("explain", "two.xml", "--config", config).out.split())


def test_a_file_is_taken_out_without_a_daemon(folders, waits):
    """The command does it by itself, logs it, and a start of the daemon finds nothing more to do."""
    config = waits()
    done = command("withdraw", "two.xml", "--config", config)
    assert done.code == 0
    assert [line["file"] for line in done.log if line["event"] == "file.withdrawn"] == ["two.xml"]
    assert numbers(one(files(folders.fail))) == ["CW-1", "CW-2"]
    totals = receipt(folders)["totals"]
    assert (totals["asked"], totals["failed"], totals["rejected"]) == ("150.00", "150.00", 2)
    assert list(folders.work.iterdir()) == []
    assert command("run", "--once", "--config", config).code == 0
    assert len(files(folders.fail)) == len(files(folders.archive)) == 1


def test_a_withdrawn_file_that_is_dropped_in_again_pays(folders, sandbox, waits):
    """The fail file is put back as it is. Nothing is unpaid any more."""
    config = waits()
    withdraw(config, "two.xml")
    assert command("requeue", "two.xml", "--config", config).code == 0
    assert command("run", "--once", "--config", config).code == 0
    assert [payments_of(sandbox, number)[0]["amount"] for number in ("CW-1", "CW-2")] == [Decimal(100), Decimal(50)]
    assert status(config)["unpaid"] == []


def test_a_file_that_was_not_opened_goes_to_fail_byte_for_byte(folders, sandbox, waits):
    """Nobody knows its payments yet. The note says so, and the same bytes pay once they are dropped in again."""
    config = waits("by-id.xml", BY_ID)
    said = withdraw(config, "by-id.xml", "--reason", "wrong account")
    assert "it was withdrawn. Withdrawn by a person on " in said
    fail = one(files(folders.fail))
    assert fail.read_bytes() == BY_ID
    note = one(files(folders.fail, ".error.txt")).read_text()
    assert note.startswith("by-id.xml was taken out of work by a person.\n")
    for part in ("before its payments were read", "Reason: wrong account.", NO_CALL, fail.name):
        assert part in note
    assert "could not be read" not in note
    assert receipt(folders)["refused"].startswith("Withdrawn by a person")
    assert one(files(folders.archive)).read_bytes() == BY_ID
    assert list(folders.work.iterdir()) == []
    assert command("requeue", "by-id.xml", "--config", config).code == 0
    assert command("run", "--once", "--config", config).code == 0
    assert len(payments_of(sandbox, "CW-1")) == 1


def test_what_is_decided_stays_and_what_is_in_doubt_is_said(folders, sandbox):
    """Of three payments one is made, one went unanswered, and one was never sent. Each is told as it is."""
    three = document(("CW-1", "100.00"), ("CW-2", "50.00"), ("CW-3", "10.00"))
    lost = Strike(SILENT_BEFORE, "POST", "/invoices/1002/payments")
    with Unreliable(sandbox.url, lost) as network:
        config = configure(folders, network.url, connectwise={"timeout_seconds": 1, "concurrency": 1})
        with Daemon(config) as daemon:
            drop(folders.inbox, "three.xml", three)
            daemon.event("payment.unknown")
            sandbox.stop()
            daemon.event("line.waiting")
            withdraw(config, "three.xml")
    made = {each["invoice_number"]: each for each in receipt(folders)["records"]}
    assert made["CW-1"]["outcome"] == "applied"
    assert made["CW-2"]["outcome"] == "rejected"
    assert IN_DOUBT in made["CW-2"]["message"]
    assert "look at invoice CW-2 there" in made["CW-2"]["message"]
    assert numbers(one(files(folders.success)))[0] == "CW-1"
    assert "CW-2" in numbers(one(files(folders.fail)))


def test_an_unknown_name_is_answered_with_what_is_in_work(folders, waits):
    """The answer names the files in work, and which command is for what else."""
    config = waits()
    said = withdraw(config, "three.xml", code=UNUSABLE)
    assert "three.xml is not in work." in said
    assert "two.xml (claim " in said
    assert "payment-watcher explain NAME" in said
    assert "payment-watcher requeue NAME" in said
    assert files(folders.fail, "") == []


def test_of_many_files_in_work_ten_are_named(folders, sandbox, waits):
    """The answer stays short."""
    for number in range(12):
        drop(folders.inbox, f"{number:02}.xml", document(("CW-1", "1.00")))
    config = waits()
    said = withdraw(config, "none.xml", code=UNUSABLE)
    assert said.count("(claim ") == 10
    assert "... and 3 more" in said


@pytest.mark.parametrize("journal", ["none", "empty"])
def test_with_nothing_in_work_the_answer_says_so(folders, sandbox, journal):
    """Before the first start as after it."""
    config = configure(folders, sandbox.url)
    if journal == "empty":
        assert command("run", "--once", "--config", config).code == 0
    assert "two.xml is not in work" in withdraw(config, "two.xml", code=UNUSABLE)


def test_two_files_of_one_name_are_told_apart_by_their_claims(folders, sandbox, waits):
    """Without the claim neither is touched."""
    config = waits()
    drop(folders.inbox, "two.xml", document(("CW-3", "10.00")))
    # What is in work is finished first. So the second file is claimed by hand.
    line = Line(folders, sandbox.url)
    second = line.claim("two.xml", (folders.inbox / "two.xml").read_bytes())
    line.close()
    said = withdraw(config, "two.xml", code=UNUSABLE)
    assert "two.xml is in work 2 times" in said
    assert files(folders.fail, "") == []
    assert second.id in said
    assert "is out of work" in withdraw(config, second.id)
    assert [each["claim"] != second.id for each in status(config)["claimed"]] == [True]
    assert second.id in one(files(folders.fail)).name


def test_called_twice_it_says_that_the_file_is_finished(folders, waits):
    """The second call changes nothing, whichever of its names is given."""
    config = waits()
    withdraw(config, "two.xml")
    for name in ("two.xml", one(files(folders.fail)).name, receipt(folders)["claim"]):
        said = withdraw(config, name, code=UNUSABLE)
        assert "is not in work." in said
        assert "2 rejected (2 of them withdrawn by a person)" in said
    assert len(files(folders.fail)) == 1


def test_a_file_that_finished_meanwhile_is_reported_as_finished(folders, sandbox, monkeypatch, waits):
    """The request came too late. It is dropped, and the answer says how the file ended."""
    config = waits()
    ask = action.ask

    def too_late(*arguments):
        claim = ask(*arguments)
        assert command("run", "--once", "--config", config).code == 0
        return claim

    # A request is carried out at the start of a batch. So this one comes in the middle of the last one.
    monkeypatch.setattr("watcher.processing.withdrawing.Withdrawer.carry_out", lambda _: {})
    monkeypatch.setattr(action, "ask", too_late)
    said = withdraw(config, "two.xml", code=UNUSABLE)
    assert "two.xml is finished already" in said
    assert "2 succeeded, 0 rejected" in said
    assert payments_of(sandbox, "CW-1")[0]["amount"] == Decimal(100)


def test_a_request_survives_until_a_result_can_be_published(folders, sandbox, waits):
    """While something has the name of a result, the answer names it. Once it is moved away, the next start ends it."""
    config = waits()
    claim = one(folders.work.iterdir()).name
    taken = folders.fail / f"two__{claim}.xml"
    taken.write_bytes(b"somebody else's")
    said = withdraw(config, "two.xml", code=SOME_FAILED)
    assert "is not out of work yet" in said
    assert str(taken) in said
    assert "asked at" in " ".join(command("explain", "two.xml", "--config", config).out.split())
    assert taken.read_bytes() == b"somebody else's"
    taken.unlink()
    assert command("run", "--once", "--config", config).code == SOME_FAILED
    assert numbers(taken) == ["CW-1", "CW-2"]
    assert list(folders.work.iterdir()) == []


def test_a_daemon_that_starts_later_carries_a_request_out(folders, sandbox, waits):
    """A command that was killed left a request. The daemon needs no ConnectWise for it, and the file ends once."""
    config = waits()
    sandbox.stop()
    action.ask("two.xml", "", folders, f"sqlite:///{folders.inbox.parent}/journal.db")
    with Daemon(config) as daemon:
        assert daemon.event("file.finished")["rejected"] == 2
        assert daemon.events("line.waiting") == []
    assert numbers(one(files(folders.fail))) == ["CW-1", "CW-2"]


def test_a_folder_that_is_away_is_named(folders, waits):
    """Nothing is published elsewhere; the request stays."""
    config = waits()
    folders.fail.rename(folders.fail.with_name("away"))
    assert str(folders.fail) in withdraw(config, "two.xml", code=CONFIGURATION)
    folders.fail.with_name("away").rename(folders.fail)
    assert "is out of work" in withdraw(config, "two.xml")


def test_a_reason_of_any_bytes_harms_nothing(folders, waits):
    """It is one line, of bounded length, wherever it is shown."""
    config = waits()
    withdraw(config, "two.xml", "--reason", "a\n\x1b[31m<b>&" + "x" * 5000)
    message = records(one(files(folders.fail)))[0]["ErrorMessage"]
    assert "\\x1b[31m<b>&x" in message
    assert len(message) < 700


def test_two_calls_at_once_make_one_request(folders, sandbox):
    """The first one counts, and it is carried out once."""
    sandbox.stop()
    config = configure(folders, sandbox.url)
    with Daemon(config) as daemon:
        drop(folders.inbox, "two.xml", TWO)
        daemon.event("line.waiting")
        for reason in ("first", "second"):
            action.ask("two.xml", reason, folders, f"sqlite:///{folders.inbox.parent}/journal.db")
        daemon.event("file.finished")
        assert [line["reason"] for line in daemon.events("file.withdrawn")] == ["first"]
        until(lambda: status(config)["claimed"] == [])
