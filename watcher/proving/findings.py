"""What was found out about a ConnectWise: one finding for each thing that this program assumes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

_NONE: Mapping[str, object] = MappingProxyType({})


class Verdict(StrEnum):
    """What became of an assumption.

    Attributes:
        HOLDS: ConnectWise does as assumed, or the configuration has the setting for it.
        DIFFERS: it does something else.
        UNKNOWN: it could not be found out.
        LOOK: a person has to look.
    """

    HOLDS = "holds"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that makes the program right for this ConnectWise."""

    section: str
    key: str
    value: str | bool

    def __str__(self) -> str:
        value = f'"{self.value}"' if isinstance(self.value, str) else str(self.value).lower()
        return f"{self.section}.{self.key} = {value}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one assumption.

    Attributes:
        name: a short name that never changes, for programs.
        verdict: what became of it.
        what: what was found, in words.
        means: what that means for the user; empty if there is nothing to add.
        setting: what to set; None if nothing is to be set, or no setting helps.
        rules: how the sandbox plays this ConnectWise, by the names of its rules.
    """

    name: str
    verdict: Verdict
    what: str
    means: str = ""
    setting: Setting | None = None
    rules: Mapping[str, object] = field(default_factory=dict, compare=False)

    @property
    def sentence(self) -> str:
        """What was found, what it means, and what to set; on one line."""
        more = [self.means] if self.means else []
        more += [f"set {self.setting}"] if self.setting and self.verdict is Verdict.DIFFERS else []
        return ": ".join([self.what, "; ".join(more)]) if more else self.what


def holds(name: str, what: str, means: str = "", rules: Mapping[str, object] = _NONE) -> Finding:
    """Return the finding of an assumption that holds."""
    return Finding(name, Verdict.HOLDS, what, means, rules=rules)


def unknown(name: str, what: str, means: str = "", rules: Mapping[str, object] = _NONE) -> Finding:
    """Return the finding of an assumption that could not be tried."""
    return Finding(name, Verdict.UNKNOWN, what, means, rules=rules)


def look(name: str, what: str, means: str = "", rules: Mapping[str, object] = _NONE) -> Finding:
    """Return the finding of something that a person has to look at."""
    return Finding(name, Verdict.LOOK, what, means, rules=rules)


def differs(
    name: str, what: str, means: str = "", setting: Setting | None = None, rules: Mapping[str, object] = _NONE
) -> Finding:
    """Return the finding of an assumption that does not hold."""
    return Finding(name, Verdict.DIFFERS, what, means, setting, rules)


def settled(findings: Iterable[Finding], chosen: Iterable[Setting]) -> list[Finding]:
    """Return the findings as they are under a configuration: a difference whose setting is there already holds.

    Args:
        findings: what was found.
        chosen: what the configuration has.
    """
    there = set(chosen)
    return [
        Finding(each.name, Verdict.HOLDS, each.what, f"{each.setting} is set", each.setting, each.rules)
        if each.verdict is Verdict.DIFFERS and each.setting in there
        else each
        for each in findings
    ]


def suggested(findings: Iterable[Finding]) -> dict[str, dict[str, str | bool]]:
    """Return the settings to make, by section and key."""
    sections: dict[str, dict[str, str | bool]] = {}
    for each in findings:
        if each.verdict is Verdict.DIFFERS and each.setting is not None:
            sections.setdefault(each.setting.section, {})[each.setting.key] = each.setting.value
    return sections


def rules_of(findings: Iterable[Finding]) -> dict[str, object]:
    """Return the rules by which the sandbox plays this ConnectWise."""
    return {name: value for each in findings for name, value in each.rules.items()}


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 0 if nothing differs, 1 if a setting helps wherever something differs, and 2 if not."""
    different = [each for each in findings if each.verdict is Verdict.DIFFERS]
    if any(each.setting is None for each in different):
        return 2
    return 1 if different else 0
