"""Pieces of work in a thread of their own: in order, taken back in order, errors included."""

from __future__ import annotations

import threading

import pytest

from watcher.disk.lane import Lane

PATIENCE = 10


def test_pieces_are_done_one_after_the_other_and_taken_back_in_order():
    """The caller goes on meanwhile; only the first piece can be taken back."""
    lane: Lane[int, int] = Lane("test")
    go_on, began = threading.Event(), []

    def act(piece: int) -> int:
        began.append(piece)
        assert go_on.wait(PATIENCE)
        return piece * 2

    for piece in (1, 2):
        lane.begin(act, piece)
    assert (lane.pieces, lane.is_next_done()) == ([1, 2], False)
    go_on.set()
    assert [lane.take_back() for _ in range(2)] == [(1, 2), (2, 4)]
    assert (began, lane.pieces, lane.is_next_done()) == ([1, 2], [], False)


def test_what_a_piece_raised_is_raised_where_it_is_taken_back():
    """The piece is taken back by that, and those behind it are done all the same."""
    lane: Lane[int, float] = Lane("test")
    for piece in (0, 2):
        lane.begin(lambda piece: 1 / piece, piece)
    with pytest.raises(ZeroDivisionError):
        lane.take_back()
    assert lane.take_back() == (2, 0.5)
