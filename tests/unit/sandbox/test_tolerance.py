"""What ConnectWise takes although its guide does not say so, and the words it uses: public clients rely on both."""

from __future__ import annotations

import pytest
from support.sandbox import API, INVOICES, Client, found, numbers

PAYMENTS = f"{INVOICES}/1005/payments"


def test_links_put_page_last(client: Client) -> None:
    """The page is the last parameter of a link, wherever it stood and however it was written."""
    response = client.get(f"{INVOICES}?PAGE=1&pageSize=20")
    assert response.links["next"]["url"] == f"{client.sandbox.url}{INVOICES}?pageSize=20&page=2"


def test_links_lead_back_through_tls(client: Client) -> None:
    """What stands in front says that it speaks TLS; a client that follows the link stays there."""
    response = client.get(INVOICES, headers={"X-Forwarded-Proto": "https"})
    assert response.links["next"]["url"].startswith("https://127.0.0.1:")


@pytest.mark.parametrize("path", [f"{INVOICES}/1001", "/v4_6_release/apis/3.0/system/info"])
@pytest.mark.parametrize("name", ["conditions", "childConditions", "customFieldConditions"])
def test_no_condition_on_a_single_record_is_passed_over(client: Client, path: str, name: str) -> None:
    """It would seem to hold whatever it says, so it is refused."""
    response = client.get(path, params={name: "id = 9"})
    assert (response.status_code, response.json()["code"]) == (400, "InvalidRequest")


def test_parameter_names_have_any_letter_case(client: Client) -> None:
    """Size, order, fields and conditions count however their names are written."""
    query = {"PAGESIZE": 2, "orderby": "id desc", "Fields": "invoiceNumber", "CONDITIONS": "id < 1031"}
    assert found(client, **query) == [{"invoiceNumber": "CW-30"}, {"invoiceNumber": "CW-29"}]
    assert client.get(f"{INVOICES}/count", params={"Conditions": "id = 1001"}).json() == {"count": 1}


@pytest.mark.parametrize(
    "name", ["childconditions", "CHILDCONDITIONS", "customfieldconditions", "pageid", "Conditions"]
)
def test_a_refusal_does_not_hang_on_letter_case(client: Client, name: str) -> None:
    """What is not offered, or cannot be read, is refused however its name is written."""
    assert client.get(INVOICES, params={name: "1"}).status_code == 400


@pytest.mark.parametrize("name", ["conditions", "childConditions", "customfieldconditions"])
@pytest.mark.parametrize("path", [f"{INVOICES}/1031", f"{INVOICES}/1031/payments/500001", f"{API}/system/info"])
def test_conditions_on_one_record_are_refused(client: Client, path: str, name: str) -> None:
    """What would be passed over in silence is refused; other parameters do no harm."""
    assert client.get(path, params={name: "id = 1"}).status_code == 400
    assert client.get(path, params={"page": 1, "pageSize": 5}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{INVOICES}/",
        INVOICES.replace("v4_6_release", "v4_6_Release"),
        INVOICES.replace("apis", "APIs"),
        INVOICES.replace("finance/invoices", "Finance/INVOICES"),
        f"{INVOICES}/1031/Payments/",
        f"{INVOICES}/1031/payments/500001/",
        f"{INVOICES}/Count/",
        f"{API}/System/Info/",
        "/Login/CompanyInfo/SANDBOX/",
    ],
)
def test_paths_have_any_letter_case_and_may_end_with_a_slash(client: Client, path: str) -> None:
    """The codebase, the endpoint and the look-up of a company are found however they are written."""
    response = client.get(path)
    assert (response.status_code, response.json() is None) == (200, False), response.text


def test_requests_are_counted_under_one_name(client: Client) -> None:
    """The books count a path once, however it is written."""
    client.get(f"{INVOICES}/")
    client.get(INVOICES.replace("finance", "FINANCE"))
    assert client.sandbox.books()["requests"] == {"GET /finance/invoices": 2}


@pytest.mark.parametrize(
    "condition",
    [
        "agreement/id = 1",
        "agreement/name = 'x'",
        "project/id = 1",
        "ticket/id = 1",
        "taxCode/name = 'x'",
        "billingTerms/id = 1",
        "territory/id = 1",
        "currency/numberOfDecimals = 3",
        "currency/rightAlign = True",
        "_info/enteredBy = 'x'",
        "location/id = 9",
    ],
)
def test_every_reference_of_an_invoice_can_be_searched(client: Client, condition: str) -> None:
    """A condition on a reference that no invoice here has finds nothing; it is not refused."""
    assert numbers(client, conditions=condition) == []


def test_location_and_department_are_found(client: Client) -> None:
    """The references to location and department agree with their ids."""
    assert len(numbers(client, conditions="location/id = 2 and department/id = 10 and locationId = 2")) == 25


@pytest.mark.parametrize(
    "condition",
    [
        "NOT (id = 1001)",
        "id = 1001 and not (id = 1002)",
        "type = Standard",
        "invoiceNumber = 5",
        "status/name in (Sent)",
    ],
)
def test_conditions_that_no_public_client_sends_are_refused(client: Client, condition: str) -> None:
    """Whether ConnectWise takes them is unknown. They are refused in its own way, and never misread."""
    response = client.get(INVOICES, params={"conditions": condition})
    assert response.status_code == 400
    assert response.json()["code"] == "ApiFindCondition"


def test_an_unknown_name_in_conditions_is_named(client: Client) -> None:
    """The code and the words are those of the live API."""
    response = client.get(INVOICES, params={"conditions": "invoiceDate > [2025-01-01]"})
    assert response.status_code == 400
    assert response.json()["code"] == "ApiFindCondition"
    assert response.json()["message"] == "invoiceDate is not a recognized name."


def test_a_patch_that_is_no_array_is_refused_in_known_words(client: Client) -> None:
    """The words are those of the live API."""
    response = client.patch(f"{INVOICES}/1031/payments/500001", json={"op": "replace", "path": "amount", "value": 1})
    assert (response.status_code, response.json()["message"]) == (400, "expected array format")


def test_empty_fields_are_left_out(client: Client) -> None:
    """A field without a value does not stand in an answer, neither in a list nor alone nor after a write."""
    posted = client.post(PAYMENTS, json={"amount": 1})
    row = posted.json()
    assert not {"credit", "balance", "paymentDate", "glBatchID"} & row.keys()
    assert client.get(PAYMENTS).json() == [row]
    assert client.get(f"{PAYMENTS}/{row['id']}").json() == row
    assert "null" not in client.get(INVOICES).text


@pytest.mark.parametrize("fields", ["*", "nothing,neither", "attention"])
def test_an_answer_has_an_id_at_least(client: Client, fields: str) -> None:
    """Where fields names nothing that the record has, the id is answered."""
    assert found(client, fields=fields, pageSize=1) == [{"id": 1001}]
    assert client.get(f"{INVOICES}/1001", params={"fields": fields}).json() == {"id": 1001}


def test_pages_go_forward_by_id(client: Client) -> None:
    """With forward-only paging a link leads to the records of higher ids, until a page is short."""
    path, ids = f"{INVOICES}?pageSize=20&page=7", []
    while True:
        response = client.get(path, headers={"pagination-type": "forward-only"})
        ids += [invoice["id"] for invoice in response.json()]
        path = response.links["next"]["url"].removeprefix(client.sandbox.url)
        if len(response.json()) < 20:
            break
    assert ids == list(range(1001, 1032))
    assert client.get(path, headers={"pagination-type": "Forward-Only"}).json() == []


@pytest.mark.parametrize("query", [{"orderBy": "id"}, {"pageId": "x"}])
def test_pages_that_go_forward_have_no_other_order(client: Client, query: dict[str, str]) -> None:
    """An order is refused with forward-only paging, and so is a pageId that is no id."""
    response = client.get(INVOICES, params=query, headers={"pagination-type": "forward-only"})
    assert response.status_code == 400


def test_an_unknown_field_of_a_payment_is_passed_over(client: Client) -> None:
    """A body may hold fields that a payment does not have; they are not kept."""
    posted = client.post(PAYMENTS, json={"amount": 1, "paidOn": "2016-09-22"})
    assert (posted.status_code, "paidOn" in posted.json()) == (201, False)


def test_a_patch_operation_has_any_letter_case(client: Client) -> None:
    """Replace and REMOVE are understood."""
    operations = [
        {"op": "Replace", "path": "amount", "value": 2},
        {"op": "REMOVE", "path": "paymentDate"},
    ]
    patched = client.patch(f"{INVOICES}/1031/payments/500001", json=operations)
    assert (patched.status_code, patched.json()["amount"]) == (200, 2)


def test_a_body_may_be_text_json(client: Client) -> None:
    """The older name of the media type is taken."""
    posted = client.post(PAYMENTS, data='{"amount": 1}', headers={"Content-Type": "text/json"})
    assert posted.status_code == 201


@pytest.mark.parametrize(
    ("accepted", "version"),
    [
        ("application/vnd.connectwise.com+json; version=2020.1", "2020.1"),
        ("application/json, application/vnd.connectwise.com+json;version=2024.10", "2024.10"),
        ("application/vnd.connectwise.com+json", "2025.1"),
        ("application/vnd.connectwise.com+json; version=latest", "2025.1"),
        ("application/json", "2025.1"),
    ],
)
def test_the_version_asked_for_is_echoed(client: Client, accepted: str, version: str) -> None:
    """The content type names the version of the Accept header, in refusals too."""
    for path in (INVOICES, f"{INVOICES}/9"):
        response = client.get(path, headers={"Accept": accepted})
        assert response.headers["Content-Type"] == f"application/vnd.connectwise.com+json; version={version}"
