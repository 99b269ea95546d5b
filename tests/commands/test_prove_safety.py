"""``prove`` and the money: what it refuses, and that nothing of it is left on the invoice, whatever happens."""

from __future__ import annotations

import errno
import json
import os
import signal
from decimal import Decimal

import pytest
from support.connectwise import another_user, invoice, payments_of
from support.documents import document, drop
from support.network import (
    BAD_GATEWAY_502,
    RESET_AFTER,
    RESET_AND_LATER,
    RESET_BEFORE,
    WEAK_ROLE_403,
    Delivery,
    Fault,
    Reset,
    Strike,
    page,
)
from support.program import PATIENCE, command, configure

from watcher.disk.durable import write_whole
from watcher.disk.lock import holding, lock_file
from watcher.errors import FolderTrouble
from watcher.proving import notes
from watcher.sandbox import PaymentSeed

WRITES = ("--invoice", "TEST-1", "--yes")
# The writes of a proof on a plain sandbox, which are 3 POSTs, 5 PATCHes and 3 DELETEs, by method and number.
EACH_WRITE = [
    *(("POST", nth) for nth in range(1, 4)),
    *(("PATCH", nth) for nth in range(1, 6)),
    *(("DELETE", nth) for nth in range(1, 4)),
]
AS_IT_WAS = "Test invoice TEST-1 is as it was: no payments, 10.00 to pay."


def rows(proof):
    """Return the amounts of the payments on the test invoice."""
    return [str(row["amount"]) for row in payments_of(proof.sandbox, "TEST-1")]


def pay_as_somebody_else(proof, amount="3.33"):
    """Make a payment on the test invoice past the program."""
    (found,) = [each["id"] for each in proof.sandbox.books()["invoices"] if each["invoiceNumber"] == "TEST-1"]
    another_user(proof.sandbox, "POST", f"/finance/invoices/{found}/payments", {"amount": float(amount)})


# --- what it refuses --------------------------------------------------------------------------------------------------

REFUSED = {
    "no such invoice": ([invoice("CW-1", "10.00")], "ConnectWise finds no invoice TEST-1."),
    "two of them": ([invoice("TEST-1", "10.00")] * 2, "2 invoices have the number TEST-1"),
    "a credit memo": ([invoice("TEST-1", "10.00", type="CreditMemo")], "is a credit memo"),
    "too small": ([invoice("TEST-1", "0.99")], "is 0.99. It must be from 1.00 to 100.00"),
    "too large": ([invoice("TEST-1", "100.01")], "is 100.01. It must be from 1.00 to 100.00"),
    "paid": ([invoice("TEST-1", "10.00", payments=(PaymentSeed(Decimal(1)),))], "has payments already"),
    "a payment of nothing": ([invoice("TEST-1", "10.00", payments=(PaymentSeed(Decimal(0)),))], "has payments already"),
    "credited": (
        [invoice("TEST-1", "10.00", payments=(PaymentSeed(Decimal(1), credit="MEMO-1"),))],
        "has payments already",
    ),
    "a down payment": ([invoice("TEST-1", "10.00", down_payment=Decimal(4))], "has 6.00 left to pay of 10.00"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_invoice_that_is_no_throw_away_one_is_refused(prove, case):
    """The message says why, nothing is written anywhere, and the exit status is 2."""
    invoices, said = REFUSED[case]
    proof = prove(*invoices)
    done = proof(*WRITES)
    assert done.code == 2
    assert said in done.err
    assert "Nothing was written." in done.err
    assert proof.sandbox.books()["writes"] == []
    assert not proof.state.exists()


def test_an_invoice_in_a_gl_batch_is_refused(prove):
    """Its payments may be in the ledger already."""
    body = {"id": 1002, "invoiceNumber": "TEST-1", "type": "Standard", "total": 10, "glBatch": {"id": 5}}
    proof = prove()
    done = proof(*WRITES, strikes=(Strike(page(200, json.dumps(body)), "GET", "/invoices/1002$"),))
    assert done.code == 2
    assert "is in a GL batch already" in done.err
    assert proof.sandbox.books()["writes"] == []


@pytest.mark.parametrize("number", ["TEST-1", "test-1"])
def test_an_invoice_that_a_file_in_work_names_is_refused(prove, folders, number):
    """The journal says so; letter case does not matter."""
    proof = prove()
    drop(folders.inbox, "waits.xml", document((number, "5.00")))
    wrong_keys = configure(folders, proof.network.url, connectwise={"private_key": "wrong"})
    assert command("run", "--once", "--config", wrong_keys).code == 77
    done = proof(*WRITES)
    assert done.code == 2
    assert "waits.xml is in work and pays invoice TEST-1." in done.err
    assert proof.sandbox.books()["writes"] == []


def test_a_file_in_work_about_another_invoice_does_no_harm(prove, folders):
    """Only the test invoice must be free."""
    proof = prove()
    drop(folders.inbox, "waits.xml", document(("CW-1", "5.00")))
    wrong_keys = configure(folders, proof.network.url, connectwise={"private_key": "wrong"})
    assert command("run", "--once", "--config", wrong_keys).code == 77
    assert proof(*WRITES).code == 0


def test_two_proofs_at_once_are_refused(prove):
    """The second one makes no call."""
    proof = prove()
    with holding(lock_file(proof.state)):
        assert proof(*WRITES).code == 78
    assert proof.network.requests == []


@pytest.mark.parametrize(
    ("changes", "code"), [({"private_key": "wrong"}, 77), ({"site": "http://127.0.0.1:9"}, 69), ({"compny": "x"}, 78)]
)
def test_a_proof_that_cannot_begin_ends_as_other_commands_do(prove, changes, code):
    """Keys that are refused are tried once, and not again."""
    proof = prove()
    proof.settings = {"connectwise": changes}
    assert proof().code == code
    assert len(proof.network.requests) <= 2


# --- lost answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RESET_AFTER, RESET_BEFORE], ids=["carried out", "not carried out"])
@pytest.mark.parametrize(("method", "nth"), EACH_WRITE)
def test_a_lost_answer_to_a_write_leaves_nothing(prove, method, nth, fault):
    """The proof breaks off, looks for what may have been made until the timeout is over, and removes it."""
    proof = prove()
    done = proof(*WRITES, strikes=(Strike(fault, method, nth=nth),))
    assert done.code == 69
    assert AS_IT_WAS in done.out
    assert rows(proof) == []
    # A payment that is not there by the end of the timeout may still come. The second one is refused.
    awaited = method == "POST" and (fault is RESET_BEFORE or nth == 2)
    assert proof.state.exists() == awaited
    assert ("Look at invoice TEST-1 again in five minutes." in done.out) == awaited
    if method == "POST":
        assert proof.lifetimes[-1].now() >= 5


def test_a_payment_that_comes_after_the_timeout_is_removed_by_the_next_start(prove):
    """It was not there when the proof ended. The notes stay until the next start has looked."""
    proof = prove()
    proof(*WRITES, strikes=(Strike(RESET_AND_LATER, "POST", nth=1),))
    proof.network.deliver()
    assert rows(proof) == ["1.11"]
    assert AS_IT_WAS in proof().out
    assert rows(proof) == []
    assert not proof.state.exists()


def test_a_payment_that_comes_late_is_found(prove):
    """Its answer was lost, and ConnectWise carries it out while the program looks for it."""
    proof = prove()
    passed = []

    def pass_on():
        if proof.network.seen("POST"):
            passed.append(1)
            if len(passed) == 3:
                proof.network.deliver()

    proof.waits = pass_on
    done = proof(*WRITES, strikes=(Strike(RESET_AND_LATER, "POST", nth=1),))
    assert done.code == 69
    assert AS_IT_WAS in done.out
    assert [write["method"] for write in proof.sandbox.books()["writes"]] == ["POST", "DELETE"]
    assert rows(proof) == []


def test_the_clean_up_survives_lost_answers_of_its_own(prove):
    """It lists the payments again and tries once more."""
    proof = prove()
    strikes = (Strike(RESET_AFTER, "PATCH", nth=1), Strike(RESET_BEFORE, "DELETE", nth=(1, 2)))
    done = proof(*WRITES, strikes=strikes)
    assert done.code == 69
    assert AS_IT_WAS in done.out
    assert rows(proof) == []


def test_a_list_that_does_not_come_is_no_matter_of_the_invoice(prove):
    """ConnectWise is away: nobody is told to take another invoice."""
    proof = prove()
    done = proof(*WRITES, strikes=(Strike(RESET_BEFORE, "GET", r"/payments\?"),))
    assert done.code == 69
    assert "another throw-away invoice" not in done.out + done.err
    assert proof.sandbox.books()["writes"] == []


def test_a_proof_that_breaks_off_before_its_first_write_says_nothing_of_payments(prove):
    """Nothing was written, so nothing is removed."""
    proof = prove()
    done = proof(*WRITES, strikes=(Strike(BAD_GATEWAY_502, "GET", "pageSize=200"),))
    assert done.code == 69
    assert "Test payments" not in done.err
    assert proof.sandbox.books()["writes"] == []
    assert not proof.state.exists()


# --- what cannot be cleaned up ----------------------------------------------------------------------------------------


def test_a_payment_that_cannot_be_removed_is_named_and_removed_by_the_next_start(prove):
    """The message says which one and what to click; the next start needs no invoice."""
    proof = prove()
    done = proof(*WRITES, strikes=(Strike(page(400, '{"code":"X","message":"It is posted."}'), "DELETE"),))
    assert done.code == 2
    assert "differs  a removed payment stays" in done.out
    assert "Test invoice TEST-1 still has payment 500001 of 2.22, made by this command (It is posted.)" in done.out
    assert "Finance > Invoicing, open invoice TEST-1" in done.out
    assert rows(proof) == ["2.22"]
    again = proof()
    assert again.code == 0
    assert f"An earlier proof had not ended. It is cleaned up now.\n{AS_IT_WAS}" in again.out
    assert rows(proof) == []
    assert not proof.state.exists()


def test_a_role_that_may_not_remove_is_told_with_the_payment_that_stays(prove):
    """The exit status is 77, and the message names the right that is missing and the payment."""
    proof = prove()
    done = proof(*WRITES, strikes=(Strike(WEAK_ROLE_403, "DELETE"),))
    assert done.code == 77
    assert "still has payment 500001 of 2.22, made by this command" in done.out
    assert "security role" in done.err
    assert AS_IT_WAS in proof().out
    assert rows(proof) == []


def test_with_connectwise_away_the_notes_stay_for_the_next_start(prove):
    """The exit status is 69, and the message says what may be left."""
    proof = prove()
    down = Strike(BAD_GATEWAY_502, path="/payments|conditions|/invoices/1002")

    def go_down():
        proof.network.strike(down)

    done = proof(*WRITES, strikes=(Strike(Fault(meanwhile=go_down), "PATCH", nth=1),))
    assert done.code == 69
    assert "Test invoice TEST-1 may still have a test payment (id 500001)" in done.out
    assert rows(proof) == ["2.22"]
    assert AS_IT_WAS in proof().out
    assert rows(proof) == []


def test_the_notes_of_another_connectwise_are_not_followed(prove):
    """A configuration that was changed meanwhile must not lead to another invoice of the same id."""
    proof = prove()
    proof(*WRITES, strikes=(Strike(page(400, '{"message":"no"}'), "DELETE"),))
    other = prove()
    pay_as_somebody_else(other)
    done = other()
    assert done.code == 78
    assert "another ConnectWise" in done.err
    assert rows(other) == ["3.33"]
    assert other.network.requests == []


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"rows": "x"}', None])
def test_notes_that_cannot_be_read_stop_it(prove, content):
    """Nobody knows what is left, so nothing is written before a person has looked."""
    proof = prove()
    proof.state.mkdir() if content is None else proof.state.write_text(content)
    done = proof(*WRITES)
    assert done.code == 78
    assert "prove.state" in done.err
    assert proof.network.requests == []


@pytest.mark.parametrize("written", range(7))
def test_a_disk_that_is_full_leaves_nothing_on_the_invoice(prove, monkeypatch, written):
    """Nothing is sent that could not be noted before, and what was sent is removed although it cannot be noted."""
    proof = prove()
    writes = []

    def write(target, content):
        writes.append(target)
        if len(writes) > written:
            raise FolderTrouble.at(target, OSError(errno.ENOSPC, ""))
        write_whole(target, content)

    monkeypatch.setattr(notes, "write_whole", write)
    done = proof(*WRITES)
    assert done.code == 78
    assert "No space left on device" in done.err
    assert rows(proof) == []
    sent = [write for write in proof.sandbox.books()["writes"] if write["method"] == "POST"]
    assert len(sent) <= written // 2


def test_an_invoice_that_is_gone_by_the_next_start_is_no_trouble(prove):
    """The user may have deleted it."""
    proof = prove()
    proof(*WRITES, strikes=(Strike(page(400, '{"message":"no"}'), "DELETE"),))
    gone = page(404, '{"code":"NotFound","message":"Invoice 1002 was not found."}')
    done = proof(strikes=(Strike(gone, path="/invoices/1002/", nth=1),))
    assert done.code == 0
    assert "Test invoice TEST-1 is not there any more." in done.out
    assert not proof.state.exists()


# --- somebody else ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "nth"), [("POST", 1), ("POST", 2), ("PATCH", 1), ("PATCH", 4), ("DELETE", 1), ("DELETE", 2), ("POST", 3)]
)
def test_a_payment_of_somebody_else_is_never_touched(prove, method, nth):
    """The proof stops and says so; its own payments are removed."""
    proof = prove(second_payment="accepted")
    strike = Strike(Fault(meanwhile=lambda: pay_as_somebody_else(proof)), method, nth=nth)
    done = proof(*WRITES, strikes=(strike,))
    assert done.code == 2
    assert rows(proof) == ["3.33"]
    assert "of 3.33, which this command did not make. It was not touched." in done.out
    (theirs,) = payments_of(proof.sandbox, "TEST-1")
    writes = [each for each in proof.sandbox.books()["writes"] if each["paymentId"] == theirs["id"]]
    assert [each["method"] for each in writes] == ["POST"]


# --- asked to end, or killed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "nth"), EACH_WRITE[:-1])
def test_asked_to_end_at_a_write_it_cleans_up(prove, method, nth):
    """The exit status is 130, and nothing is left."""
    proof = prove()
    strike = Strike(Fault(meanwhile=lambda: proof.lifetimes[0].end("SIGINT")), method, nth=nth)
    done = proof(*WRITES, strikes=(strike,))
    assert done.code == 130
    assert "Test payments are being removed from invoice TEST-1 now." in done.err
    assert AS_IT_WAS in done.out
    assert rows(proof) == []
    assert not proof.state.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(prove, number):
    """As a user types Ctrl-C, or as the machine goes down."""
    proof = prove()
    started = []
    strike = Strike(Fault(meanwhile=lambda: started[0].send_signal(number)), "POST", nth=1)
    proof.network.strike(strike)
    with proof.apart() as process:
        started.append(process)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, out
    assert AS_IT_WAS in out
    assert rows(proof) == []


@pytest.mark.parametrize("typed", [b"TEST-1\n", None], ids=["the number", "nothing, and then a signal"])
def test_at_a_terminal_it_waits_for_the_number_and_for_signals(prove, typed):
    """A signal ends the wait for a line that nobody types."""
    proof = prove()
    ours, theirs = os.openpty()
    with proof.apart(stdin=theirs, yes=False) as process:
        said = ""
        while "again to begin: " not in said:
            said += process.stdout.read(1)
        if typed is None:
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, typed)
            while "[y/n] " not in said:
                said += process.stdout.read(1)
            assert rows(proof) == ["10.00"]
            os.write(ours, b"y\n")
        said += process.stdout.read()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == (130 if typed is None else 0), said
    assert rows(proof) == []


# All calls of a proof, where there is time for it.
KILLS = (
    [("", nth) for nth in range(1, 44)]
    if os.environ.get("PROVE_KILLS") == "all"
    else [("POST", 1), ("POST", 2), ("PATCH", 2), ("DELETE", 1), ("POST", 3), ("DELETE", 3)]
)


@pytest.mark.parametrize("delivery", [Delivery.NOW, Delivery.NEVER])
@pytest.mark.parametrize(("method", "nth"), KILLS)
def test_killed_at_a_call_the_next_start_leaves_nothing(prove, method, nth, delivery):
    """Whether the call is still carried out or not; a look without an invoice cleans up, too."""
    proof = prove()
    started = []

    def kill():
        started[0].kill()
        started[0].wait()

    proof.network.strike(Strike(Fault(delivery, Reset(), kill), method, nth=nth))
    with proof.apart() as process:
        started.append(process)
        out = process.stdout.read()
    assert process.returncode == -signal.SIGKILL, out
    assert len(rows(proof)) <= 1
    done = proof()
    assert done.code == 0, done.err
    assert rows(proof) == []
    assert not proof.state.exists()
    assert proof(*WRITES).code == 0


def test_a_payment_that_comes_late_after_a_kill_is_found_by_the_next_start(prove):
    """The notes name the amount that was being sent. The next start looks for it until the timeout is over."""
    proof = prove()
    started, passed = [], []

    def kill():
        started[0].kill()
        started[0].wait()

    def pass_on():
        passed.append(1)
        if len(passed) == 3:
            proof.network.deliver()

    proof.network.strike(Strike(Fault(Delivery.TOLD, Reset(), kill), "POST", nth=1))
    with proof.apart() as process:
        started.append(process)
        process.stdout.read()
    assert json.loads(proof.state.read_text())["sending"] == "1.11"
    proof.waits = pass_on
    assert AS_IT_WAS in proof().out
    assert [write["method"] for write in proof.sandbox.books()["writes"]] == ["POST", "DELETE"]
    assert rows(proof) == []
