"""The query language of the ``conditions`` parameter."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.sandbox.conditions import ConditionError, parse_conditions
from watcher.sandbox.fields import INVOICE_FIELDS

INVOICE = {
    "id": 1001,
    "invoiceNumber": "CW-34251",
    "type": "Standard",
    "status": {"id": 3, "name": "Closed", "isClosed": True},
    "date": "2016-08-20T18:04:26Z",
    "total": Decimal("346.34"),
    "specialInvoiceFlag": False,
}

NUMBERS = st.text(alphabet="ABCabc0123456789 -_./#", min_size=1, max_size=15)


def matches(text: str) -> bool:
    """True if the invoice of this module meets the conditions."""
    return parse_conditions(text, INVOICE_FIELDS).matches(INVOICE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'invoiceNumber="CW-34251"',
        "invoiceNumber = 'CW-34251'",
        'invoiceNumber = "cw-34251"',
        'invoiceNumber = "CW-*"',
        'invoiceNumber != "CW-1"',
        'invoiceNumber in ("CW-1", "CW-34251")',
        "invoiceNumber IN ('CW-34251')",
        'invoiceNumber not in ("CW-1","CW-2")',
        'invoiceNumber like "CW-%"',
        'invoiceNumber like "*342*"',
        'invoiceNumber not like "XX%"',
        'invoiceNumber contains "w-34"',
        'invoiceNumber > "CW-3"',
        "id = 1001",
        "id in (3, 2, 1001)",
        "id >= 1001 and id <= 1001",
        "total > 346.33 and total < 346.35",
        "total = 346.34",
        "total > -1",
        "status/name = 'closed'",
        "status/isClosed = True",
        "status/isClosed != false",
        "specialInvoiceFlag = False",
        "reference = null",
        "glBatch/id = null",
        "invoiceNumber != null",
        "date = [2016-08-20T18:04:26Z]",
        "date > [2016-08-20]",
        "date < [2016-08-20T20:04:27+02:00]",
        "(id = 1 or id = 1001) and type = 'Standard'",
        "id = 1001 or id = 1 and id = 2",
        "((((id = 1001))))",
    ],
)
def test_holds(text: str) -> None:
    """Every documented operator, value and joining word can be met."""
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        'invoiceNumber = "CW-3425"',
        'invoiceNumber like "CW-3425"',
        'invoiceNumber not like "CW%"',
        'invoiceNumber not in ("CW-34251")',
        'invoiceNumber contains "%"',
        "(id = 1001 or id = 1) and id = 2",
        "status/isClosed = False",
        "total > 346.34",
        "invoiceNumber = null",
        "date >= [2016-08-21]",
    ],
)
def test_does_not_hold(text: str) -> None:
    """Every documented operator can also fail."""
    assert not matches(text)


@pytest.mark.parametrize(
    "text",
    [
        'reference != "x"',
        'reference not in ("x")',
        'reference like "%"',
        'reference contains ""',
        "applyToId < 5",
    ],
)
def test_a_null_field_meets_no_comparison(text: str) -> None:
    """A comparison with a null field is never true, as in SQL."""
    assert not matches(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('invoiceNo = "1"', "invoiceNo is not a recognized name"),
        ('status = "Closed"', "status is not a recognized name"),
        ("invoiceNumber = 34251", "a quoted string"),
        ('id = "1001"', "a bare number"),
        ("status/isClosed = 1", "True or False"),
        ('date = "2016-08-20"', "square brackets"),
        ("date = [today]", "not a date-time"),
        ('invoiceNumber = "CW-1', "position 17"),
        ("id =", "expected a value"),
        ("id = id", "expected a value"),
        ("id = (1)", "expected a value"),
        ("= 1", "expected a field name"),
        ("id 1", "expected an operator"),
        ("id not 1", "after not"),
        ("id , 1", "not an operator"),
        ("id in ()", "expected a value"),
        ("id in (1, )", "expected a value"),
        ("id in (1 2)", "expected )"),
        ("id in (null)", "null cannot"),
        ("id < null", "an order"),
        ("status/isClosed < True", "an order"),
        ("id contains 1", "text field"),
        ("invoiceNumber like null", "text field"),
        ("id = 1 id = 2", "the end"),
        ("id = 1 and", "expected a field name"),
        ("(id = 1", "expected )"),
        ("id = 1)", "the end"),
        ("id = 1; drop", "position 7"),
        ("id = 12abc", "position 6"),
        ("not id = 1", "not a recognized name"),
        ('invoiceNumber like "[C]W%"', r"\[\[\]"),
        ("(" * 51 + "id = 1" + ")" * 51, "nested too deeply"),
    ],
)
def test_refuses(text: str, reason: str) -> None:
    """What is not of the language is refused with the place or the cause."""
    with pytest.raises(ConditionError, match=reason.replace(")", r"\)")):
        parse_conditions(text, INVOICE_FIELDS)


def test_a_bracket_is_written_in_brackets() -> None:
    """A [ in a pattern is written [[] and means itself."""
    condition = parse_conditions('invoiceNumber = "A[[]1"', INVOICE_FIELDS)
    assert condition.matches({"invoiceNumber": "A[1"})


@given(listed=st.lists(NUMBERS, min_size=1, max_size=20), others=st.lists(NUMBERS, max_size=20))
def test_in_matches_exactly_the_listed_numbers(listed: list[str], others: list[str]) -> None:
    """``in`` matches the numbers of its list and no other, and ``not in`` the rest."""
    values = ",".join(f'"{number}"' for number in listed)
    inside = parse_conditions(f"invoiceNumber in ({values})", INVOICE_FIELDS)
    outside = parse_conditions(f"invoiceNumber not in ({values})", INVOICE_FIELDS)
    wanted = {number.lower() for number in listed}
    for number in listed + others:
        assert inside.matches({"invoiceNumber": number}) == (number.lower() in wanted)
        assert outside.matches({"invoiceNumber": number}) == (number.lower() not in wanted)


_NUMBER_LEAF = st.sampled_from("abcd").map(lambda letter: f'invoiceNumber = "{letter}"')
_LIST_LEAF = st.sampled_from(['invoiceNumber in ("a","c")', 'invoiceNumber not in ("a")', "id > 2", "id = null"])


@given(
    text=st.recursive(
        _NUMBER_LEAF | _LIST_LEAF,
        lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(("and", "or")), inner),
        max_leaves=8,
    )
)
def test_only_names_every_number_that_can_match(text: str) -> None:
    """No record matches whose number is missing from ``only``, so an index on it loses nothing."""
    condition = parse_conditions(text, INVOICE_FIELDS)
    allowed = condition.only.get("invoiceNumber", frozenset("abcde"))
    for number in "abcde":
        for identifier in range(5):
            if condition.matches({"invoiceNumber": number, "id": identifier}):
                assert number in allowed
