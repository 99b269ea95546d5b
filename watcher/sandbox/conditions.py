"""The query language of the ``conditions`` parameter: text in, predicate out.

ConnectWise developer guide: strings stand in quotes, integers and ``True``/``False`` bare, date-times in
square brackets; a reference is reached with ``/``; the operators are ``= != < <= > >= contains like in not``,
joined by ``and``, ``or`` and parentheses. No way to write a quote inside a string of the same quotes is
documented, so there is none here. ``parse_conditions`` is the entry; ``predicates`` says what each operator
means.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from watcher.sandbox.predicates import (
    Condition,
    ConditionError,
    Kind,
    Reader,
    all_of,
    any_of,
    compared,
    contains,
    field_reader,
    folded,
    is_not_null,
    is_null,
    like,
    moment,
    negation,
    one_of,
)

__all__ = ["Condition", "ConditionError", "Kind", "field_reader", "parse_conditions"]


def parse_conditions(text: str, fields: Mapping[str, Kind]) -> Condition:
    """Parse a ``conditions`` text over records with the given fields.

    Args:
        text: such as ``invoiceNumber in ("CW-1","CW-2") and status/isClosed = True``; blank means everything.
        fields: every field that may be named, references written as ``status/name``, with its kind.

    Returns:
        The condition, to be tried on any number of records.

    Raises:
        ConditionError: the text cannot be read, or names a field or uses a value that does not fit.
    """
    if not text.strip():
        return Condition(lambda _: True)
    return _Parser(_tokens(text), fields).whole()


class _Token(NamedTuple):
    """A piece of the text: what it is, how it is written, where it starts (counted from 1)."""

    type: str
    text: str
    position: int


class _Literal(NamedTuple):
    """A value in the text; its kind is None for ``null``."""

    kind: Kind | None
    value: Any


_TOKEN = re.compile(
    r"""(?P<text>"[^"]*"|'[^']*')
      | (?P<time>\[[^\]]*\])
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w/]*)
      | (?P<sign><=|>=|!=|[=<>(),])
      | (?P<space>\s+)""",
    re.VERBOSE | re.ASCII,
)
_ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NAMED_VALUES = {
    "null": _Literal(None, None),
    "true": _Literal(Kind.FLAG, True),
    "false": _Literal(Kind.FLAG, False),
}
_TEXTS = (Kind.TEXT, Kind.EXACT)
# A hostile text of two thousand parentheses would otherwise exhaust the stack.
_DEEPEST_NESTING = 50


def _tokens(text: str) -> list[_Token]:
    tokens = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise ConditionError(f"cannot read the conditions from position {position + 1}: {text[position:][:20]}")
        if found.lastgroup != "space":
            tokens.append(_Token(found.lastgroup, found.group(), position + 1))
        position = found.end()
    tokens.append(_Token("end", "", len(text) + 1))
    return tokens


class _Parser:
    """Recursive descent: whole > alternatives (or) > conjunction (and) > operand > comparison."""

    def __init__(self, tokens: list[_Token], fields: Mapping[str, Kind]) -> None:
        self._tokens = tokens
        self._fields = fields
        self._next = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._alternatives()
        if self._peek().type != "end":
            self._fail("and, or, or the end")
        return condition

    def _alternatives(self) -> Condition:
        conditions = [self._conjunction()]
        while self._accept("or"):
            conditions.append(self._conjunction())
        return any_of(conditions)

    def _conjunction(self) -> Condition:
        conditions = [self._operand()]
        while self._accept("and"):
            conditions.append(self._operand())
        return all_of(conditions)

    def _operand(self) -> Condition:
        if not self._accept("("):
            return self._comparison()
        self._depth += 1
        if self._depth > _DEEPEST_NESTING:
            raise ConditionError("the parentheses are nested too deeply")
        condition = self._alternatives()
        self._expect(")")
        self._depth -= 1
        return condition

    def _comparison(self) -> Condition:
        name = self._take("word", "a field name").text
        kind = self._fields.get(name)
        if kind is None:
            raise ConditionError(f"{name} is not a recognized name")
        read = field_reader(name, kind)
        negated = self._accept("not")
        if self._accept("in"):
            condition = one_of(name, read, self._listed(name, kind))
        elif self._accept("like"):
            condition = like(read, self._text_for(name, kind, "like"), "%*")
        elif self._accept("contains"):
            condition = contains(read, self._text_for(name, kind, "contains"))
        elif negated:
            self._fail("in, like or contains after not")
        else:
            return self._relation(name, kind, read)
        return negation(condition, read) if negated else condition

    def _relation(self, name: str, kind: Kind, read: Reader) -> Condition:
        sign = self._take("sign", "an operator").text
        literal = self._literal(name, kind)
        if sign in ("=", "!="):
            if literal.kind is None:
                return is_null(read) if sign == "=" else is_not_null(read)
            # ConnectWise developer guide: string values accept *, shown on =.
            shaped = literal.kind in _TEXTS and any(mark in literal.value for mark in "*[")
            equal = like(read, literal.value, "*") if shaped else one_of(name, read, [literal.value])
            return equal if sign == "=" else negation(equal, read)
        if sign not in _ORDERINGS:
            raise ConditionError(f"{sign} is not an operator")
        if literal.kind in (None, Kind.FLAG):
            raise ConditionError(f"{sign} needs a value with an order for {name}")
        return compared(read, _ORDERINGS[sign], literal.value)

    def _listed(self, name: str, kind: Kind) -> list[Any]:
        self._expect("(")
        literals = [self._literal(name, kind)]
        while self._accept(","):
            literals.append(self._literal(name, kind))
        self._expect(")")
        if any(literal.kind is None for literal in literals):
            raise ConditionError(f"null cannot stand in the list for {name}")
        return [literal.value for literal in literals]

    def _text_for(self, name: str, kind: Kind, word: str) -> str:
        literal = self._literal(name, kind)
        if literal.kind not in _TEXTS:
            raise ConditionError(f"{word} needs a text field and a quoted string, not {name}")
        return str(literal.value)

    def _literal(self, name: str, kind: Kind) -> _Literal:
        token = self._peek()
        self._next += 1
        literal: _Literal | None = None
        if token.type == "text":
            literal = _Literal(kind if kind in _TEXTS else Kind.TEXT, folded(token.text[1:-1], kind))
        elif token.type == "number":
            literal = _Literal(Kind.NUMBER, Decimal(token.text))
        elif token.type == "time":
            try:
                literal = _Literal(Kind.TIME, moment(token.text[1:-1]))
            except ValueError as error:
                raise ConditionError(f"{token.text} is not a date-time such as [2016-08-20T18:04:26Z]") from error
        elif token.type == "word":
            literal = _NAMED_VALUES.get(token.text.casefold())
        if literal is None:
            self._next -= 1
            self._fail("a value")
        if literal.kind not in (None, kind):
            raise ConditionError(f"{name} is compared with {kind.value}, not with {token.text}")
        return literal

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _accept(self, word: str) -> bool:
        token = self._peek()
        accepted = token.type in ("word", "sign") and token.text.casefold() == word
        self._next += accepted
        return accepted

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            self._fail(word)

    def _take(self, token_type: str, wanted: str) -> _Token:
        token = self._peek()
        if token.type != token_type:
            self._fail(wanted)
        self._next += 1
        return token

    def _fail(self, wanted: str) -> NoReturn:
        token = self._peek()
        found = token.text or "the end"
        raise ConditionError(f"expected {wanted} at position {token.position} of the conditions, found {found}")
