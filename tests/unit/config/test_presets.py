"""The settings for tables of accounting systems: each reads its sample, and leaves out what is no payment."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from watcher.config import presets
from watcher.config.load import load
from watcher.config.writing import template
from watcher.documents.formats import PaymentDocuments, read
from watcher.errors import ConfigurationError
from watcher.payments.model import Misfit

SAMPLES = Path(__file__).parents[2] / "data" / "formats"


def payments(*rows):
    """Return rows with amounts and days."""
    return [(number, Decimal(amount), date(*day), external_id) for number, amount, day, external_id in rows]


EXPECTED = {
    "sage50us": payments(
        ("CW-1", "100.00", (2016, 9, 22), "1041 / CW-1"),
        ("CW-2", "50.00", (2016, 9, 22), "1041 / CW-2"),
        ("CW-1", "20.00", (2016, 12, 1), "1043 / CW-1"),
    ),
    "myob": payments(
        ("CW-1", "1346.34", (2016, 9, 22), "CR000101 / 2016-09-22 / CW-1"),
        ("CW-2", "50.00", (2016, 9, 22), "CR000101 / 2016-09-22 / CW-2"),
        ("CW-3", "-5.00", (2016, 10, 3), "CR000103 / 2016-10-03 / CW-3"),
    ),
    "datev": payments(
        ("CW-1", "1346.34", (2016, 9, 22), "CW-1 / 2016-09-22 / 1346.34 / Zahlung M\u00fcller"),
        ("CW-2", "50.00", (2015, 12, 31), "CW-2 / 2015-12-31 / 50.00 / Zahlung"),
        ("CW-1", "3.00", (2015, 12, 1), "CW-1 / 2015-12-01 / 3.00 / Zahlung M\u00fcller"),
    ),
    "bc": payments(
        ("CW-1", "1000.00", (2016, 9, 22), "205"),
        ("CW-1", "246.34", (2016, 10, 3), "301"),
    ),
    "xero-csv": payments(
        ("CW-1", "1346.34", (2016, 9, 22), ""),
        ("CW-2", "20.00", (2016, 9, 23), ""),
    ),
}


@pytest.fixture
def settings_of(tmp_path):
    """Return a function that writes a configuration as init does, and loads it."""

    def write(name):
        file = tmp_path / f"{name}.toml"
        file.write_text(template(tmp_path, presets.preset(name)), encoding="utf-8")
        return load(file, folders=True)

    return write


def test_every_preset_has_a_sample():
    """A preset without one is not tried."""
    assert (
        sorted(EXPECTED)
        == [name for name in presets.names() if presets.preset(name).is_table]
        == sorted(path.stem for path in SAMPLES.glob("*.csv"))
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_is_read_as_the_preset_says(settings_of, name):
    """The file that init writes is usable as it is, and its columns, notation and rows fit the export."""
    settings = settings_of(name)
    terms = settings.table.terms(negative_amounts=presets.preset(name).needs_each)
    found = read(PaymentDocuments(table=terms).of((SAMPLES / f"{name}.csv").read_bytes()))
    assert not [one for one in found if isinstance(one, Misfit)]
    assert [(one.invoice_number, one.amount, one.date_paid, one.external_id) for one in found] == EXPECTED[name]
    assert settings.inbox.takes_tables
    assert settings.inbox.pattern == ("*.txt" if name == "myob" else "*.csv")


@pytest.mark.parametrize("name", EXPECTED)
def test_preset_says_what_to_export_and_what_is_not_sure(name):
    """And it has nothing but what is read; what is written explains itself."""
    chosen = presets.preset(name)
    text = template(Path("/srv"), chosen)
    for sentence in (chosen.title, *chosen.export, *chosen.leaves_out, *chosen.unchecked):
        assert sentence in text
    content = tomllib.loads((Path(presets.__file__).parents[1] / "formats" / f"{name}.toml").read_text("utf-8"))
    assert set(content) - {"csv", "inbox"} == {"title", "kind", "needs_each", "export", "leaves_out", "unchecked"}
    assert content["needs_each"] is (content["kind"] == "event")


def test_preset_that_is_unknown_is_named_with_those_that_are_known():
    """No file outside of the folder is read."""
    for name in ("nope", "../x", ""):
        with pytest.raises(ConfigurationError, match=r"Known are bc, business-central, .*xero-csv"):
            presets.preset(name)
