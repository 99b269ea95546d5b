"""Amounts and dates of tables: what is written as declared is read, and nothing else."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from watcher.documents.table_terms import Notation
from watcher.documents.table_values import Amounts, Dates, odd_character, pattern_of

ENGLISH = {"thousands": ","}
GERMAN = {"decimal": ",", "thousands": "."}
FRENCH = {"decimal": ",", "thousands": " ", "currency_sign": "\u20ac"}
SWISS = {"thousands": "\u2019", "currency_sign": "CHF"}


@pytest.mark.parametrize(
    ("notation", "text", "amount"),
    [
        ({}, "346.34", "346.34"),
        ({}, "346.3400", "346.34"),
        ({}, "346.3", "346.3"),
        ({}, "0346", "346"),
        ({}, "-0.00", "0.00"),
        ({}, "123456789012345", "123456789012345"),
        (ENGLISH, "1,346.34", "1346.34"),
        (ENGLISH, "1346.34", "1346.34"),
        (ENGLISH, "-1,234,567.80", "-1234567.80"),
        (GERMAN, "1.346,34", "1346.34"),
        (FRENCH, "1 346,34", "1346.34"),
        (FRENCH, "1\u00a0346,34\u00a0\u20ac", "1346.34"),
        (FRENCH, "1\u202f346,34 \u20ac", "1346.34"),
        (SWISS, "CHF 1\u2019346.34", "1346.34"),
        (SWISS, "1'346.34", "1346.34"),
        ({"thousands": "'"}, "1\u2019346\u2019000.34", "1346000.34"),
        ({"currency_sign": "$"}, "-$5.00", "-5.00"),
        ({"currency_sign": "$"}, "$-5.00", "-5.00"),
    ],
)
def test_amount_in_its_notation_is_read(notation, text, amount):
    """To the cent, with zeros beyond it."""
    assert Amounts(Notation(**notation)).amount(text) == Decimal(amount)
    assert not Amounts(Notation(**notation)).amount(text).is_signed() or text.startswith(("-", "$-"))


@pytest.mark.parametrize(
    ("notation", "text", "said"),
    [
        ({}, "1,346.34", "neither csv.decimal"),
        ({}, "346,34", "neither csv.decimal"),
        (ENGLISH, "1.346,34", "groups of three"),
        (ENGLISH, "13,46.34", "groups of three"),
        (ENGLISH, "1,346,34", "groups of three"),
        (GERMAN, "1,346.34", "groups of three"),
        (GERMAN, "346.34", "groups of three"),
        ({}, "346.345", "at most two decimals"),
        ({}, "+5", "it has a plus sign; write the amount without it"),
        (GERMAN, "+5,00", "it has a plus sign"),
        (SWISS, "13'46.34", "groups of three"),
        ({}, "1\u2019346.34", "neither csv.decimal"),
        ({}, "1e3", "is not accepted"),
        ({}, "1.2E+10", "scientific notation"),
        ({}, "(100.00)", "parentheses"),
        ({}, "100.00-", "a minus sign after the digits"),
        ({}, '"5.00"', "a quotation mark that does not stand directly after the delimiter"),
        ({}, "@SUM(A1)", '"@SUM(A)" is not accepted'),
        ({}, "paid", '"paid" is not accepted'),
        ({}, "5.00 EUR", '"EUR" is not accepted; csv.currency_sign can declare'),
        ({}, "US$5", "csv.currency_sign can declare"),
        ({}, "--5", "at most two decimals"),
        ({}, "\u00a35", "csv.currency_sign"),
        ({"currency_sign": "\u20ac"}, "1 346.34 \u20ac", '" " is neither csv.decimal'),
        ({"currency_sign": "\u20ac"}, "5.00 \u20ac \u20ac", "is not accepted"),
        ({}, "NaN", "is not accepted"),
        ({}, "1 346.34", '" " is neither csv.decimal'),
        ({}, "1234567890123456", "more than 15 digits"),
        ({}, ".50", "at most two decimals"),
        ({}, "5.", "at most two decimals"),
        ({}, "\u0661\u0662", "U+0661 ARABIC-INDIC DIGIT ONE as its 1st character"),
        ({}, "5\u200b0", "U+200B ZERO WIDTH SPACE as its 2nd character"),
        ({}, "\uff15.00", "U+FF15 FULLWIDTH DIGIT FIVE"),
        ({}, '="5.00"', "is a formula"),
        ({}, "9" * 100_000, "more than 15 digits"),
        ({}, "1," * 60_000, "more than 15 digits"),
    ],
)
def test_amount_in_another_notation_is_named(notation, text, said):
    """Nothing is guessed, and the words say what is wrong."""
    amounts = Amounts(Notation(**notation))
    assert amounts.amount(text) is None
    assert said in amounts.why_not(text)
    assert len(amounts.why_not(text)) < 400


@pytest.mark.parametrize(
    ("form", "text", "day"),
    [
        ("iso", "2016-09-22", date(2016, 9, 22)),
        ("iso", "2016-09-22T23:30:00+01:00", date(2016, 9, 22)),
        ("%d/%m/%Y", "22/09/2016", date(2016, 9, 22)),
        ("%d/%m/%Y", "2/9/2016", date(2016, 9, 2)),
        ("%m/%d/%y", "9/22/16", date(2016, 9, 22)),
        ("%m/%d/%y", "9/22/99", date(2099, 9, 22)),
        ("%d.%m.%Y", "22.09.2016", date(2016, 9, 22)),
        ("%Y%m%d", "20160922", date(2016, 9, 22)),
        ("%d%m%Y", "1092016", date(2016, 9, 1)),
        ("%d/%m/%Y %H:%M:%S", "31/12/2016 00:00:00", date(2016, 12, 31)),
        ("%Y-%m-%d %H:%M", "2016-12-31 9:05", date(2016, 12, 31)),
    ],
)
def test_date_in_its_form_is_read(form, text, day):
    """The calendar day as it is written; a time is dropped."""
    assert Dates(form).day(text) == day


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("%d/%m/%Y", "09/22/2016", "are day and month in this order?"),
        ("%d/%m/%Y", "31/02/2016", "no such day"),
        ("%d/%m/%Y", "22/09/16", "not written in this form"),
        ("%d/%m/%y", "22/09/2016", "not written in this form"),
        ("%d/%m/%Y", "22-09-2016", "not written in this form"),
        ("%d/%m/%Y", "2016-09-22", "not written in this form"),
        ("%d/%m/%Y", "42635", "serial number"),
        ("%d/%m/%Y", "42635.5", "serial number"),
        ("%d/%m/%Y", "22/09/2016 10:00", 'a time stands after it; "%d/%m/%Y %H:%M:%S"'),
        ("%d/%m/%Y", "30/12/1899", "is an empty date"),
        ("%d/%m/%Y", "22/09/1816", "1900 to 2099"),
        ("%d/%m/%Y", "22\u221509\u22152016", "U+2215 DIVISION SLASH as its 3rd character"),
        ("%d/%m/%Y", "\u0662/09/2016", "U+0662"),
        ("%d/%m/%Y %H:%M", "22/09/2016 24:00", "is not a date"),
        ("iso", "22/09/2016", "not written in this form"),
        ("iso", "2016-09-22 10:00:00", 'a time stands after it; "%Y-%m-%d %H:%M:%S"'),
        ("iso", "9" * 100_000, "not written in this form"),
        ("%d%m%Y", "9" * 100_000, "not written in this form"),
    ],
)
def test_date_in_another_form_is_named(form, text, said):
    """Nothing is guessed, and the words say what is wrong."""
    dates = Dates(form)
    assert dates.day(text) is None
    assert said in dates.why_not(text)
    assert len(dates.why_not(text)) < 400


@pytest.mark.parametrize(
    "form", ["", "%d/%m", "%Y", "%d/%m/%Y/%y", "%d %b %Y", "%d/%d/%m/%Y", "%x", "%d/%m/%", "%%d%m%Y"]
)
def test_form_of_dates_that_is_unknown_is_refused(form):
    """No locale, no names of months. A form without a year is one: the period of the file gives it."""
    if form == "%d/%m":
        assert pattern_of(form)
        return
    with pytest.raises(ValueError, match=r"known are|must stand in it"):
        pattern_of(form)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CW-1", None),
        ("CW\u20131", "U+2013 EN DASH as its 3rd character"),
        ("\u0421W-1", "U+0421 CYRILLIC CAPITAL LETTER ES as its 1st character"),
        ("CW\x07", "U+0007 (a control character) as its 3rd character"),
        ("x" * 10 + "\u00e9", "as its 11th character"),
        ("x" * 21 + "\u00e9", "as its 22nd character"),
    ],
)
def test_character_that_looks_like_another_is_named(text, said):
    """By its number, its name and its place."""
    found = odd_character(text)
    assert found is None if said is None else said in found
