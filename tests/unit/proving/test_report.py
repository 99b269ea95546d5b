"""What is black in a report."""

from __future__ import annotations

from decimal import Decimal

import pytest

from watcher.connectwise.recorded import Answered
from watcher.events.redaction import redactor
from watcher.proving.findings import Setting, differs, exit_status, holds, look, settled, suggested, unknown
from watcher.proving.report import Blackout, calls_as_json


def black(*answers, invoice=(100, "TEST-1")):
    """Return answers as a report shows them."""
    return calls_as_json(answers, Blackout(invoice, answers, redactor(["the-private-key", "acme"])))


def answer(path, content, status=200):
    """Return an answer to a GET."""
    return Answered("GET", path, None, status, content, 5)


def test_another_invoice_is_black_and_the_test_invoice_is_not():
    """Also where the id of one is the beginning of the other's."""
    row = {"id": 7, "amount": Decimal("3.21"), "appliedBy": "anna", "paymentDate": "2026-11-23T00:00:00Z"}
    own, other = black(
        answer("/finance/invoices/100/payments", [row]), answer("/finance/invoices/1001/payments?pageSize=1000", [row])
    )
    assert own["path"] == "/finance/invoices/100/payments"
    assert own["body"][0] == {**row, "amount": "3.21", "appliedBy": "***"}
    assert other["path"] == "/finance/invoices/***/payments?pageSize=1000"
    assert other["body"][0] == {**row, "id": "***", "amount": "***", "appliedBy": "***"}


def test_numbers_in_paths_and_in_words_are_black():
    """A message of ConnectWise may quote them."""
    listed, refused, by_id = black(
        answer(
            "/finance/invoices?conditions=invoiceNumber%20in%20(%22CW-77%22%2C%22TEST-1%22)",
            [{"id": 5, "invoiceNumber": "CW-77", "total": 5}, {"id": 100, "invoiceNumber": "TEST-1", "total": 10}],
        ),
        answer("/x", {"code": "X", "message": "CW-77 of acme, key the-private-key"}, 400),
        answer("/finance/invoices?conditions=id%20in%20(5,6)", []),
    )
    assert listed["path"].endswith('("***","TEST-1")')
    assert listed["body"] == [
        {"id": "***", "invoiceNumber": "***", "total": "***"},
        {"id": 100, "invoiceNumber": "TEST-1", "total": 10},
    ]
    assert refused["body"] == {"code": "X", "message": "*** of ***, key ***"}
    assert by_id["path"].endswith("id in (***)")


@pytest.mark.parametrize("content", [["Contoso", 5], {"rows": [["Contoso", 5]]}, {"company": {"name": "Contoso"}}])
def test_what_is_not_known_to_be_harmless_is_black(content):
    """Whatever shape it has."""
    (shown,) = black(answer("/system/reports/X", content))
    assert "Contoso" not in str(shown)
    assert "5" not in str(shown["body"])


def test_the_company_of_the_test_invoice_is_black():
    """It may be a customer's."""
    company = {"id": 20, "identifier": "Contoso", "name": "Contoso Ltd"}
    (shown,) = black(answer("/finance/invoices/100", {"id": 100, "invoiceNumber": "TEST-1", "company": company}))
    assert shown["body"] == {"id": 100, "invoiceNumber": "TEST-1", "company": dict.fromkeys(company, "***")}


SETTING = Setting("connectwise", "list_first", value=True)


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([holds("a", ""), unknown("b", ""), look("c", "")], 0),
        ([holds("a", ""), differs("b", "", "", SETTING)], 1),
        ([differs("a", ""), differs("b", "", "", SETTING)], 2),
    ],
)
def test_the_exit_status_says_if_a_setting_helps(findings, status):
    """What is unknown or to be looked at is no difference."""
    assert exit_status(findings) == status


def test_a_setting_that_is_there_already_makes_a_difference_hold():
    """It is not suggested again, and the rules stay what was found."""
    found = [differs("a", "it lags", "", SETTING, {"search_lag_seconds": 3.0})]
    assert suggested(found) == {"connectwise": {"list_first": True}}
    (held,) = settled(found, [SETTING])
    assert (held.verdict, held.rules) == ("holds", {"search_lag_seconds": 3.0})
    assert held.sentence == "it lags: connectwise.list_first = true is set"
    assert suggested([held]) == {}
