"""What the answers to look-ups say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.proving.findings import Finding, differs, holds, look, unknown

_NOT_FOUND = "good payments would be rejected as not found"


def alone(found: bool) -> Finding:
    """Decide if an invoice is found by its number.

    Args:
        found: a look-up for the number of an invoice that is there found it.
    """
    if found:
        return holds("found_by_number", "an invoice is found by its number")
    means = f"{_NOT_FOUND}; check that the API member may see all invoices"
    return differs("found_by_number", "an invoice is not found by its number", means, rules={"search_works": False})


def by_case(found: bool | None) -> Finding:
    """Decide if letter case matters.

    Args:
        found: a look-up with the other letter case found the invoice; None if no number has letters.
    """
    if found is None:
        return holds("letter_case", "no invoice number has letters, so letter case does not matter")
    if found:
        return holds("letter_case", "letter case does not matter in a look-up")
    means = "write numbers exactly as in ConnectWise; others are rejected as not found"
    return look(
        "letter_case", "letter case matters when ConnectWise looks for a number", means, rules={"numbers_by_case": True}
    )


def in_one(asked: int, found_among: int, refused: Sequence[str]) -> Finding:
    """Decide how many numbers a look-up may ask for.

    Args:
        asked: as many as fit into a URL.
        found_among: among so many the invoice was found; 0 if it never was.
        refused: ConnectWise's words to larger look-ups; none if it took them.
    """
    if found_among == asked:
        return holds("look_up_size", f"an invoice is found among {asked} numbers in one look-up")
    words = refused[0] if refused else "no error, and no invoice"
    what = f"a look-up for {asked} numbers was answered by {words}"
    if found_among and refused:
        return holds("look_up_size", what, f"the program then asks for fewer, and {found_among} work")
    return differs("look_up_size", what, _NOT_FOUND)


def nobodys_number(refused: str | None) -> Finding:
    """Decide what becomes of a number that no invoice has.

    Args:
        refused: ConnectWise's words if it refused the look-up; None if it answered with a list.
    """
    if refused is None:
        return holds("unknown_number", "a number that no invoice has gets an empty answer")
    means = "a payment on an unknown number holds up others for a while"
    return differs("unknown_number", f"a number that no invoice has is answered by {refused}", means)


def by_id(found: bool) -> Finding:
    """Decide if an invoice is found by its id."""
    if found:
        return holds("found_by_id", "an invoice is found by its id")
    return differs("found_by_id", "an invoice is not found by its id", "payments that name invoices by id would fail")


def odd_condition(answered: str, *, refused: bool) -> Finding:
    """Say what becomes of a condition that ConnectWise does not know; nothing depends on it."""
    how = "is refused" if refused else "is passed over"
    return holds("unknown_condition", f"a condition with an unknown name {how} ({answered})")


def no_such_invoice(answered: str, *, understood: bool) -> Finding:
    """Decide if the program notices that an invoice is gone.

    Args:
        answered: the answer to a list of the payments of an invoice that cannot be there.
        understood: the product takes it for a missing invoice, or for one without payments.
    """
    if understood:
        return holds("missing_invoice", f"an invoice that is not there is answered by {answered}")
    what = f"an invoice that is not there is answered by {answered}"
    return differs("missing_invoice", what, "a payment on an invoice that was deleted holds up others for a while")


def report(answered: str | None, status: int) -> Finding:
    """Say if the report of payments can be read. Nothing depends on it.

    Args:
        answered: ConnectWise's words if it refused; None if the report came.
        status: of the answer.
    """
    if answered is None:
        return holds("report", "the report InvoicePayments can be read", "a later version may save requests with it")
    mends = {403: "give System > API Reports: Inquire All if you want to know", 404: "nothing depends on it"}
    return unknown("report", f"the report InvoicePayments: {answered}", mends.get(status, "nothing depends on it"))


def model(asked: str, answered: str) -> Finding:
    """Decide if the version of the API's models is the one that was asked for.

    Args:
        asked: ``connectwise.api_version``.
        answered: the content type of an answer.
    """
    _, _, version = answered.partition("version=")
    version = version.split(";")[0].strip()
    if not version:
        return unknown("model", "the answers do not say which version of the API's models they have")
    if version == asked:
        return holds("model", f"the API's models have version {version}, as asked for")
    what = f"the API's models have version {version}, and {asked} was asked for"
    return look("model", what, "see which versions your ConnectWise offers, and set connectwise.api_version")
