"""What people are told without asking: by real mail, over real HTTP, and what is left unsaid."""

from __future__ import annotations

import io
import json
import os
import queue
import socket
from contextlib import ExitStack, contextmanager
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from support.documents import document, drop, files, invoice_payments, one
from support.network import Strike, Unreliable, free_port, too_many
from support.posts import nothing, web
from support.program import PATIENCE, Daemon, command, configure, restored, until

from watcher.cli.commands import CONFIGURATION, SOME_FAILED
from watcher.events import log as logs
from watcher.events.catalogue import Event
from watcher.events.messenger import Messenger
from watcher.events.notices import Notice, Reporter, digest, fitted


@contextmanager
def mail(refuses=nothing, data_size_limit=33554432):
    """Receive mail; yields an Apprise address and the queue of what was taken: the subject and the text.

    Args:
        refuses: returns True for the text of a mail that is not taken.
        data_size_limit: the largest mail that the server takes (bytes).
    """
    came = queue.Queue()

    class Handler:
        async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  (aiosmtpd fixes the name)
            letter = message_from_bytes(envelope.content, policy=policy.default)
            text = f"{letter['subject']}\n{letter.get_body(('plain', 'html')).get_content()}"
            if refuses(text):
                return "554 refused by a filter"
            came.put(text)
            return "250 taken"

    port = free_port()
    controller = Controller(
        Handler(), hostname="127.0.0.1", port=port, ready_timeout=PATIENCE, data_size_limit=data_size_limit
    )
    controller.start()
    try:
        yield f"mailto://127.0.0.1:{port}?from=watcher@example.com&to=books@example.com&mode=insecure", came
    finally:
        controller.stop()


def test_a_file_with_failures_is_told_of_by_mail_and_web(folders, sandbox):
    """One message a file: which invoices, why, and where the fail file lies; none for a file that succeeded."""
    with web() as (address, posts), mail() as (postbox, mails):
        config = configure(folders, sandbox.url, notify={"urls": [address, postbox]})
        drop(folders.inbox, "good.xml", document(("CW-1", "10.00")))
        assert command("run", "--once", "--config", config).code == 0
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00"), ("CW-404", "5.00"), ("CW-405", "x")))
        assert command("run", "--once", "--config", config).code == SOME_FAILED
        post, letter = posts.get(timeout=PATIENCE), mails.get(timeout=PATIENCE)
    assert post["title"] == "pay.xml: 2 payments of 3 failed (5.00 of 105.00; 1 amount cannot be read)"
    assert "CW-404, 5.00: Cannot find Invoice Number CW-404" in post["message"]
    assert str(one(files(folders.fail))) in post["message"]
    assert "pay.xml" in letter
    assert "CW-404" in letter
    assert posts.empty()


def test_a_refused_file_is_told_of_with_its_reason(folders, sandbox):
    """What is no payment document needs a person as well."""
    with web() as (address, posts):
        config = configure(folders, sandbox.url, notify={"urls": [address]})
        drop(folders.inbox, "odd.xml", b"<Orders/>")
        command("run", "--once", "--config", config)
        post = posts.get(timeout=PATIENCE)
    assert "odd.xml could not be read" in post["title"]
    assert "Orders" in post["message"]


@pytest.mark.parametrize("running", [True, False], ids=["by the daemon", "without a daemon"])
def test_a_withdrawn_file_is_told_of_as_withdrawn(folders, sandbox, running):
    """Its payments are named if they are known. Nobody hears that it could not be read."""
    unread = invoice_payments({"invoice/id": "1001", "amount": "7.00", "paymentDate": "2016-09-22"})
    with web() as (address, posts), ExitStack() as stack:
        wrong = {"private_key": "wrong"}
        config = configure(folders, sandbox.url, connectwise=wrong, notify={"urls": [address], "outage_seconds": 3600})
        drop(folders.inbox, "pay.xml", document(("CW-1", "10.00")))
        if running:
            daemon = stack.enter_context(Daemon(config))
            daemon.event("line.waiting")
        else:
            command("run", "--once", "--config", config)
        assert command("withdraw", "pay.xml", "--reason", "sent twice", "--config", config).code == 0
        post = posts.get(timeout=PATIENCE)
        assert post["title"] == "pay.xml: 1 payment of 1 failed (10.00 of 10.00)"
        assert "CW-1, 10.00: Withdrawn by a person" in post["message"]
        if not running:
            drop(folders.inbox, "unread.xml", unread)
            command("run", "--once", "--config", config)
            assert command("withdraw", "unread.xml", "--config", config).code == 0
            post = posts.get(timeout=PATIENCE)
            assert post["title"] == "unread.xml was withdrawn before its payments were read"
            assert "put it into the inbox again" in post["message"]


def test_an_outage_is_told_of_when_it_begins(folders, sandbox):
    """Keys that are refused hold up the line: one message says so, with what to do, while the daemon goes on."""
    with web() as (address, posts):
        config = configure(
            folders, sandbox.url, connectwise={"private_key": "wrong"}, notify={"urls": [address], "outage_seconds": 0}
        )
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
        with Daemon(config) as daemon:
            daemon.event("notify.sent")
            post = posts.get(timeout=PATIENCE)
            assert daemon.end() == 0
    assert post["title"].startswith("Payments wait: ")
    assert "private_key" in post["message"]


def test_a_service_that_does_not_answer_delays_nothing(folders, sandbox):
    """Payments go on, other services get their message, the fault is logged without a password, the end is in time."""
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, web() as (address, posts):
        deaf = f"json://user:secretpassword@127.0.0.1:{silent.getsockname()[1]}"
        config = configure(folders, sandbox.url, notify={"urls": [deaf, "json://127.0.0.1:9", address]})
        drop(folders.inbox, "pay.xml", document(("CW-404", "5.00")))
        with Daemon(config) as daemon:
            daemon.event("file.finished")
            assert "pay.xml" in posts.get(timeout=PATIENCE)["title"]
            daemon.event("notify.failed")
            drop(folders.inbox, "next.xml", document(("CW-1", "100.00")))
            daemon.event("file.finished", file="next.xml")
            assert daemon.end() == 0
    assert "secretpassword" not in json.dumps(daemon.log)


# --- what a service does not take --------------------------------------------------------------------------------


@pytest.fixture
def messengers(monkeypatch):
    """Return a function that starts messengers in a hurry, and a function that returns the lines of their log."""
    stream, started = io.StringIO(), []
    # Apprise waits seconds between two messages to a service.
    monkeypatch.setattr("apprise.plugins.base.NotifyBase.request_rate_per_sec", 0)

    def start(*addresses):
        started.append(
            Messenger(addresses, Reporter(Path("/fail"), 60), gather_seconds=0.2, pause_seconds=0.2, look_seconds=0.05)
        )
        return started[-1]

    def logged(event):
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    with restored():
        logs.set_up("info", "json", (), stream)
        yield start, logged
        for messenger in started:
            messenger.close(5)


def refuse(messenger, name):
    """Let a messenger hear that a file was refused."""
    claim = "20260101T000000Z_0123abcd"
    messenger.hear(Event.FILE_REFUSED, {"claim": claim, "file": name, "reason": "It is empty.", "duration_ms": 1})


def drained(came):
    """Return all that came."""
    return "\n".join(str(came.get()) for _ in range(came.qsize()))


@pytest.mark.parametrize("service", [web, mail])
def test_a_message_that_is_not_taken_keeps_no_other_one(messengers, service):
    """All others arrive at once. It is given up after some attempts, in the log and in a message of its own."""
    start, logged = messengers
    names = [f"file-{number}.xml" for number in range(25)]
    with service(lambda text: "file-3.xml" in text) as (address, came), web() as (other, others):
        messenger = start(address, other)
        for name in names:
            refuse(messenger, name)
        # The other service takes all of it, in one message.
        assert others.get(timeout=PATIENCE)["title"].startswith("25 things to know")
        until(lambda: [line for line in logged("notify.failed") if "given up" in line["reason"]])
        refuse(messenger, "later.xml")
        said = ""

        def all_said():
            nonlocal said
            said += drained(came)
            return "later.xml" in said

        until(all_said)
        messenger.close(5)
        said += drained(came)
    for name in names:
        assert (f"{name} could not be read" in said) is (name != "file-3.xml"), name
    assert said.count("A message could not be delivered") == 1
    (given_up,) = [line for line in logged("notify.failed") if "given up" in line["reason"]]
    assert "file-3.xml could not be read" in given_up["reason"]
    assert given_up["notices"] == 1
    # Halves, and no flood: far fewer messages than notices.
    assert len(logged("notify.sent")) < 25


def test_a_service_that_is_down_loses_nothing(messengers):
    """However often nothing at all was taken: once it is back, all is there, in one message."""
    start, logged = messengers
    down = True
    with web(lambda _body: down) as (address, came):
        messenger = start(address)
        for number in range(12):
            refuse(messenger, f"file-{number}.xml")
        until(lambda: len(logged("notify.failed")) > 6)
        assert not [line for line in logged("notify.failed") if "given up" in line["reason"]]
        down = False
        post = came.get(timeout=PATIENCE)
    assert post["title"].startswith("12 things to know")
    assert all(f"file-{number}.xml" in post["message"] for number in range(12))


def test_many_messages_that_are_not_taken_hold_up_nothing(messengers):
    """Even where half of them are refused."""
    start, _logged = messengers
    with web(lambda body: "odd-" in body) as (address, came):
        messenger = start(address)
        for number in range(10):
            refuse(messenger, f"odd-{number}.xml")
            refuse(messenger, f"good-{number}.xml")
        said = ""

        def all_said():
            nonlocal said
            said += drained(came)
            return all(f"good-{number}.xml" in said for number in range(10))

        until(all_said)


def test_a_message_is_no_longer_than_a_mail_server_takes(messengers):
    """Two hundred files, and words without end: people learn how many there are, in a mail of ordinary size."""
    start, _logged = messengers
    with mail(data_size_limit=100_000) as (address, came):
        messenger = start(address)
        claim = "20260101T000000Z_0123abcd"
        for number in range(200):
            keys = {"claim": claim, "file": f"{number}-{'n' * 200}.xml", "reason": "no " * 10_000, "duration_ms": 1}
            messenger.hear(Event.FILE_REFUSED, keys)
        letter = came.get(timeout=PATIENCE)
        messenger.close(5)
    assert "things to know: 0-nnn" in letter
    assert "more, which are in the log" in letter


def test_an_event_that_cannot_be_understood_keeps_no_later_one(messengers):
    """It is logged as a fault of this program."""
    start, _logged = messengers
    with web() as (address, came):
        messenger = start(address)
        messenger.hear(Event.FILE_REFUSED, {"claim": None})
        refuse(messenger, "next.xml")
        assert "next.xml" in came.get(timeout=PATIENCE)["title"]


ODD_NAMES = (
    os.fsdecode(b"zahlung m\xfcller.xml"),
    "over\nwritten\r\x1b[31m.xml",
    "\u202elmx.\u2028.xml",
    "n" * 251 + ".xml",
    os.fsdecode(b"\xff" * 251 + b".xml"),
)


@pytest.mark.parametrize("outcome", ["refused", "failed"])
def test_a_file_of_any_name_is_told_of(folders, sandbox, outcome):
    """The name stands in the message as one line of text, and the place of the fail file is there whole."""
    content = b"<Orders/>" if outcome == "refused" else document(("CW-404", "5.00"))
    with web() as (address, posts), mail() as (postbox, mails):
        config = configure(folders, sandbox.url, notify={"urls": [address, postbox]})
        for name in ODD_NAMES:
            (folders.inbox / name).write_bytes(content)
        command("run", "--once", "--config", config)
        said, written = drained(posts), drained(mails)
    for text in (said, written.replace("\n", "")):
        assert r"zahlung m\udcfcller" in text.replace("\\\\", "\\"), text
        assert not set(text) & set("\x1b\u202e\u2028\udcfc")
        assert text.count("put it into the inbox" if outcome == "refused" else "Correct them in") == len(ODD_NAMES)


def test_check_sends_a_test_message(folders, sandbox):
    """Check --notify tells of each service whether it took a message."""
    with web() as (address, posts):
        good = command("check", "--notify", "--config", configure(folders, sandbox.url, notify={"urls": [address]}))
        assert good.code == 0, good.out
        assert "test" in posts.get(timeout=PATIENCE)["title"]
    config = configure(folders, sandbox.url, notify={"urls": ["json://127.0.0.1:9"]})
    bad = command("check", "--notify", "--config", config)
    assert bad.code == CONFIGURATION
    assert "FAULT notify.urls" in bad.out


def test_an_address_nobody_knows_is_a_fault_of_the_configuration(folders, sandbox):
    """The fault names the key before anything runs. It does not repeat the address, which may hold a password."""
    done = command("check", "--config", configure(folders, sandbox.url, notify={"urls": ["nonsense://a:pass@b"]}))
    assert done.code == CONFIGURATION
    assert "notify.urls" in done.err
    assert "pass@" not in done.err


# --- what is worth telling, and when ---------------------------------------------------------------------------

WAITING = {"reason": "ConnectWise did not answer", "mend": "Nothing is lost", "since": "2026-09-22T09:00:00+00:00"}


@pytest.fixture
def reporter():
    """One that is patient for a minute."""
    return Reporter(Path("/fail"), 60)


def test_a_short_outage_is_nobody_s_business(reporter):
    """Nobody gets a message about an outage that is over within the minute."""
    assert reporter.hear(Event.LINE_WAITING, WAITING, 0) is None
    assert reporter.due(59) is None
    assert reporter.hear(Event.LINE_MOVING, {"waited_seconds": 59}, 59) is None
    assert reporter.due(1000) is None


def test_a_long_outage_is_told_of_once_a_day_and_at_its_end(reporter):
    """However often the log tells of it."""
    reporter.hear(Event.LINE_WAITING, WAITING, 0)
    told = [now for now in range(0, 3 * 86400, 60) if reporter.due(now)]
    hourly = [reporter.hear(Event.LINE_WAITING, WAITING, 3 * 86400 - 30 + n) for n in range(3)]
    assert told == [60, 60 + 86400, 60 + 2 * 86400]
    assert hourly == [None] * 3
    ended = reporter.hear(Event.LINE_MOVING, {}, 3 * 86400)
    assert ended == Notice("Payments go on", "After 72 hours: ConnectWise did not answer. It is over.")


def test_another_trouble_during_an_outage_is_told_of(reporter):
    """The person who mends the network is not the one who mends the keys."""
    reporter.hear(Event.LINE_WAITING, WAITING, 0)
    assert reporter.due(60)
    other = {**WAITING, "reason": "ConnectWise refused the sign-in", "mend": "Check the keys"}
    assert "refused the sign-in" in reporter.hear(Event.LINE_WAITING, other, 90).title


SLOWED = {"retry_after_seconds": 30, "requests_per_minute": 60, "request_id": None}


def answered(status):
    """Return the keys of a call's event."""
    return {"method": "GET", "status": status, "duration_ms": 1, "request_id": None}


def test_nothing_but_429_is_told_of_like_an_outage(reporter):
    """Once it has lasted for the minute, with what to do, and again when another answer comes."""
    assert reporter.hear(Event.CONNECTWISE_SLOWED, SLOWED, 0) is None
    assert reporter.hear(Event.CONNECTWISE_REQUEST, answered(429), 30) is None
    assert reporter.hear(Event.CONNECTWISE_SLOWED, SLOWED, 30) is None
    assert reporter.due(59) is None
    notice = reporter.hear(Event.CONNECTWISE_SLOWED, SLOWED, 60)
    assert notice.title == "Payments wait: ConnectWise answers every call with 429 (too many requests)"
    assert "requests_per_minute" in notice.body
    assert reporter.due(61) is None
    assert reporter.hear(Event.CONNECTWISE_REQUEST, answered(200), 120).title == "Payments go on"
    assert reporter.due(1000) is None


def test_429_now_and_then_is_nobody_s_business(reporter):
    """As long as other answers come in between."""
    for now in range(0, 600, 30):
        assert reporter.hear(Event.CONNECTWISE_SLOWED, SLOWED, now) is None
        assert reporter.hear(Event.CONNECTWISE_REQUEST, answered(200), now + 2) is None
        assert reporter.due(now + 29) is None


def test_an_outage_after_429_is_told_of_with_its_own_reason(reporter):
    """Payments wait since the first 429; what they wait for now is said."""
    reporter.hear(Event.CONNECTWISE_SLOWED, SLOWED, 0)
    assert reporter.due(60)
    notice = reporter.hear(Event.LINE_WAITING, WAITING, 70)
    assert notice.title.endswith("ConnectWise did not answer")
    assert reporter.hear(Event.CONNECTWISE_REQUEST, answered(200), 80) is None
    assert reporter.hear(Event.LINE_MOVING, {"waited_seconds": 20}, 90).title == "Payments go on"


def test_nothing_but_429_is_told_of_while_the_daemon_runs(folders, sandbox):
    """However soon each call may be made again; payments are made once other answers come."""
    with web() as (address, posts), Unreliable(sandbox.url, Strike(too_many("0.3"))) as network:
        config = configure(folders, network.url, notify={"urls": [address], "outage_seconds": 2})
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
        with Daemon(config) as daemon:
            post = posts.get(timeout=PATIENCE)
            assert post["title"].startswith("Payments wait: ConnectWise answers every call with 429")
            network.strike()
            assert daemon.event("file.finished")["outcome"] == "succeeded"
            assert daemon.end() == 0
        # What waits for its turn is sent as the daemon ends.
        assert posts.get(timeout=PATIENCE)["title"] == "Payments go on"


def test_of_many_failures_the_first_are_named(reporter):
    """A message stays readable: twenty invoices, the number of the others, and where the file lies."""
    for number in range(1000):
        keys = {"claim": "c", "outcome": "rejected", "invoice_number": f"CW-{number}", "asked": "1.00", "message": "no"}
        reporter.hear(Event.PAYMENT, keys, 0)
    done = {"claim": "c", "file": "a.xml", "rejected": 1000, "records": 1000, "failed": "1000.00", "asked": "1000.00"}
    done |= {"unreadable_amounts": 0, "warnings": 0}
    lines = reporter.hear(Event.FILE_FINISHED, done, 0).body.splitlines()
    assert lines[19].startswith("CW-19,")
    assert lines[20] == "... and 980 more, each with its reason in the file."
    assert len(lines) == 22


@pytest.mark.parametrize(
    ("unreadable", "words"),
    [
        (0, "a.xml: 2 payments of 3 failed (5.00 of 9.00)"),
        (1, "a.xml: 2 payments of 3 failed (5.00 of 9.00; 1 amount cannot be read)"),
        (2, "a.xml: 2 payments of 3 failed (none of their amounts can be read)"),
    ],
)
def test_amounts_that_cannot_be_read_are_not_counted_as_zero(reporter, unreadable, words):
    """The title says how many amounts are missing in its sums, and the text shows an amount as it stands."""
    payment = {"claim": "c", "outcome": "rejected", "invoice_number": "CW-1", "message": "no"}
    reporter.hear(Event.PAYMENT, payment | {"asked": None, "asked_as_written": "1,346.34"}, 0)
    reporter.hear(Event.PAYMENT, payment | {"asked": None, "asked_as_written": None}, 0)
    done = {"claim": "c", "file": "a.xml", "rejected": 2, "records": 3, "failed": "5.00", "asked": "9.00"}
    notice = reporter.hear(Event.FILE_FINISHED, done | {"unreadable_amounts": unreadable, "warnings": 0}, 0)
    assert notice.title == words
    assert notice.body.splitlines()[:2] == ["CW-1, 1,346.34: no", "CW-1: no"]


WARNED = {"claim": "c", "outcome": "applied", "invoice_number": "CW-2", "asked": "9.00", "message": "1.00 discarded"}


@pytest.mark.parametrize("wanted", [True, False])
def test_payments_set_with_a_warning_are_told_of_if_that_is_wanted(reporter, wanted):
    """Somebody typed 9999.00 for 1593.80: a success, of which a person should know all the same."""
    reporter.warnings = wanted
    reporter.hear(Event.PAYMENT, WARNED, 0)
    done = {"claim": "c", "file": "a.xml", "rejected": 0, "records": 3, "failed": "0.00", "asked": "9.00"}
    notice = reporter.hear(Event.FILE_FINISHED, done | {"unreadable_amounts": 0, "warnings": 1}, 0)
    told = notice and (notice.title, notice.body)
    assert told == (("a.xml: 1 payment of 3 set with a warning", "CW-2, 9.00: 1.00 discarded") if wanted else None)


def test_failures_and_warnings_of_a_file_are_one_message(reporter):
    """The failures come first, since there is something to do about them."""
    reporter.hear(Event.PAYMENT, WARNED, 0)
    failed = {"outcome": "rejected", "invoice_number": "CW-1", "message": "no"}
    reporter.hear(Event.PAYMENT, WARNED | failed, 0)
    done = {"claim": "c", "file": "a.xml", "rejected": 1, "records": 3, "failed": "9.00", "asked": "18.00"}
    notice = reporter.hear(Event.FILE_FINISHED, done | {"unreadable_amounts": 0, "warnings": 1}, 0)
    assert notice.title == "a.xml: 1 payment of 3 failed (9.00 of 18.00)"
    first, mend, *others = notice.body.splitlines()
    assert (first, mend[:7], others) == (
        "CW-1, 9.00: no", "Correct", ["Set, but with a warning:", "CW-2, 9.00: 1.00 discarded"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("corrected", "to_do"), [(True, "nothing to do"), (False, "Check this invoice in ConnectWise")]
)
def test_an_invoice_that_held_another_payment_is_told_of(reporter, corrected, to_do):
    """People hear which invoice, what was found, and whether anything is left to do."""
    keys = {"invoice_number": "CW-7", "invoice_id": 1007, "corrected": corrected, "reason": "20.00 was set again"}
    told = reporter.hear(Event.PAYMENT_CORRECTED, keys, 0.0)
    assert "CW-7" in told.title
    assert "20.00 was set again" in told.body
    assert to_do in told.body
    assert reporter.concerns(Event.PAYMENT_CORRECTED, keys)


def test_what_gathers_becomes_one_message():
    """Many notices are one message that names them all."""
    message = digest([Notice(f"title {number}", f"body {number}") for number in range(3)])
    assert message.title == "3 things to know: title 0; ..."
    assert all(f"body {number}" in message.body for number in range(3))


def test_a_text_is_fitted_to_the_service():
    """Its end is left out at a line, and it says so; title and text together are no longer than the service takes."""
    notice = Notice("title", "\n".join(f"line {number}" for number in range(1000)))
    assert fitted(notice, 100_000) is notice
    for longest in (0, 10, 100, 160, 2000):
        fit = fitted(notice, longest)
        assert len(fit.body) <= max(0, longest - len("title") - 2)
    assert fit.body.startswith("line 0\nline 1\n")
    assert fit.body.endswith("\n... The rest is in the log, and payment-watcher status shows it.")
