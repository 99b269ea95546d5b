"""Writes the page beside a fail file, or beside a success file with warnings, for people who only have the share. Pure.

It is HTML that a double click opens, with one payment on a line, so that a text editor shows it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape

from watcher.claim import Claim
from watcher.payments.model import money
from watcher.payments.outcomes import Outcome, Result, Totals, in_none_of_the_sums
from watcher.plain import plain
from watcher.times import moment

# The most payments that are listed. The file beside the page has all of them.
_MOST_LISTED = 1000
_STYLE = (
    "body{font:16px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse}th,td{border:1px solid #888;padding:.3em .6em;text-align:left;vertical-align:top}"
    "td:nth-child(3){text-align:right;white-space:nowrap}"
)


def page(
    claim: Claim,
    decided_at: datetime,
    totals: Totals,
    results: Iterable[Result],
    *,
    rejected: bool,
) -> Iterator[bytes]:
    """Write the page beside a result file.

    Args:
        claim: the file.
        decided_at: when the last record got its outcome, aware.
        totals: what the results add up to.
        results: one for each record, in order.
        rejected: write the page of the fail file; otherwise that of the success file.

    Yields:
        HTML in UTF-8, piece by piece.
    """
    count = totals.rejected if rejected else totals.warned
    payments = f"{count:,} of {totals.records:,} payment{'' if totals.records == 1 else 's'}"
    title = f"{claim.name}: {payments} {'failed' if rejected else 'set with a warning'}"
    yield _bytes(
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        f"<p>Finished {_text(moment(decided_at))}.</p>\n"
        f"<p>{_text(_to_do(claim.published_name, rejected=rejected))}</p>\n"
        f"<p>{_text(_sums(totals))}</p>\n<table>\n"
        f"<tr><th>Line</th><th>Invoice</th><th>Amount</th><th>{'Why it failed' if rejected else 'Warning'}</th></tr>\n"
    )
    listed = 0
    for result in results:
        said = result.message if rejected else result.warning
        if (result.outcome is Outcome.REJECTED) is not rejected or said is None:
            continue
        listed += 1
        if listed <= _MOST_LISTED:
            amount = result.asked_as_written if result.asked is None else money(result.asked)
            cells = (str(result.line or ""), result.invoice_number, amount, said)
            yield _bytes(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>\n")
    yield b"</table>\n"
    if listed > _MOST_LISTED:
        yield _bytes(f"<p>... and {listed - _MOST_LISTED:,} more. The file has all of them.</p>\n")
    yield b"</body>\n</html>\n"


def _to_do(published_name: str, *, rejected: bool) -> str:
    if rejected:
        return (
            f"These payments failed. The last column says why. What to do: copy the file {published_name} beside this "
            "page, correct the payments in the copy, and put the copy into the inbox. If one of them is not to be made "
            "at all, take it out of the copy."
        )
    return (
        f"ConnectWise has these payments, and there is something that you should know about each. There is nothing to "
        f"do with the file {published_name} beside this page: it holds all payments that ConnectWise has."
    )


def _sums(totals: Totals) -> str:
    lacking = f" {in_none_of_the_sums(totals.unreadable)}" if totals.unreadable else ""
    return (
        f"The whole file: asked {money(totals.asked)} = applied {money(totals.applied)} + there already "
        f"{money(totals.unchanged)} + discarded {money(totals.discarded)} + failed {money(totals.failed)}.{lacking}"
    )


def _text(text: str) -> str:
    return escape(plain(text))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
