"""How rules are read: from code, from a command line, and from a report."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from watcher.sandbox import RuleError, Rules, Sandbox, read_rules, rules_of

BENT = Rules(
    version="v2026.4.1",
    total_without_tax=True,
    total_without_down_payment=True,
    total_decimals=4,
    balance_in_lists=False,
    credits_in_lists=False,
    search_lag_seconds=2.5,
    search_works=False,
    largest_page=25,
    numbers_by_case=True,
    second_payment="replaces",
    overpayment="cut",
    zero_accepted=False,
    invoice_balance="missing",
    id_in_answers=False,
    change_fails=True,
    refusal_status=500,
    refuses_all=403,
    refuses=("CW-1", "A:1"),
    fails=("CW-2",),
    batched=("CW-4",),
    hides=("CW-3",),
    hides_status=403,
    date_shift_days=-1,
    date_by_server=True,
    date_removal="ignored",
    empty_date=True,
    late_seconds=30,
    late_answer="504",
)


def test_a_plain_connectwise_bends_no_rule() -> None:
    """Nothing is said of rules that are as ever, and everything of those that are not."""
    assert Rules().bent() == {}
    assert list(BENT.bent()) == [entry.name for entry in fields(Rules)]


def test_every_rule_can_be_written_on_a_command_line() -> None:
    """What is printed as NAME=VALUE is read as the same."""
    assert read_rules(BENT.assignments()) == BENT
    assert {"refuses=CW-1,A:1", "empty_date=yes", "search_works=no"} <= set(BENT.assignments())


def test_every_rule_can_stand_in_a_report() -> None:
    """A report gives rules by their names in JSON's types, and the version beside them; the rest is passed over."""
    rules = {name: list(value) if isinstance(value, tuple) else value for name, value in BENT.bent().items()}
    del rules["version"]
    report = {"rules": {**rules, "late_answer": 504, "total_decimals": "4"}, "version": "v2026.4.1", "steps": []}
    assert rules_of(report) == BENT
    assert rules_of({"rules": {}}) == Rules()


def test_a_rule_of_the_command_line_counts_for_more_than_the_report() -> None:
    """The report's rules hold unless the command line names them; the last of a name counts."""
    reported = rules_of({"rules": {"change_fails": True, "numbers_by_case": True}}).bent()
    assert read_rules(["change_fails=TRUE", " change_fails = no "], reported) == Rules(numbers_by_case=True)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ([], "no report of a ConnectWise"),
        ({}, "no report of a ConnectWise"),
        ({"rules": []}, "no report of a ConnectWise"),
        ({"rules": {"speed": 1, "change_fails": True, "colour": 2}}, "no rule colour, speed"),
        ({"rules": {}, "version": 5}, "version is 5, not a text"),
        ({"rules": {"fails": None, "total_decimals": 5}}, "total_decimals is 5, not 2 | 3 | 4; fails is None, not inv"),
    ],
)
def test_a_faulty_report_says_what_is_wrong(report: object, said: str) -> None:
    """What is no report is refused, and unknown names and wrong values are named, all of them."""
    with pytest.raises(RuleError, match=said.replace("|", r"\|")):
        rules_of(report)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("fails", "fails is not NAME=VALUE"),
        ("speed=5", "no rule speed"),
        ("change_fails=maybe", "not yes | no"),
        ("total_decimals=5", "not 2 | 3 | 4"),
        ("refuses_all=404", "not 0 | 403 | 500"),
        ("date_shift_days=one", "a whole number"),
        ("date_shift_days=1.5", "a whole number"),
        ("search_lag_seconds=-1", "seconds"),
        ("search_lag_seconds=nan", "seconds"),
        ("late_seconds=long", "seconds"),
        ("second_payment=perhaps", "not refused | accepted | replaces"),
        ("version= ", "a text"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_there_is(assignment: str, said: str) -> None:
    """The fault is named, and every rule is listed with its values."""
    with pytest.raises(RuleError) as caught:
        read_rules([assignment])
    assert said in str(caught.value)
    assert all(f"  {entry.name} = " in str(caught.value) for entry in fields(Rules))


@pytest.mark.parametrize("wrong", [{"date_shift_days": True}, {"fails": {1: 500}}, {"hides": 5}, {"refuses": [1]}])
def test_wrong_types_are_refused(wrong: dict[str, object]) -> None:
    """A value of a wrong type is no value, in code too."""
    with pytest.raises(RuleError):
        Rules(**wrong)


def test_readme_describes_every_rule() -> None:
    """The table of the README has a row for each rule, in their order."""
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    table = text.partition("| rule | values")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [entry.name for entry in fields(Rules)]


def test_the_clock_only_goes_forward() -> None:
    """Time that has passed does not come back."""
    with pytest.raises(ValueError, match="forward"):
        Sandbox([]).pass_time(-1)
