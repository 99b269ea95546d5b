"""Answers of any content: each is read, or it is not understood, which is ConnectWise's trouble."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.connectwise import rows
from watcher.connectwise.rows import NotUnderstood

READERS = (rows.invoices, rows.held_payments, rows.told, rows.ids, rows.version)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.just("2016-09-22"),
    lambda inside: (
        st.lists(inside) | st.dictionaries(st.sampled_from(["id", "amount", "total", "x"]) | st.text(), inside)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(
    JSON
    | st.lists(
        st.fixed_dictionaries(
            {"id": st.integers(1, 9)},
            optional=dict.fromkeys(("invoiceNumber", "type", "total", "amount", "paymentDate", "credit"), JSON),
        )
    ),
    st.sampled_from(READERS),
)
def test_whatever_an_answer_holds_it_is_read_or_not_understood(content, reads):
    """No other error comes out, and the words of this one are bounded."""
    said = ""
    try:
        reads(content)
    except NotUnderstood as error:
        said = str(error)
    assert len(said) < 300
    assert said.isprintable()
