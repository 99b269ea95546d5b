"""The rules that can be bent: where one ConnectWise differs from another, or where it is not proved what it does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Literal, get_args, get_origin, get_type_hints

_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_LONGEST_SECONDS = 1e9


class RuleError(ValueError):
    """A rule that there is not, or a value that a rule cannot have."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the ConnectWise behaves that the sandbox plays; the defaults are those of a plain one.

    A value may be given as text, as the command line does: ``"yes"`` for true, ``"CW-1,CW-2"`` for several numbers.

    Attributes:
        version: what ``/system/info`` gives as the version of ConnectWise.
        total_without_tax: ``total`` of an invoice leaves the sales tax out; the balance has it.
        total_without_down_payment: ``total`` of an invoice is less by the down payment, as the balance is.
        total_decimals: with 3 or 4, a total of whole cents gets one unit of the last decimal more: 346.34 becomes
            346.3401.
        balance_in_lists: lists of invoices show ``balance``; an invoice by its id always does.
        credits_in_lists: lists of invoices show ``credits``; an invoice by its id always does.
        search_lag_seconds: lists and counts with conditions show invoices as they were so long ago. An invoice by
            its id, and the payments of an invoice, are always fresh.
        search_works: lists and counts with conditions find something.
        largest_page: the most records of a page of a list, whatever is asked for.
        numbers_by_case: letter case counts when an invoice number is searched for.
        second_payment: the POST of a second payment is ``refused``, is ``accepted``, or ``replaces`` the first, whose
            id stays.
        overpayment: a payment of more than is to be paid is ``refused``, is ``accepted``, or is ``cut`` to what is to
            be paid.
        zero_accepted: a payment can be made or changed to 0.00. Rows of 0.00 can be there from the start in any case.
        invoice_balance: ``invoiceBalance`` in the answer to a write is ``true``, ``missing``, ``stale``, as it was
            before, or ``low``, less by the amount of the payment once more.
        id_in_answers: the answer to a write shows the id of the payment.
        change_fails: every PATCH is answered with 500, while PUT works.
        refusal_status: the status of the answer to a write that breaks a rule.
        refuses_all: every write is answered with this status; 0: none is.
        refuses: the numbers of invoices on which every write is answered with 403.
        fails: the numbers of invoices on which every write is answered with 500.
        batched: the numbers of invoices whose payments are in a closed GL batch: they bear its id, and can be neither
            changed nor removed.
        hides: the numbers of invoices whose payments cannot be listed.
        hides_status: what such a list is answered with.
        date_shift_days: a payment date that is sent is kept so many days later.
        date_by_server: a payment that is written without a date gets today's.
        date_removal: a patch operation that removes the date is ``allowed``, is ``refused`` with 400, ``fails`` with
            500, or is ``ignored`` while the rest is done.
        empty_date: an empty text as date clears it; otherwise it is refused with 400.
        late_seconds: every write is carried out so long after it came, and its answer is lost; 0: at once.
        late_answer: what such a write is answered with: the connection is ``closed``, or a gateway says ``504``.

    Raises:
        RuleError: a value is none that the rule can have; all such values are named.
    """

    version: str = "v2025.1.100000"
    total_without_tax: bool = False
    total_without_down_payment: bool = False
    total_decimals: Literal[2, 3, 4] = 2
    balance_in_lists: bool = True
    credits_in_lists: bool = True
    search_lag_seconds: float = 0.0
    search_works: bool = True
    largest_page: Literal[1000, 100, 25] = 1000
    numbers_by_case: bool = False
    second_payment: Literal["refused", "accepted", "replaces"] = "refused"
    overpayment: Literal["refused", "accepted", "cut"] = "refused"
    zero_accepted: bool = True
    invoice_balance: Literal["true", "missing", "stale", "low"] = "true"
    id_in_answers: bool = True
    change_fails: bool = False
    refusal_status: Literal[400, 500] = 400
    refuses_all: Literal[0, 403, 500] = 0
    refuses: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    batched: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    hides_status: Literal[403, 500] = 500
    date_shift_days: int = 0
    date_by_server: bool = False
    date_removal: Literal["allowed", "refused", "fails", "ignored"] = "allowed"
    empty_date: bool = False
    late_seconds: float = 0.0
    late_answer: Literal["closed", "504"] = "closed"

    def __post_init__(self) -> None:
        """Take every value to its proper type."""
        faults = []
        for name, kind in _kinds().items():
            given = getattr(self, name)
            try:
                object.__setattr__(self, name, _read(kind, given))
            except ValueError:
                faults.append(f"{name} is {given!r}, not {_allowed(kind)}")
        if faults:
            raise RuleError("; ".join(faults))

    def bent(self) -> dict[str, object]:
        """Return the rules whose values are not the plain ones, by name."""
        plain = Rules()
        return {name: getattr(self, name) for name in _kinds() if getattr(self, name) != getattr(plain, name)}

    def assignments(self) -> list[str]:
        """Return the same as ``NAME=VALUE``, as the command line takes them."""
        return [f"{name}={_written(value)}" for name, value in self.bent().items()]


def rules_of(report: object) -> Rules:
    """Return the rules of the ConnectWise that a report describes.

    Args:
        report: the parsed JSON: ``rules`` holds those that were found to differ, by the names of ``Rules``, and
            ``version`` the version of ConnectWise. Other keys are passed over.

    Raises:
        RuleError: it is no such report, names a rule that there is not, or gives one a value that it cannot have.
    """
    found = report.get("rules") if isinstance(report, Mapping) else None
    if not isinstance(report, Mapping) or not isinstance(found, Mapping):
        raise RuleError("this is no report of a ConnectWise: it has no object rules")
    return _made({**found, "version": report["version"]} if "version" in report else found)


def read_rules(assignments: Iterable[str], start: Mapping[str, object] | None = None) -> Rules:
    """Return rules as they are written on a command line.

    Args:
        assignments: each ``NAME=VALUE``; the last one of a name counts.
        start: rules that hold unless an assignment says otherwise, by name.

    Raises:
        RuleError: an assignment cannot be read, or the rules cannot be such; the message lists what there is.
    """
    try:
        return _made({**(start or {}), **dict(_assigned(text) for text in assignments)})
    except RuleError as error:
        listed = "\n".join(f"  {name} = {_allowed(kind)}" for name, kind in _kinds().items())
        raise RuleError(f"{error}.\nThe rules are:\n{listed}") from error


def _assigned(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise RuleError(f"{text} is not NAME=VALUE")
    return name.strip(), value.strip()


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _made(values: Mapping[str, object]) -> Rules:
    unknown = sorted(str(name) for name in values if name not in _kinds())
    if unknown:
        raise RuleError(f"there is no rule {', '.join(unknown)}")
    return Rules(**values)  # type: ignore[arg-type]


@cache
def _kinds() -> dict[str, object]:
    """Return the type of each rule by its name, in their order."""
    hints = get_type_hints(Rules)
    return {entry.name: hints[entry.name] for entry in fields(Rules)}


def _choices(kind: object) -> dict[str, object]:
    """Return the values that a rule of a type can have by how they are written; none if there are endless ones."""
    if kind is bool:
        return {"yes": True, "no": False, "true": True, "false": False}
    return {str(value): value for value in get_args(kind)} if get_origin(kind) is Literal else {}


def _allowed(kind: object) -> str:
    """Return in words which values a rule of a type can have."""
    if kind is int:
        return "a whole number"
    if kind is float:
        return "a number of seconds, 0 or more"
    if kind is str:
        return "a text"
    return " | ".join(_choices(kind)) or "invoice numbers, such as CW-1,CW-2"


def _read(kind: object, value: object) -> object:
    """Return a value as a rule of a type holds it.

    Raises:
        ValueError: the rule cannot have the value.
    """
    text = str(value).strip()
    if choices := _choices(kind):
        if text.lower() not in choices:
            raise ValueError(text)
        return choices[text.lower()]
    if kind is float:
        return _seconds(text)
    if kind is str or kind is int:
        if not (_WHOLE.fullmatch(text) if kind is int else text and isinstance(value, str)):
            raise ValueError(text)
        return int(text) if kind is int else text
    return _numbers(value)


def _seconds(text: str) -> float:
    seconds = float(text)
    # What is not a number compares as false.
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise ValueError(text)
    return seconds


def _numbers(value: object) -> tuple[str, ...]:
    numbers = value.split(",") if isinstance(value, str) else value
    if not isinstance(numbers, (list, tuple)) or not all(isinstance(number, str) for number in numbers):
        raise ValueError(value)
    return tuple(number.strip() for number in numbers if number.strip())
