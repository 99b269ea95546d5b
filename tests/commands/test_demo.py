"""The demo, as ``make demo`` runs it."""

from __future__ import annotations

import re

from support.program import program

from watcher.sandbox import SignIn

CLAIM = r"\d{8}T\d{6}Z_[0-9a-f]{8}"


def test_the_demo_shows_what_landed_where_and_ends_by_itself(tmp_path):
    """It ends with 0, names result files of each kind, agrees with ConnectWise's books, and leaves nothing behind."""
    (tmp_path / "temporary").mkdir()
    shown = program("demo", folder=tmp_path, TMPDIR=str(tmp_path / "temporary"))
    assert (shown.code, shown.err) == (0, "")
    assert "2 amounts cannot be read, and are in none of these sums." in shown.out
    assert "│ CW-40006 │ 1,346.34 " in shown.out
    for folder, file in (
        ("inbox", r"\(empty\)"),
        (r"\.work", r"\(empty\)"),
        ("success", rf"sample__{CLAIM}\.xml"),
        ("success", rf"mixed__{CLAIM}\.xml"),
        ("fail", rf"mixed__{CLAIM}\.xml"),
        ("fail", rf"refused__{CLAIM}\.xml"),
        ("fail", rf"refused__{CLAIM}\.error\.txt"),
        ("archive", rf"\d{{4}}/\d\d/\d\d/sample__{CLAIM}\.xml"),
        ("archive", rf"\d{{4}}/\d\d/\d\d/sample__{CLAIM}\.receipt\.json"),
    ):
        assert re.search(rf"^│ {folder} +│ {file} +│", shown.out, re.MULTILINE), (folder, file)
    for said in (
        "sample.xml: 1 of 1 succeeded",
        "export.xml: 500 of 500 succeeded",
        "the books and the receipts agree",
    ):
        assert said in shown.out
    assert list((tmp_path / "temporary").iterdir()) == []
    for secret in (SignIn().private_key, SignIn().client_id):
        assert secret not in shown.out
