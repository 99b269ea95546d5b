"""What a stylesheet may cost: it is a foreign program, and whatever it does, the daemon goes on."""

from __future__ import annotations

import threading
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from support.stylesheets import EXPORT

from watcher.documents import stylesheet
from watcher.errors import DocumentError, Outage, Stopping
from watcher.lifetime import Lifetime

ENDLESS = (
    '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
    '<xsl:template match="/"><xsl:call-template name="a"><xsl:with-param name="n" select="60"/></xsl:call-template>'
    '</xsl:template><xsl:template name="a"><xsl:param name="n"/><xsl:if test="$n &gt; 0">{made}'
    '<xsl:call-template name="a"><xsl:with-param name="n" select="$n - 1"/></xsl:call-template>'
    '<xsl:call-template name="a"><xsl:with-param name="n" select="$n - 1"/></xsl:call-template>'
    "</xsl:if></xsl:template></xsl:stylesheet>"
)
TALKING = "<xsl:message>something about it</xsl:message>"


@pytest.mark.parametrize(
    ("made", "limit", "value", "words"),
    [
        ("", "_PROCESSOR_SECONDS", 1, "1 seconds of processor time were not enough"),
        ("<a>some text</a>", "_MEMORY_BYTES", 200 * 2**20, "200 MiB of memory were not enough"),
    ],
    ids=["processor time", "memory"],
)
def test_stylesheet_that_does_not_end_is_ended_and_the_limit_is_named(sheet, monkeypatch, made, limit, value, words):
    """Neither time nor memory is without bounds; the file is refused and the daemon goes on."""
    monkeypatch.setattr(stylesheet, limit, value)

    with pytest.raises(DocumentError, match=rf"sage\.xsl .*did not come to an end with this file: {words}\.$"):
        sheet(ENDLESS.format(made=made)).transform(EXPORT)


def test_stylesheet_that_gets_no_processor_time_is_tried_again(sheet, monkeypatch):
    """A busy machine refuses no file at once; nor does one file hold up the others without end."""
    monkeypatch.setattr(stylesheet, "_SECONDS", 0.3)
    made = sheet(ENDLESS.format(made=""))

    for _ in range(2):
        with pytest.raises(Outage, match=r"sage\.xsl .*was not applied to the end: 0.3 seconds were not enough"):
            made.transform(EXPORT)
    with pytest.raises(DocumentError, match=r"it was tried 3 times, and 0.3 seconds were not enough"):
        made.transform(EXPORT)
    assert child_processes() == []


def test_stylesheet_that_talks_without_end_is_ended(sheet, monkeypatch):
    """Libxslt may go on for a while without memory for its messages: then its processor time is used up first."""
    monkeypatch.setattr(stylesheet, "_MEMORY_BYTES", 200 * 2**20)
    monkeypatch.setattr(stylesheet, "_PROCESSOR_SECONDS", 8)

    with pytest.raises(DocumentError, match=r"(200 MiB of memory|8 seconds of processor time) were not enough\.$"):
        sheet(ENDLESS.format(made=TALKING)).transform(EXPORT)


def test_file_that_needs_too_much_memory_is_not_called_broken(sheet, monkeypatch):
    """Many small elements take forty times their size; the parser's own words for that are "unknown error"."""
    monkeypatch.setattr(stylesheet, "_MEMORY_BYTES", 200 * 2**20)

    with pytest.raises(DocumentError, match=r"200 MiB of memory were not enough"):
        sheet().transform(b"<ReceiptExport>" + b"<a/>" * 3_000_000 + b"</ReceiptExport>")


class Pulse(Lifetime):
    """Counts the signs of life, and ends after so many."""

    def __init__(self, signs):
        super().__init__()
        self.left = signs
        self.at = []

    def alive(self):
        self.at.append(time.monotonic())
        self.left -= 1
        if not self.left:
            self.end()


def child_processes():
    """Return the ids of this process's children."""
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()


def test_stylesheet_ends_with_the_program(sheet, monkeypatch):
    """Whoever is asked to end does not wait for a stylesheet, and leaves no process."""
    monkeypatch.setattr(stylesheet, "_SECONDS", 30)
    began = time.monotonic()

    with pytest.raises(Stopping):
        sheet(ENDLESS.format(made=""), lifetime=Pulse(signs=10)).transform(EXPORT)

    assert time.monotonic() - began < 10
    assert child_processes() == []


def test_signs_of_life_go_on_while_a_stylesheet_works(sheet, monkeypatch):
    """Systemd's watchdog does not end a daemon that waits for a stylesheet."""
    monkeypatch.setattr(stylesheet, "_PROCESSOR_SECONDS", 2)
    lifetime = Pulse(signs=1_000_000)

    with pytest.raises(DocumentError):
        sheet(ENDLESS.format(made=""), lifetime=lifetime).transform(EXPORT)

    assert max(later - sooner for sooner, later in pairwise(lifetime.at)) < 1


@pytest.mark.parametrize("stream", [1, 2], ids=["answer", "errors"])
def test_whatever_the_process_writes_is_bounded(sheet, interpreter, stream):
    """Gigabytes of an answer are no document, and gigabytes of complaints are not kept."""
    made = sheet(largest=1000)
    interpreter(f"printf '!+'; head -c 300000000 /dev/zero >&{stream}")
    tracemalloc.start()
    if stream == 1:
        with pytest.raises(DocumentError, match=r"makes more than 1000 bytes"):
            made.transform(EXPORT)
    else:
        assert made.transform(EXPORT) == b""
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert child_processes() == []
