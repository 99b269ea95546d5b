"""``formats``: what can be exported from which accounting system, and how."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from watcher.config import presets
from watcher.config.presets import Preset
from watcher.config.writing import toml

# A terminal's usual width (characters).
_WIDTH = 79
_KINDS = {
    "state": "Each amount is all that is paid on the invoice so far.",
    "event": 'Each amount is one payment. It needs amounts = "each" in [payments].',
    "both": 'Invoices need amounts = "total" in [payments], payments need "each". What does not fit is refused.',
}


def lines(name: str | None) -> Iterator[str]:
    """Yield what there is to say of one format, or of all of them.

    Args:
        name: the format's name; None for all.

    Raises:
        ConfigurationError: there is no format of this name.
    """
    for each in presets.names() if name is None else [name]:
        found = presets.preset(each)
        yield from _described(found)
        if name is not None:
            yield from _settings(found)
        yield ""
    if name is None:
        yield from textwrap.wrap(
            "payment-watcher formats NAME also shows the settings. init DIR --format NAME writes them. "
            'transform = "csv" with a [csv] of your own reads any other table. '
            "A stylesheet of your own reads any other XML.",
            _WIDTH,
        )


def _described(preset: Preset) -> Iterator[str]:
    yield from _wrapped(f"{preset.name}  ", preset.title)
    yield from _wrapped("  ", _KINDS[preset.kind])
    yield "  To export:"
    for number, step in enumerate(preset.export, 1):
        yield from _wrapped(f"  {number}. ", step)
    for title, sentences in (
        ("Left out on purpose:", preset.leaves_out),
        ("By hand:", preset.by_hand),
        ("Not checked:", preset.unchecked),
    ):
        yield f"  {title}"
        for sentence in sentences:
            yield from _wrapped("  - ", sentence)
    if preset.parameters:
        yield from _wrapped("  ", f"[transform] accepts {', '.join(preset.parameters)}.")


def _settings(preset: Preset) -> Iterator[str]:
    sections = preset.sections | ({} if preset.kind == "both" else {"payments": preset.payments})
    yield ""
    yield from toml(sections).rstrip("\n").splitlines()
    if preset.program:
        yield ""
        yield from preset.program.splitlines()


def _wrapped(begin: str, text: str) -> list[str]:
    indent = " " * min(len(begin), 4)
    return textwrap.wrap(text, _WIDTH, initial_indent=begin, subsequent_indent=indent, break_on_hyphens=False)
