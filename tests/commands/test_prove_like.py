"""``sandbox --like`` plays the ConnectWise of a report: another proof finds the same."""

from __future__ import annotations

import re

import pytest
from commands.test_prove_rules import ROWS, SEEDS, WRITES

from watcher.cli import sandbox

# One of each kind that a proof can tell, and some together.
DIFFERENT = {
    **{
        name: ROWS[name].rules
        for name in (
            "tax on top",
            "no balance in lists",
            "a search that finds nothing",
            "letter case",
            "a second payment is accepted",
            "an overpayment is cut",
            "all is refused",
            "dates by the server",
            "late, after a gateway's page",
        )
    },
    "the answers": {"invoice_balance": "stale", "id_in_answers": False, "version": "v2026.4.1"},
    "the changes": {"change_fails": True, "refusal_status": 500, "date_removal": "refused", "empty_date": True},
    "the figures": {"total_decimals": 4, "search_lag_seconds": 8, "date_shift_days": -1, "second_payment": "replaces"},
}


def lines(report):
    """Return what a report says, without what differs each time: how long a call takes, and ports."""
    return [re.sub(r"\d+ ms|:\d+ ", "", str(each)) for each in (report["version"], *report["findings"])]


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_stand_in_of_a_report_gives_the_same_lines(prove, tmp_path, name):
    """All of them, with a test invoice where that can be used."""
    proof = prove(*SEEDS, **DIFFERENT[name])
    arguments = () if name == "a search that finds nothing" else WRITES
    first = proof.report(*arguments)
    played = sandbox.rules(proof.config_folder / "report.json", ())
    second = prove(*SEEDS, **played.bent()).report(*arguments)
    assert lines(second) == lines(first)
    assert second["rules"] == first["rules"]
