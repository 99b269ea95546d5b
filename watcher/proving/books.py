"""What the invoices and payments that are there say about the program's arithmetic. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from watcher.payments.model import ZERO, listed
from watcher.proving.facts import Seen, total
from watcher.proving.findings import Finding, Setting, differs, holds, look, unknown

LIST_FIRST = Setting("connectwise", "list_first", value=True)
# How many invoices a line names.
_NAMED = 5

_Formula = Callable[[Seen], Decimal]


def _plain(invoice: Seen) -> Decimal:
    return (invoice.amount("total") or ZERO) - invoice.paid - invoice.credits


def _taxed(invoice: Seen) -> Decimal:
    return _plain(invoice) + (invoice.amount("salesTax") or ZERO)


def _less_down_payment(invoice: Seen) -> Decimal:
    return _plain(invoice) - (invoice.amount("downpaymentApplied") or ZERO)


def _both(invoice: Seen) -> Decimal:
    return _taxed(invoice) - (invoice.amount("downpaymentApplied") or ZERO)


def _less_progress(invoice: Seen) -> Decimal:
    return _plain(invoice) - (invoice.amount("previousProgressApplied") or ZERO)


_PLAIN = "balance = total - payments - credits"
_FORMULAS: Mapping[str, _Formula] = {
    _PLAIN: _plain,
    "balance = total + tax - payments - credits": _taxed,
    "balance = total - down payment - payments - credits": _less_down_payment,
    "balance = total + tax - down payment - payments - credits": _both,
    "balance = total - earlier progress - payments - credits": _less_progress,
}


def arithmetic(invoices: Sequence[Seen], read: Sequence[Seen]) -> Iterator[Finding]:
    """Decide if amounts of invoices are what the program takes them for.

    Args:
        invoices: as a list shows them.
        read: some of them, each read by its id, if lists show no balance or no credits.
    """
    if not invoices:
        yield unknown("arithmetic", "there are no invoices to look at", "run it again once there are some")
        return
    yield from _shown(invoices, read)
    yield from _sums(read or invoices)
    yield from _numbers(invoices)
    yield from _currencies(invoices)


def is_plain(invoice: Seen) -> bool:
    """Return True if an invoice shows a balance that is its total less payments and credits."""
    return invoice.shows("balance") and invoice.amount("balance") == _plain(invoice)


def _shown(invoices: Sequence[Seen], read: Sequence[Seen]) -> Iterator[Finding]:
    rules: dict[str, object] = {
        f"{name}_in_lists": False for name in ("balance", "credits") if not any(each.shows(name) for each in invoices)
    }
    missing = [
        name for name in ("type", "total", "payments", "credits", "balance") if not any(i.shows(name) for i in invoices)
    ]
    lacks = f"lists of invoices show no {' and no '.join(missing)}"
    if "type" in missing and any(each.shows("type") for each in read):
        yield holds("fields", lacks, "the program reads each invoice by its id, too, which is one more request", rules)
    elif "type" in missing:
        yield differs("fields", "lists of invoices show no type", "credit memos would be paid", rules=rules)
    elif "balance" in missing and any(each.shows("balance") for each in read):
        yield holds("fields", lacks, "the program reads each invoice by its id, too, which is one more request", rules)
    elif {"credits", "balance"} <= set(missing):
        means = "invoices with credits would be overpaid"
        yield differs("fields", "lists of invoices show neither balance nor credits", means, rules=rules)
    elif {"total", "balance"} <= set(missing):
        means = "every payment would be rejected"
        yield differs("fields", "lists of invoices show neither balance nor total", means, rules=rules)
    elif missing:
        means = (
            "the program takes the total less the credits"
            if "balance" in missing
            else "the program goes by the balance"
        )
        if "payments" in missing:
            means = "the payments of each invoice are listed, which is one more request"
        yield holds("fields", lacks, means, rules=rules)
    else:
        yield holds("fields", "lists of invoices show type, total, payments, credits and balance")


def _sums(invoices: Sequence[Seen]) -> Iterator[Finding]:
    summed = [each for each in invoices if each.shows("balance") and each.shows("total")]
    if not summed:
        yield unknown("arithmetic", "no invoice shows both total and balance")
        return
    fits: Counter[str] = Counter()
    strange = []
    for invoice in summed:
        formula = next((name for name, sum_of in _FORMULAS.items() if sum_of(invoice) == invoice.amount("balance")), "")
        fits[formula] += 1
        if not formula:
            strange.append(invoice.number or f"of id {invoice.id}")
    rules = _rules(summed)
    for formula, count in fits.items():
        what = f"{formula} on {count} of {len(summed)} invoice{'' if len(summed) == 1 else 's'}"
        if formula == _PLAIN:
            yield holds("arithmetic", what, rules=rules)
        elif formula:
            yield holds("arithmetic", what, "the program goes by the balance", rules=rules)
    if strange:
        what = f"the balance of {len(strange)} of {len(summed)} invoices is no known sum: {listed(strange[:_NAMED])}"
        yield look(
            "arithmetic", what, "the program goes by the balance; check that it is what is left to pay", rules=rules
        )


def _rules(invoices: Sequence[Seen]) -> dict[str, object]:
    rules: dict[str, object] = {}
    taxed = [each for each in invoices if each.amount("salesTax")]
    if taxed and all(each.amount("balance") in (_taxed(each), _both(each)) for each in taxed):
        rules["total_without_tax"] = True
    prepaid = [each for each in invoices if each.amount("downpaymentApplied")]
    if prepaid and all(each.amount("balance") in (_plain(each), _taxed(each)) for each in prepaid):
        rules["total_without_down_payment"] = True
    decimals = max(each.decimals("total") for each in invoices)
    if decimals in (3, 4):
        rules["total_decimals"] = decimals
    return rules


def _numbers(invoices: Sequence[Seen]) -> Iterator[Finding]:
    counts = Counter(invoice.number.casefold() for invoice in invoices if invoice.number)
    twice = [number for number, count in counts.items() if count > 1]
    if not twice:
        yield holds("numbers", f"no invoice number stands twice ({len(invoices)} looked at)")
        return
    shown = [next(each.number for each in invoices if each.number.casefold() == number) for number in twice[:_NAMED]]
    what = f"{len(twice)} invoice number{'' if len(twice) == 1 else 's'} stand on two invoices or more: {listed(shown)}"
    yield differs("numbers", what, "payments on such invoices are rejected, and nothing is guessed")


def _currencies(invoices: Sequence[Seen]) -> Iterator[Finding]:
    found = sorted({invoice.currency for invoice in invoices} - {""})
    if len(found) > 1:
        means = "the program takes each amount to be in its invoice's currency"
        yield look("currencies", f"invoices have {len(found)} currencies: {listed(found)}", means)


def rows(
    paid: Sequence[tuple[Seen, Sequence[Seen]]],
    credited: Sequence[tuple[Seen, Sequence[Seen]]],
    unpaid: Sequence[tuple[Seen, Sequence[Seen]]],
    refused: Sequence[tuple[Seen, str]],
) -> Iterator[Finding]:
    """Decide if payments look as the program takes them to.

    Args:
        paid: invoices with payments, and the payment rows of each.
        credited: the same of invoices with credits.
        unpaid: the same of invoices whose payments add up to nothing.
        refused: the invoices whose payments ConnectWise did not list, and its words.
    """
    if refused:
        yield _of_hidden(refused)
    looked = [row for _, held in (*paid, *credited, *unpaid) for row in held]
    if not looked:
        yield unknown("rows", "there are no payments to look at yet")
        return
    if paid:
        yield from _of_paid(paid)
    yield from _of_nothing(unpaid)
    if credited:
        yield _of_credits(credited)
    yield from _of_kinds([row for row in looked if not row.is_credit])
    yield from _of_batches([*paid, *credited, *unpaid])
    yield from _dates([row.text("paymentDate") for row in looked if row.shows("paymentDate")])


def _of_hidden(refused: Sequence[tuple[Seen, str]]) -> Finding:
    words = refused[0][1]
    count, named = f"{len(refused)} invoice{'' if len(refused) == 1 else 's'}", _named([each for each, _ in refused])
    what = f"the payments of {count} ({named}) cannot be listed ({words})"
    mend = "look at such an invoice in ConnectWise"
    if words.startswith("403"):
        mend = "give the API member's role Finance > Accounting Interface: Inquire All"
    means = f"payments that are there cannot be changed; a correction is rejected with ConnectWise's words; {mend}"
    return differs("rows", what, means)


def _of_paid(paid: Sequence[tuple[Seen, Sequence[Seen]]]) -> Iterator[Finding]:
    several = [invoice for invoice, held in paid if len([row for row in _payments(held) if row.pays]) > 1]
    if several:
        what = f"{len(several)} of {len(paid)} paid invoices have two payments or more: {_named(several)}"
        yield differs("one_payment", what, "payments on such invoices are rejected until one is left")
    else:
        yield holds("one_payment", f"{len(paid)} of {len(paid)} paid invoices have one payment")
    wrong = [invoice for invoice, held in paid if total(_payments(held)) != invoice.paid]
    if wrong:
        what = f"on {len(wrong)} of {len(paid)} invoices the payments do not add up to the sum: {_named(wrong)}"
        yield differs("sum_of_payments", what, "the program cannot tell what is paid there")
    else:
        yield holds("sum_of_payments", f"the payments add up to the sum on {len(paid)} of {len(paid)} invoices")


def _of_nothing(found: Sequence[tuple[Seen, Sequence[Seen]]]) -> Iterator[Finding]:
    empty = [invoice for invoice, held in found if any(not row.pays for row in _payments(held))]
    if empty:
        what = f"{len(empty)} of {len(found)} unpaid invoices have a payment of 0.00: {_named(empty)}"
        yield differs("rows_of_nothing", what, "a sum of 0.00 does not show it", LIST_FIRST)
    elif found:
        yield holds("rows_of_nothing", f"{len(found)} of {len(found)} unpaid invoices have no payment of 0.00")


def _of_credits(credited: Sequence[tuple[Seen, Sequence[Seen]]]) -> Finding:
    told = [invoice for invoice, held in credited if total(r for r in held if r.is_credit) == invoice.credits]
    mixed = [
        invoice
        for invoice, held in credited
        if invoice not in told and total(_payments(held)) == invoice.paid + invoice.credits
    ]
    if mixed:
        what = f"credits look like payments on {len(mixed)} of {len(credited)} invoices: {_named(mixed)}"
        return differs("credits", what, "a credit could be changed or removed as a payment")
    return holds("credits", f"credits can be told from payments on {len(credited)} of {len(credited)} invoices")


def _of_kinds(payments: Sequence[Seen]) -> Iterator[Finding]:
    kinds = Counter(row.text("type") or "none" for row in payments)
    if not kinds:
        return
    shown = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    if "P" in kinds:
        yield holds("type", f"payments have the type P that the program sends ({shown})")
    else:
        yield look("type", f"no payment has the type P that the program sends ({shown})", "prove it with --invoice")


def _of_batches(found: Sequence[tuple[Seen, Sequence[Seen]]]) -> Iterator[Finding]:
    count = sum(len(_payments(held)) for _, held in found)
    batched = [(invoice, row) for invoice, held in found for row in _payments(held) if row.shows("glBatchID")]
    if batched:
        invoices = list(dict.fromkeys(invoice.id for invoice, _ in batched))
        named = _named([next(invoice for invoice, _ in batched if invoice.id == each) for each in invoices])
        means = (
            "ConnectWise may refuse to change or remove them; a correction is then rejected with ConnectWise's words"
        )
        yield look("gl_batch", f"{len(batched)} of {count} payments are in a GL batch ({named})", means)
    elif count:
        yield holds("gl_batch", f"{count} of {count} payments are in no GL batch")


def _dates(dates: Sequence[str]) -> Iterator[Finding]:
    if not dates:
        return
    odd = [each for each in dates if "T" in each and not each[10:].startswith("T00:00:00")]
    if odd:
        what = f"{len(odd)} of {len(dates)} dates of payments have a time of day, such as {odd[0]}"
        yield look("time_of_day", what, "the program takes the first ten characters as the day")
    else:
        yield holds("time_of_day", f"{len(dates)} of {len(dates)} dates of payments are at midnight UTC")


def _payments(held: Iterable[Seen]) -> list[Seen]:
    return [row for row in held if not row.is_credit]


def _named(invoices: Sequence[Seen]) -> str:
    return listed([invoice.number or f"of id {invoice.id}" for invoice in invoices[:_NAMED]])
