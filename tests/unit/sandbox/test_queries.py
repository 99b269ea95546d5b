"""Invoices are found over HTTP: conditions, fields, order, pages."""

from __future__ import annotations

from decimal import Decimal

import pytest
import simplejson
from support.sandbox import INVOICES, Client, found, numbers

from watcher.sandbox import InvoiceSeed, Sandbox


def test_invoices_are_found_by_number(client: Client) -> None:
    """A list of numbers is looked up in one call, special characters and all."""
    assert numbers(client, conditions='invoiceNumber in ("CW-2","A & B #1","CW-99")') == ["CW-2", "A & B #1"]


def test_amounts_are_exact_numbers(client: Client) -> None:
    """An amount travels as the digits it is made of."""
    response = client.get(f"{INVOICES}/1031")
    assert '"balance": 346.24' in response.text
    assert simplejson.loads(response.text, use_decimal=True)["payments"] == Decimal("0.10")


def test_fields_cut_the_answer_down(client: Client) -> None:
    """Only listed fields are answered, a reference whole or in part, and _info only when listed."""
    conditions = 'invoiceNumber = "CW-3"'
    assert found(client, conditions=conditions, fields="id, total") == [{"id": 1003, "total": 3}]
    assert found(client, conditions=conditions, fields="status/name,status/id,_info/updatedBy,nothing") == [
        {"status": {"name": "Closed", "id": 3}, "_info": {"updatedBy": "sandbox"}}
    ]
    assert "_info" in found(client, conditions=conditions)[0]
    assert client.get(f"{INVOICES}/1003", params={"fields": "id"}).json() == {"id": 1003}


def test_invoices_are_counted(client: Client) -> None:
    """The count is that of all invoices meeting the conditions, not of a page."""
    assert client.get(f"{INVOICES}/count").json() == {"count": 31}
    assert client.get(f"{INVOICES}/count", params={"conditions": "total <= 3"}).json() == {"count": 3}


def test_invoices_are_ordered(client: Client) -> None:
    """OrderBy sorts by one field or several, upwards unless told."""
    assert numbers(client, orderBy="id desc", pageSize=2) == ["A & B #1", "CW-30"]
    assert numbers(client, orderBy="invoiceNumber", pageSize=2) == ["A & B #1", "CW-1"]
    by_company = found(client, orderBy="company/name asc, total desc", pageSize=1000)
    assert by_company == sorted(by_company, key=lambda one: (one["company"]["name"].lower(), -one["total"]))


def test_pages_are_linked(client: Client) -> None:
    """25 records a page unless told; Link leads to first, prev, next and last, and fits the query."""
    assert len(found(client)) == 25
    first = client.get(INVOICES, params={"pageSize": "20", "conditions": 'invoiceNumber like "CW%"'})
    assert set(first.links) == {"first", "next", "last"}
    rest = first.links["next"]["url"].removeprefix(client.sandbox.url)
    second = client.get(rest)
    assert [invoice["id"] for invoice in second.json()] == list(range(1021, 1031))
    assert set(second.links) == {"first", "prev", "last"}


def test_a_page_past_the_end_is_empty(client: Client) -> None:
    """Past the last page there is an empty list."""
    response = client.get(INVOICES, params={"page": 9, "pageSize": 1000})
    assert (response.status_code, response.json()) == (200, [])


def test_a_large_page_size_is_capped() -> None:
    """At most 1000 records are answered, without a word."""
    with Sandbox([InvoiceSeed("CW-1", Decimal(1))] * 1001) as sandbox, Client(sandbox) as client:
        assert len(found(client, pageSize=5000)) == 1000


@pytest.mark.parametrize(
    "query",
    [
        {"conditions": "invoiceNumber = 5"},
        {"conditions": 'number = "CW-1"'},
        {"conditions": 'invoiceNumber = "CW-1'},
        {"orderBy": "number"},
        {"orderBy": "id up"},
        {"page": 0},
        {"pageSize": "all"},
        {"pageSize": "-1"},
        {"childConditions": "id = 1"},
    ],
)
def test_a_query_that_cannot_be_read_is_refused(client: Client, query: dict[str, str | int]) -> None:
    """A bad parameter is a 400 with a JSON body that says what is wrong."""
    response = client.get(INVOICES, params=query)
    assert response.status_code == 400
    assert set(response.json()) == {"code", "message", "errors"}
