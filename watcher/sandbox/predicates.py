"""What a condition on a record is, and how simple conditions are made and joined.

What ConnectWise's developer guide leaves open is decided as SQL Server, the database behind the product, does
by default: letter case is ignored, and a comparison with a field that is null is never true, save ``= null``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from watcher.sandbox.errors import Record

Predicate = Callable[[Record], bool]
Reader = Callable[[Record], Any]
"""Takes a record to the comparable value of one field: case-folded text, number, flag, datetime, or None."""


class ConditionError(ValueError):
    """A ``conditions`` text with bad syntax, an unknown field or a value of the wrong kind."""


class Kind(Enum):
    """What a field holds, and so what may be compared with it."""

    TEXT = "a quoted string"
    EXACT = "a quoted string whose letter case counts"
    NUMBER = "a bare number"
    FLAG = "True or False"
    TIME = "a date-time in square brackets"


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed ``conditions`` text.

    Attributes:
        matches: says whether a record meets the condition.
        only: for some text fields, the only values a matching record can have there, as they are compared;
            an index on such a field spares the walk through all records.
    """

    matches: Predicate
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)


def field_reader(path: str, kind: Kind) -> Reader:
    """Return a function that takes a record to the comparable value of one field, None where it is null.

    Args:
        path: the name of the field, references written as ``status/name``.
        kind: what the field holds.
    """
    names = path.split("/")

    def read(record: Record) -> Any:
        value: object = record
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            return moment(value) if kind is Kind.TIME else folded(value, kind)
        return value

    return read


def folded(text: str, kind: Kind) -> str:
    """Return a text as it is compared, in a field of a kind."""
    return text if kind is Kind.EXACT else text.casefold()


def moment(text: str) -> datetime:
    """Return the instant an ISO 8601 text means; without a zone it is UTC (ConnectWise developer guide)."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def one_of(path: str, read: Reader, values: Iterable[Any]) -> Condition:
    """Return the condition that a field holds one of the values; text values are given as they are compared."""
    listed = frozenset(values)
    only = {path: listed} if all(isinstance(value, str) for value in listed) else {}
    return Condition(lambda record: read(record) in listed, only)


def like(read: Reader, text: str, wildcards: str) -> Condition:
    """Return the condition that a text field has a shape.

    Args:
        read: the reader of the field.
        text: the shape, as it is compared; ``[[]`` stands for ``[`` (ConnectWise developer guide).
        wildcards: the characters of the shape that stand for any text.

    Raises:
        ConditionError: a bare ``[``, which would open a character class that is not offered here.
    """
    # A run of wildcards means the same as one, and many would make the matcher try endless ways.
    parts = re.split(f"[{wildcards}]+", text)
    if any("[" in part.replace("[[]", "") for part in parts):
        raise ConditionError("a [ inside a string is written [[]")
    pattern = re.compile(".*".join(re.escape(part.replace("[[]", "[")) for part in parts), re.DOTALL)
    return Condition(lambda record: (value := read(record)) is not None and pattern.fullmatch(value) is not None)


def contains(read: Reader, text: str) -> Condition:
    """Return the condition that a text field holds the text somewhere."""
    return Condition(lambda record: (value := read(record)) is not None and text in value)


def compared(read: Reader, holds: Callable[[Any, Any], bool], bound: Any) -> Condition:
    """Return the condition that ``holds(field, bound)`` is true of a field that is not null."""
    return Condition(lambda record: (value := read(record)) is not None and holds(value, bound))


def is_null(read: Reader) -> Condition:
    """Return the condition that a field is null."""
    return Condition(lambda record: read(record) is None)


def is_not_null(read: Reader) -> Condition:
    """Return the condition that a field is not null."""
    return Condition(lambda record: read(record) is not None)


def negation(condition: Condition, read: Reader) -> Condition:
    """Return the condition that a field is not null and the condition on it does not hold."""
    matches = condition.matches
    return Condition(lambda record: read(record) is not None and not matches(record))


def all_of(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that every one of the conditions holds."""
    if len(conditions) == 1:
        return conditions[0]
    parts = [condition.matches for condition in conditions]
    only: dict[str, frozenset[str]] = {}
    for condition in conditions:
        for path, values in condition.only.items():
            only[path] = only.get(path, values) & values
    return Condition(lambda record: all(matches(record) for matches in parts), only)


def any_of(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that at least one of the conditions holds."""
    if len(conditions) == 1:
        return conditions[0]
    parts = [condition.matches for condition in conditions]
    shared = set.intersection(*(set(condition.only) for condition in conditions))
    only = {path: frozenset().union(*(condition.only[path] for condition in conditions)) for path in shared}
    return Condition(lambda record: any(matches(record) for matches in parts), only)
