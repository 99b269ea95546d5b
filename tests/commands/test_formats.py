"""``formats``: what can be exported from which accounting system, and exports that go the whole way."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.program import command

from watcher.config import presets

SAMPLES = Path(__file__).parents[1] / "data" / "formats"


def test_formats_are_listed_with_all_that_is_known_of_them():
    """What to export, whether it needs each, what is left out, and what is not sure, at 80 columns."""
    ended = command("formats")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) < 80
    text = " ".join(ended.out.split())
    for name in presets.names():
        found = presets.preset(name)
        assert f"{name} {found.title}" in text
        for sentence in (*found.export, *found.leaves_out, *found.unchecked):
            assert sentence in text


def test_one_format_is_shown_with_its_settings():
    """They can be copied; what has to be added to the accounting system stands below them."""
    ended = command("formats", "business-central")
    assert ended.code == 0
    assert '[inbox]\ntransform = "business-central"\n\n[payments]\namounts = "total"\n' in ended.out
    assert 'xmlport 50100 "Paid Invoices"' in ended.out
    assert "sage50us" not in ended.out


def test_format_that_is_unknown_is_named_with_those_that_are_known():
    """It is a fault of usage that the message mends."""
    ended = command("formats", "sage")
    assert ended.code == 78
    assert "sage is not known" in ended.err
    assert "camt" in ended.err


@pytest.mark.parametrize("name", ["xero", "qbxml", "sage50", "business-central", "intacct", "camt"])
def test_try_shows_how_an_export_is_read_after_init(tmp_path, name):
    """The configuration that init writes reads the sample, and shows what is rejected with its reason."""
    assert command("init", "payments", "--format", name).code == 0
    sample = sorted((SAMPLES / name).glob("*-total.xml" if not presets.preset(name).needs_each else "*-each.xml"))[0]
    expected = sample.with_suffix(".txt").read_text(encoding="utf-8")
    ended = command("try", sample, "--config", "payments/payment-watcher.toml")
    shown = " ".join(ended.out.split())
    if name == "camt":
        assert "34251" in shown
        return
    for line in expected.splitlines():
        if not line.startswith("rejected: "):
            assert line.split(" ")[0] in shown
    assert "Left out on purpose, if the file holds any:" in shown
