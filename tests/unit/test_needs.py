"""The list of skipped tests at the end of a run."""

from __future__ import annotations

from support.needs import PACKAGES, missing, packages, skipped


def test_what_was_skipped_is_listed_once_with_the_packages_to_install(monkeypatch, tmp_path):
    """Each reason stands once, with its count; one command installs all that is missing."""
    monkeypatch.setattr("support.needs.PLACES", str(tmp_path))
    share, trace = missing("smbclient", "smbd"), missing("strace")
    assert list(skipped([f"Skipped: {trace}", f"Skipped: {share}", f"Skipped: {trace}", "Skipped: needs root"])) == [
        "   2 tests: needs strace (package strace)",
        "   1 test: needs smbclient, smbd (packages samba, smbclient)",
        "   1 test: needs root",
        "On Debian and Ubuntu: apt-get install samba smbclient strace",
    ]


def test_what_is_there_is_not_missing(monkeypatch, tmp_path):
    """A program that is found is not asked for, and a run that skipped nothing lists nothing."""
    for name in PACKAGES:
        (tmp_path / name).touch(mode=0o700)
    monkeypatch.setattr("support.needs.PLACES", str(tmp_path))
    assert missing(*PACKAGES) == ""
    assert packages(PACKAGES) == []
    assert list(skipped([])) == []


def test_packages_are_those_of_missing_programs_alone(monkeypatch, tmp_path):
    """A program that is there, from wherever, brings no package that could conflict with it."""
    (tmp_path / "node").touch(mode=0o700)
    monkeypatch.setattr("support.needs.PLACES", str(tmp_path))
    assert packages(["node", "npm", "smbd", "smbpasswd"]) == ["npm", "samba"]
