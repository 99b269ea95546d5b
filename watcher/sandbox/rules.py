"""What the sandbox does where nobody has proved what ConnectWise does. Each rule can be bent by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args, get_origin, get_type_hints


class RuleError(ValueError):
    """A rule that does not exist, or a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, each with what the sandbox does unless told.

    Attributes:
        second_payment: a POST to an invoice that has a payment: ``refused``, ``accepted``, or ``replaces`` its amount.
        invoice_balance: ``invoiceBalance`` in the answer to a write: ``true``, ``missing``, or ``stale`` (as it was
            before).
        balance_in_lists: invoices show their ``balance``.
        credits_in_lists: invoices show their ``credits``.
        total_without_tax: ``total`` leaves the sales tax out; the balance has it.
        search_lag_seconds: a search with conditions shows invoices as they were so long ago. An invoice by its id, and
            its payments, are always fresh.
        search_works: a search with conditions finds something.
        numbers_by_case: ``invoiceNumber`` is compared with its letter case.
        date_shift_days: a date comes back so many days later than it was sent.
        date_by_server: a payment without a date gets today's.
        date_removal: the operation ``remove`` on the date is ``allowed``, ``refused`` (400), ``fails`` (500) or is
            ``ignored``.
        empty_date: an empty text in place of a date takes it off; otherwise it is refused.
        change_fails: every PATCH is answered by 500; a PUT of the record works.
        late_seconds: a write gets no answer and is carried out so much later; 0 for no such thing.
        refuses_all: every write is answered by this status, 403 or 500; 0 for none.
        refuses: every write on the invoices of these numbers is answered by 403.
        fails: every write on the invoices of these numbers is answered by 500.
        hides: the payments of the invoices of these numbers cannot be listed (500).
    """

    second_payment: Literal["refused", "accepted", "replaces"] = "refused"
    invoice_balance: Literal["true", "missing", "stale"] = "true"
    balance_in_lists: bool = True
    credits_in_lists: bool = True
    total_without_tax: bool = False
    search_lag_seconds: float = 0.0
    search_works: bool = True
    numbers_by_case: bool = False
    date_shift_days: int = 0
    date_by_server: bool = False
    date_removal: Literal["allowed", "refused", "fails", "ignored"] = "allowed"
    empty_date: bool = False
    change_fails: bool = False
    late_seconds: float = 0.0
    refuses_all: int = 0
    refuses: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()


def read_rules(given: Sequence[str]) -> Rules:
    """Return the rules that a command line bends.

    Args:
        given: each ``NAME=VALUE``; several invoice numbers are separated by commas.

    Raises:
        RuleError: there is no such rule, or it cannot have the value.
    """
    values: dict[str, object] = {}
    for text in given:
        name, _, value = text.partition("=")
        values[name.strip()] = value.strip()
    return rules_of(values)


def rules_of(values: Mapping[str, object]) -> Rules:
    """Return rules from values by name, each as JSON or as text.

    Raises:
        RuleError: there is no such rule, or it cannot have the value.
    """
    kinds = get_type_hints(Rules)
    if unknown := sorted(values.keys() - kinds.keys()):
        known = ", ".join(field.name for field in fields(Rules))
        raise RuleError(f"{', '.join(unknown)}: there is no such rule. There are: {known}")
    return Rules(**{name: _value(name, kinds[name], value) for name, value in values.items()})  # type: ignore[arg-type]


def _value(name: str, kind: object, value: object) -> object:
    if kind is bool:
        chosen = {"true": True, "yes": True, "false": False, "no": False}.get(str(value).lower())
        if chosen is None:
            raise RuleError(f"{name}: {value} is not true or false")
        return chosen
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise RuleError(f"{name}: {value} is not one of {', '.join(get_args(kind))}")
        return value
    if get_origin(kind) is tuple:
        parts = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
        return tuple(str(part).strip() for part in parts if str(part).strip())
    try:
        number = Decimal(str(value))
        return int(number) if kind is int else float(number)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise RuleError(f"{name}: {value} is not a number") from error
