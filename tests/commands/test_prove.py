"""``prove``: what it finds on a ConnectWise, what it suggests, and that the suggestion makes the money right."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from decimal import Decimal

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop
from support.network import BAD_GATEWAY_502, SILENT_BEFORE, WEAK_ROLE_403, Strike, page
from support.program import Daemon, command, configure, tree

from watcher.cli import sandbox
from watcher.sandbox import PaymentSeed, Rules

TEST = invoice("TEST-1", "10.00", type="Miscellaneous")
OTHER = invoice("CW-1", "100.00")
DAY = date(2016, 9, 22)
WRITES = ("--invoice", "TEST-1", "--yes")


def paid(*amounts):
    """Return seeds of payments."""
    return tuple(PaymentSeed(Decimal(amount), DAY) for amount in amounts)


def of(report, name):
    """Return the findings of a name."""
    return [each for each in report["findings"] if each["name"] == name]


# --- a plain ConnectWise --------------------------------------------------------------------------------------------


def test_all_holds_on_a_plain_connectwise(prove):
    """Each assumption is a line, the invoice is as it was, and the exit status is 0."""
    proof = prove()
    done = proof(*WRITES)
    assert done.code == 0, done.out
    verdicts = [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")]
    assert set(verdicts) == {"holds", "unknown", "look"}
    assert len(verdicts) >= 25
    assert "Test invoice TEST-1 is as it was: no payments, 10.00 to pay." in done.out
    assert "Suggested" not in done.out
    assert payments_of(proof.sandbox, "TEST-1") == []
    assert not proof.state.exists()


def test_without_an_invoice_nothing_is_written(prove):
    """It looks, tells how to make a test invoice, and remembers what it saw."""
    proof = prove(OTHER, *(invoice(f"CW-{number}", "50.00", payments=paid("20.00")) for number in range(2, 30)))
    done = proof()
    assert done.code == 0, done.out
    assert proof.sandbox.books()["writes"] == []
    assert "make one throw-away invoice by hand" in done.out
    assert "20 of 20 paid invoices have one payment" in done.out
    assert len(proof.network.requests) <= 46
    assert {request.method for request in proof.network.requests} == {"GET"}


def test_it_makes_one_call_a_second(prove):
    """Whatever the configuration allows, and never two at once."""
    proof = prove()
    proof(*WRITES)
    calls = len(proof.network.requests)
    # One lifetime for the proof, one for its clean-up.
    assert sum(lifetime.now() for lifetime in proof.lifetimes) >= calls - 3
    assert max(request.under_way for request in proof.network.requests) == 1


def test_only_the_test_invoice_is_written_to_and_no_odd_amount_is_sent(prove):
    """No zero, no negative amount, no third decimal, and no other invoice."""
    proof = prove(invoice("CW-9", "33.00"), TEST, OTHER)
    proof(*WRITES)
    writes = proof.sandbox.books()["writes"]
    assert {write["invoiceNumber"] for write in writes} == {"TEST-1"}
    sent = [
        Decimal(str(part["value"] if isinstance(part, dict) and "value" in part else part))
        for write in writes
        for part in (
            [write["body"]["amount"]]
            if isinstance(write["body"], dict)
            else [each for each in write["body"] or () if each["path"] == "amount"]
        )
    ]
    assert sent
    assert all(amount > 0 and amount == amount.quantize(Decimal("0.01")) for amount in sent)


@pytest.mark.parametrize("total", ["1.00", "7.77", "100.00"])
def test_any_total_from_1_to_100_will_do(prove, total):
    """The amounts of the steps follow from it."""
    assert prove(OTHER, invoice("TEST-1", total))(*WRITES).code == 0


def test_the_number_is_typed_again(prove):
    """The plan is shown before, and the person is asked what the screen shows while the payment is there."""
    proof = prove()
    done = proof("--invoice", "TEST-1", stdin=b"test-1\ny\n")
    assert done.code == 0, done.err
    plan, _, rest = done.out.partition("Type the number")
    assert "Test invoice TEST-1 of Contoso, total 10.00." in plan
    assert "About 80 requests, at most 60 a minute." in plan
    assert "holds    invoice TEST-1 showed 10.00 paid on" in rest


def test_what_the_screen_does_not_show_differs(prove):
    """No setting helps, so the exit status is 2."""
    done = prove()("--invoice", "TEST-1", stdin=b"TEST-1\nno\n")
    assert done.code == 2
    assert "differs  invoice TEST-1 did not show 10.00 paid on" in done.out


@pytest.mark.parametrize("typed", [b"", b"\n", b"TEST-2\n", b"y\n"])
def test_another_answer_writes_nothing(prove, typed):
    """The exit status is 2, and nothing is noted."""
    proof = prove()
    done = proof("--invoice", "TEST-1", stdin=typed)
    assert done.code == 2
    assert "Nothing was written." in done.err
    assert proof.sandbox.books()["writes"] == []
    assert not proof.state.exists()


# --- what may differ --------------------------------------------------------------------------------------------------

_LIST_FIRST = ("connectwise", "list_first", True)

WITH_A_SETTING = {
    "a second payment is accepted": ("second_payment", {"second_payment": "accepted"}, _LIST_FIRST),
    "the search lags for seconds": ("freshness", {"search_lag_seconds": 8}, _LIST_FIRST),
    "the search lags for hours": ("freshness", {"search_lag_seconds": 600}, _LIST_FIRST),
    "PATCH fails": ("change", {"change_fails": True}, ("connectwise", "change_by", "put")),
    "a date is removed by an empty text": (
        "clear_date",
        {"date_removal": "refused", "empty_date": True},
        ("connectwise", "clear_date", "empty"),
    ),
    "a date is removed by a PUT": ("clear_date", {"date_removal": "fails"}, ("connectwise", "clear_date", "put")),
    "a removed date stays": ("clear_date", {"date_removal": "ignored"}, ("connectwise", "clear_date", "put")),
    "partial payments get a date": (
        "undated",
        {"date_by_server": True},
        ("payments", "date_partial_payments", True),
    ),
}


@pytest.mark.parametrize("case", WITH_A_SETTING)
def test_a_difference_is_named_with_its_setting_which_makes_the_money_right(prove, folders, case):
    """The suggestion is TOML. With it, the next proof ends with 0, and apply pays as it should."""
    name, rules, (section, key, value) = WITH_A_SETTING[case]
    proof = prove(OTHER, TEST, **rules)
    done = proof(*WRITES)
    assert done.code == 1, done.out
    suggestion = tomllib.loads("\n".join(line[2:] for line in done.out.partition("Suggested:\n")[2].splitlines()))
    assert suggestion == {section: {key: value}}
    proof.settings = suggestion
    again = proof.report(*WRITES)
    (finding,) = [each for each in of(again, name) if each["setting"]] or of(again, name)
    assert finding["verdict"] == "holds"
    assert again["suggested"] == {}
    config = configure(folders, proof.sandbox.url, **suggestion)
    for amount in ("60.00", "100.00", "40.00"):
        assert command("apply", "--config", config, stdin=document(("CW-1", amount))).code == 0
        rows = [row for row in payments_of(proof.sandbox, "CW-1") if row["amount"]]
        assert [str(row["amount"]) for row in rows] == [amount]
        if key != "date_partial_payments":
            assert (rows[0]["paymentDate"] is None) == (amount != "100.00")


@pytest.mark.parametrize(
    "refusal",
    [
        page(400, '{"code":"InvalidObject","message":"no PUT"}'),
        page(405, '{"code":"MethodNotAllowed","message":"no PUT"}'),
        page(404, "<html><body>404 - File or directory not found.</body></html>", "text/html"),
    ],
    ids=["400", "405", "404 HTML"],
)
def test_a_date_that_nothing_takes_off_is_left(prove, folders, monkeypatch, refusal):
    """ConnectWise refuses each way: then the program does not try, and sets the amount alone."""
    proof = prove(OTHER, TEST, date_removal="refused")
    refuses_put = Strike(refusal, "PUT")
    done = proof(*WRITES, strikes=(refuses_put,))
    assert done.code == 1
    assert 'clear_date = "never"' in done.out
    proof.settings = {"connectwise": {"clear_date": "never"}}
    assert proof(*WRITES, strikes=(refuses_put,)).code == 0


def test_a_payment_of_nothing_is_found(prove):
    """It is found without a write, on an invoice whose sum says that nothing is paid."""
    done = prove(TEST, invoice("CW-1", "100.00", payments=paid("0.00")))()
    assert done.code == 1
    assert "1 of 2 unpaid invoices have a payment of 0.00: CW-1" in done.out
    assert "list_first = true" in done.out


WITHOUT_A_SETTING = {
    "two payments": ("one_payment", {}, [invoice("CW-1", "100.00", payments=paid("20.00", "30.00"))]),
    "one number twice": ("numbers", {}, [OTHER, OTHER]),
    "the search finds nothing": ("found_by_number", {"search_works": False}, [OTHER]),
    "payments that cannot be listed": (
        "rows",
        {"hides": ("CW-1",)},
        [invoice("CW-1", "100.00", payments=paid("20.00"))],
    ),
}


@pytest.mark.parametrize("case", WITHOUT_A_SETTING)
def test_a_difference_that_no_setting_helps_is_found_by_looking(prove, case):
    """The exit status is 2."""
    name, rules, invoices = WITHOUT_A_SETTING[case]
    proof = prove(*invoices, **rules)
    done = proof()
    assert done.code == 2, done.out
    assert any(each["verdict"] == "differs" and not each["setting"] for each in of(proof.report(), name))


NO_HARM = {
    "taxes on top": ({"total_without_tax": True}, [invoice("CW-1", "120.00", tax=Decimal(20))], "total + tax"),
    "a down payment": ({}, [invoice("CW-1", "100.00", down_payment=Decimal(40))], "total - down payment"),
    "less by the down payment": (
        {"total_without_down_payment": True},
        [invoice("CW-1", "100.00", down_payment=Decimal(40))],
        "balance = total - payments - credits on",
    ),
    "four decimals": ({"total_decimals": 4}, [OTHER], "balance = total"),
    "no balance in lists": ({"balance_in_lists": False}, [OTHER], "show no balance"),
    "no balance in lists, and a down payment": (
        {"balance_in_lists": False},
        [invoice("CW-1", "100.00", down_payment=Decimal(40))],
        "total - down payment",
    ),
    "neither balance nor credits in lists": (
        {"balance_in_lists": False, "credits_in_lists": False},
        [OTHER],
        "the program reads each invoice by its id, too",
    ),
    "no credits in lists": ({"credits_in_lists": False}, [OTHER], "show no credits"),
    "letter case": ({"numbers_by_case": True}, [OTHER], "letter case matters"),
    "no answer's balance": ({"invoice_balance": "missing"}, [OTHER], "does not say what is left"),
    "a stale balance": ({"invoice_balance": "stale"}, [OTHER], "says that 10.00 is left to pay, and not 8.89"),
    "a second payment replaces": ({"second_payment": "replaces"}, [OTHER], "takes the place of the first"),
}


@pytest.mark.parametrize("case", NO_HARM)
def test_what_the_program_copes_with_is_told_and_no_fault(prove, case):
    """The exit status is 0."""
    rules, invoices, said = NO_HARM[case]
    done = prove(*invoices, TEST, **rules)(*WRITES)
    assert done.code == 0, done.out
    assert said in done.out


@pytest.mark.parametrize("days", [-1, 1])
def test_a_date_that_is_shifted_is_found(prove, days):
    """There is no setting for it."""
    proof = prove(date_shift_days=days)
    done = proof(*WRITES)
    assert done.code == 2
    assert "1 day off" in done.out
    assert proof.report(*WRITES)["rules"]["date_shift_days"] == days


def test_a_new_payment_that_fails_ends_the_proof(prove):
    """A 500 may have made the payment all the same, so it is looked for until the timeout is over."""
    proof = prove(refuses_all=500)
    done = proof(*WRITES)
    assert done.code == 2
    assert 'differs  a new payment is answered by 500 "String was not recognized as a valid DateTime."' in done.out
    assert len(proof.network.seen("POST")) == 1
    assert "is as it was" in done.out


def test_a_role_that_may_not_write_ends_it_with_77(prove):
    """The message says which rights are missing."""
    proof = prove()
    done = proof(*WRITES, strikes=(Strike(WEAK_ROLE_403, "POST"),))
    assert done.code == 77
    assert "security role" in done.err
    assert "is as it was" in done.out
    assert not proof.state.exists()


STAND_INS = {
    "a report that can be read": (
        Strike(page(200, '{"column_definitions":[],"row_values":[]}'), "GET", "/system/reports/"),
        "holds    the report InvoicePayments can be read",
    ),
    "a report that may not be read": (
        Strike(WEAK_ROLE_403, "GET", "/system/reports/"),
        "give System > API Reports: Inquire All",
    ),
    "a payment that waits for export": (
        Strike(page(200, '[{"id":7,"invoiceNumber":"TEST-1","amount":2.22}]'), "GET", "unpostedpayments"),
        "look     the payment waits for export to an accounting system",
    ),
    "a payment that does not wait": (
        Strike(page(200, '[{"id":7,"invoiceNumber":"CW-7","amount":2.22}]'), "GET", "unpostedpayments"),
        "holds    the payment does not wait for export",
    ),
    "a long look-up that is refused": (
        Strike(page(400, '{"code":"ApiFindCondition","message":"too long"}'), "GET", "ZX00.*ZX0099"),
        "the program then asks for fewer, and",
    ),
    "an unknown number that is refused": (
        Strike(page(404, '{"code":"NotFound","message":"none"}'), "GET", "%22ZX0000%22\\)"),
        "differs  a number that no invoice has is answered by 404",
    ),
    "another model": (
        Strike(page(200, "[]", "application/vnd.connectwise.com+json; version=2020.1"), "GET", "fields=id$"),
        "look     the API's models have version 2020.1, and 2025.1 was asked for",
    ),
}


@pytest.mark.parametrize("case", STAND_INS)
def test_what_the_sandbox_cannot_play_is_found(prove, case):
    """The answers are those of a stand-in."""
    strike, said = STAND_INS[case]
    assert said in prove()(*WRITES, strikes=(strike,)).out


# --- the report ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        {"version": "v2025.1.10333"},
        {"second_payment": "accepted", "invoice_balance": "missing", "date_removal": "refused", "empty_date": True},
        {"second_payment": "replaces", "invoice_balance": "stale", "date_removal": "fails"},
        {"change_fails": True, "search_lag_seconds": 12.0},
        {"date_removal": "ignored", "balance_in_lists": False, "numbers_by_case": True},
        {"date_shift_days": -1, "total_decimals": 3, "credits_in_lists": False},
        {"date_by_server": True, "search_lag_seconds": 3600.0},
        {"refuses_all": 500},
        {"refuses_all": 403},
        {"overpayment": "accepted", "id_in_answers": False},
        {"overpayment": "cut", "invoice_balance": "low", "refusal_status": 500},
    ],
    ids=str,
)
def test_the_sandbox_plays_the_connectwise_of_a_report(prove, rules, tmp_path):
    """A proof of the sandbox that plays it says the same, and finds the same rules."""
    first = prove(OTHER, TEST, **rules).report(*WRITES)
    assert first["version"] == rules.get("version", Rules().version)
    played = sandbox.rules(tmp_path / "report.json", []).bent()
    again = prove(OTHER, TEST, **played).report(*WRITES)
    for key in ("version", "rules", "suggested"):
        assert again[key] == first[key]
    told = [[(each["name"], each["verdict"], each["setting"]) for each in one["findings"]] for one in (first, again)]
    assert told[0] == told[1]


def test_the_report_tells_nothing_of_other_invoices_and_no_secret(prove):
    """What is about the test invoice and about ConnectWise stands in it as it came; all else is black."""
    memo = invoice("MEMO-77", "5.00", type="CreditMemo")
    credited = invoice("CW-77", "654.32", payments=(*paid("123.45"), PaymentSeed(Decimal("5.00"), credit="MEMO-77")))
    proof = prove(memo, credited, TEST)
    proof.report(*WRITES)
    text = (proof.folders.inbox.parent / "report.json").read_text()
    for secret in ("CW-77", "cw-77", "MEMO-77", "654.32", "123.45", "525.87", "Contoso", "Fabrikam", "sandbox"):
        assert secret not in text, secret
    for secret in ("sandbox-public-key", "sandbox-private-key", "00000000-0000-4000-8000-000000000000"):
        assert secret not in text
    report = json.loads(text)
    posts = [call for call in report["calls"] if call["method"] == "POST"]
    assert [call["sent"]["amount"] for call in posts] == ["1.11", "0.03", "10.00"]
    assert posts[0]["body"]["invoiceBalance"] == "8.89"
    assert posts[1]["body"]["errors"][0]["message"] == "Invoice TEST-1 already has a payment."
    assert all(call["headers"]["x-cw-request-id"] for call in posts)
    assert report["requests"] == len(report["calls"]) == len(proof.network.requests)


def test_a_broken_off_proof_has_a_report_too(prove):
    """It says why, and holds what came until then."""
    proof = prove()
    report = proof.report(*WRITES, strikes=(Strike(BAD_GATEWAY_502, "PATCH"),))
    assert "502" in report["broken_off"]
    assert of(report, "second_payment")
    assert payments_of(proof.sandbox, "TEST-1") == []


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_what_was_proved_is_told_by_status_check_and_the_daemon(prove, folders):
    """Before the first proof, after one, and after ConnectWise got another version."""
    proof = prove(version="v2025.1.10333")
    config = configure(folders, proof.sandbox.url)

    def told():
        started = [
            line for line in command("run", "--once", "--config", config).log if line["event"] == "service.started"
        ]
        status = json.loads(command("status", "--json", "--config", config).out)["proved"]
        assert status in " ".join(command("status", "--config", config).out.split())
        assert started[0]["proved"] == status
        return status

    assert told() == "not proved yet"
    assert "not proved yet" in command("check", "--config", config).out
    proof()
    assert told().endswith("against version v2025.1.10333, read only")
    proof(*WRITES)
    assert told().startswith("proved on 20")
    assert told().endswith("against version v2025.1.10333")
    # A look alone does not take its place.
    proof()
    config = configure(folders, proof.sandbox.url)
    assert told().endswith("against version v2025.1.10333")
    newer = prove(version="v2026.1.1")
    config = configure(folders, newer.sandbox.url)
    before = tree(folders.inbox.parent)
    said = command("check", "--config", config).out
    assert "ConnectWise has version v2026.1.1 since" in " ".join(said.split())
    changed = {name for name, content in tree(folders.inbox.parent).items() if before.get(name) != content}
    assert changed == {"proved.json"}
    assert told().endswith("ConnectWise has version v2026.1.1 since")


def test_the_daemon_notices_another_version_once_it_watches(prove, folders):
    """It asks once, and only if something was proved; an answer that never comes holds up nothing."""
    proof = prove(version="v2025.1.1")
    config = proof.configured()
    with Daemon(config) as daemon:
        daemon.event("inbox.watching")
        drop(folders.inbox, "a.xml", document(("CW-1", "10.00")))
        daemon.event("file.finished")
        assert not proof.network.seen("GET", "/system/info")
    proof()
    asked = len(proof.network.seen("GET", "/system/info"))
    newer = page(200, '{"version":"v2026.1.1"}')
    proof.network.strike(Strike(newer, "GET", "/system/info"))
    with Daemon(config) as daemon:
        told = daemon.event("connectwise.other_version")
        assert (told["proved"], told["version"]) == ("v2025.1.1", "v2026.1.1")
        names = [line["event"] for line in daemon.log]
        assert names.index("inbox.watching") < names.index("connectwise.other_version")
    assert len(proof.network.seen("GET", "/system/info")) == asked + 1
    assert "has version v2026.1.1 since" in command("status", "--config", config).out
    proof.network.strike(Strike(SILENT_BEFORE, "GET", "/system/info"))
    with Daemon(config) as daemon:
        proof.network.wait_for(asked + 2, "GET", "/system/info")
        drop(folders.inbox, "b.xml", document(("CW-1", "20.00")))
        daemon.event("file.finished")
        assert daemon.end() == 0


def test_what_cannot_be_read_of_it_stops_nothing(prove, folders):
    """A damaged memory is none."""
    proof = prove()
    proof()
    (folders.inbox.parent / "proved.json").write_text("[1]")
    config = configure(folders, proof.sandbox.url)
    assert json.loads(command("status", "--json", "--config", config).out)["proved"] == "not proved yet"
    assert command("run", "--once", "--config", config).code == 0
