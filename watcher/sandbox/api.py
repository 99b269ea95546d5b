"""The routes of the REST API: what each path and method does with the books.

Paths, parameters and success codes are those of OpenAPI 2025.1. The routes stand in one table at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import simplejson

from watcher.sandbox.answers import Answer, Request, json_answer, page_after, page_of
from watcher.sandbox.books import Books
from watcher.sandbox.conditions import Condition, ConditionError, Kind, parse_conditions
from watcher.sandbox.errors import Record, RequestError, invalid_condition, invalid_request
from watcher.sandbox.fields import INVOICE_FIELDS, PAYMENT_FIELDS, ordered, project, without_empty

CODEBASE = "v4_6_release"
"""The codebase in the path of the API (ConnectWise developer guide: on premise, and valid on the cloud)."""

VERSION = "2025.1"
"""The version of the API that is spoken here."""

_SYSTEM: Record = {
    "isCloud": False,
    "serverTimeZone": "Eastern Standard Time",
    "licenseBits": [{"name": "GLInterface", "activeFlag": True}],
    "cloudRegion": "NA",
    "maxWorkFlowRecordsAllowed": 500,
}
_JSON_TYPES = frozenset(
    ("application/json", "application/json-patch+json", "application/vnd.connectwise.com+json", "text/json")
)
# Ignoring these would give a client records it did not ask for; nothing here needs them.
_NOT_OFFERED = ("childConditions", "customFieldConditions")


class Call(NamedTuple):
    """A request that has found its route.

    Attributes:
        books: what it works on.
        request: the request.
        numbers: the ids in its path, in order.
    """

    books: Books
    request: Request
    numbers: tuple[int, ...]


class Route(NamedTuple):
    """A path of the API.

    Attributes:
        template: the path as OpenAPI 2025.1 writes it.
        methods: what each method does.
    """

    template: str
    methods: Mapping[str, Callable[[Call], Answer]]

    def perform(self, books: Books, request: Request, numbers: tuple[int, ...]) -> Answer:
        """Do what the request asks.

        Raises:
            RequestError: 405, the path does not know the method; or whatever the method refuses.
        """
        method = self.methods.get(request.method)
        if method is None:
            message = f"{request.method} is not offered here."
            allowed = ", ".join(sorted(self.methods))
            raise RequestError(405, "MethodNotAllowed", message, headers={"Allow": allowed})
        return method(Call(books, request, numbers))


def find_route(path: str) -> tuple[Route, tuple[int, ...]] | None:
    """Return the route of a path below ``apis/3.0`` with the ids in it, None where there is none."""
    for pattern, route in _ROUTES:
        found = pattern.fullmatch(path)
        if found is not None:
            return route, tuple(int(number) for number in found.groups())
    return None


def _list_invoices(call: Call) -> Answer:
    rules = call.books.rules
    shown = {"balance": rules.balance_in_lists, "credits": rules.credits_in_lists}
    left_out = {name for name in shown if not shown[name]}
    records = _found_invoices(call)
    if left_out:
        records = [{name: record[name] for name in record if name not in left_out} for record in records]
    return _listing(call, records, _invoice_fields(call))


def _count_invoices(call: Call) -> Answer:
    return json_answer(200, {"count": len(_found_invoices(call))})


def _get_invoice(call: Call) -> Answer:
    return _one(call, 200, call.books.invoice(*call.numbers))


def _list_payments(call: Call) -> Answer:
    condition = _condition(call, PAYMENT_FIELDS)
    rows = [row for row in call.books.payments(*call.numbers) if condition.matches(row)]
    return _listing(call, rows, PAYMENT_FIELDS)


def _get_payment(call: Call) -> Answer:
    return _one(call, 200, call.books.payment(*call.numbers))


def _post_payment(call: Call) -> Answer:
    (invoice_id,) = call.numbers
    return _one(call, 201, call.books.add_payment(invoice_id, _body(call)))


def _put_payment(call: Call) -> Answer:
    invoice_id, payment_id = call.numbers
    return _one(call, 200, call.books.replace_payment(invoice_id, payment_id, _body(call)))


def _patch_payment(call: Call) -> Answer:
    invoice_id, payment_id = call.numbers
    return _one(call, 200, call.books.patch_payment(invoice_id, payment_id, _body(call)))


def _delete_payment(call: Call) -> Answer:
    call.books.remove_payment(*call.numbers)
    return Answer(204)


def _system_info(call: Call) -> Answer:
    return _one(call, 200, {**_SYSTEM, "version": call.books.rules.version})


def _found_invoices(call: Call) -> list[Record]:
    condition = _condition(call, _invoice_fields(call))
    if not call.request.parameter("conditions"):
        return call.books.all()
    return call.books.find(condition) if call.books.rules.search_works else []


def _invoice_fields(call: Call) -> Mapping[str, Kind]:
    by_case = call.books.rules.numbers_by_case
    return {**INVOICE_FIELDS, "invoiceNumber": Kind.EXACT} if by_case else INVOICE_FIELDS


def _condition(call: Call, fields: Mapping[str, Kind]) -> Condition:
    _refuse(call, _NOT_OFFERED)
    try:
        return parse_conditions(call.request.parameter("conditions") or "", fields)
    except ConditionError as error:
        raise invalid_condition(f"{error}.") from error


def _refuse(call: Call, names: tuple[str, ...]) -> None:
    for name in names:
        if call.request.parameter(name):
            raise invalid_request(f"{name} is not offered here by the sandbox.")


def _listing(call: Call, records: list[Record], fields: Mapping[str, Kind]) -> Answer:
    request = call.request
    if request.headers.get("pagination-type", "").casefold() == "forward-only":
        page, links = page_after(records, request)
    else:
        page, links = page_of(
            ordered(records, request.parameter("orderBy"), fields), request, call.books.rules.largest_page
        )
    return json_answer(200, [_shown(call, record) for record in page], links)


def _one(call: Call, status: int, record: Record) -> Answer:
    if call.request.method == "GET":
        _refuse(call, ("conditions", *_NOT_OFFERED))
    return json_answer(status, _shown(call, record))


def _shown(call: Call, record: Record) -> Record:
    return project(without_empty(record), call.request.parameter("fields"))


def _body(call: Call) -> object:
    """Return the JSON of a write; one that cannot be read goes into the journal all the same."""
    request = call.request
    try:
        return _json(request)
    except RequestError as error:
        invoice_id, *payment_ids = call.numbers
        payment_id = payment_ids[0] if payment_ids else None
        text = request.body.decode(errors="replace")
        call.books.note_unreadable(request.method, invoice_id, payment_id, text, error.status)
        raise


def _json(request: Request) -> object:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON_TYPES:
        raise RequestError(415, "UnsupportedMediaType", "The body is to be application/json.")
    try:
        content: object = simplejson.loads(request.body.decode(), use_decimal=True)
    except (ValueError, RecursionError, ArithmeticError) as error:
        # The latter two come of nesting and exponents that nobody could mean.
        raise invalid_request(f"The body is not JSON: {error}.") from error
    return content


def _route(template: str, **methods: Callable[[Call], Answer]) -> tuple[re.Pattern[str], Route]:
    # Seen by clients: letter case does not matter in a path, and neither does a slash at its end.
    pattern = re.sub(r"\{\w+\}", "([0-9]{1,18})", template) + "/?"
    return re.compile(pattern, re.IGNORECASE | re.ASCII), Route(template, methods)


_ROUTES = (
    _route("/finance/invoices", GET=_list_invoices),
    _route("/finance/invoices/count", GET=_count_invoices),
    _route("/finance/invoices/{id}", GET=_get_invoice),
    _route("/finance/invoices/{parentId}/payments", GET=_list_payments, POST=_post_payment),
    _route(
        "/finance/invoices/{parentId}/payments/{id}",
        GET=_get_payment,
        PUT=_put_payment,
        PATCH=_patch_payment,
        DELETE=_delete_payment,
    ),
    _route("/system/info", GET=_system_info),
)
