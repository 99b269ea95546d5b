"""The notify-failure command: systemd lets it tell people that the daemon has failed for good."""

from __future__ import annotations

import pytest
from support.posts import web
from support.program import PATIENCE, command, configure

from watcher.actions import failure
from watcher.cli.commands import CONFIGURATION, SOME_FAILED


def test_people_are_told_whatever_else_is_wrong_with_the_configuration(folders, monkeypatch):
    """An unknown key ended the daemon; the message names unit, reason and what to do."""
    for name, value in {"UNIT": "payment-watcher@acme.service", "EXIT_CODE": "exited", "EXIT_STATUS": "78"}.items():
        monkeypatch.setenv(f"MONITOR_{name}", value)
    with web() as (address, posts):
        config = configure(folders, "", connectwise={"sight": "x"}, notify={"urls": [address]})
        ended = command("notify-failure", "--config", config)
        post = posts.get(timeout=PATIENCE)
    assert (ended.code, ended.err) == (0, "")
    assert "has taken the message" in ended.out
    assert "payment-watcher@acme.service" in post["title"]
    assert "its configuration cannot be used" in post["message"]
    assert "systemctl start payment-watcher@acme.service" in post["message"]


def test_systemd_is_to_try_again_if_nobody_takes_the_message(folders):
    """The exit code says so; one service of two is enough."""
    with web(lambda _text: True) as (deaf, _), web() as (address, posts):
        config = configure(folders, "", notify={"urls": [deaf]})
        assert command("notify-failure", "--config", config).code == SOME_FAILED
        config = configure(folders, "", notify={"urls": [deaf, address]})
        ended = command("notify-failure", "--config", config)
        assert posts.get(timeout=PATIENCE)
    assert ended.code == 0
    assert ended.out.count("has not taken the message") == 1


def test_nobody_to_tell_is_no_failure(folders):
    """A company without [notify] has nothing to mend here."""
    ended = command("notify-failure", "--config", configure(folders, ""))
    assert ended.code == 0
    assert "Nobody is told" in ended.out


@pytest.mark.parametrize(
    "content", ["= no TOML", '[notify]\nurls = ["nothing://known"]', '[notify]\nurl = ["json://x"]']
)
def test_a_section_that_cannot_be_used_is_reported(tmp_path, content):
    """The exit code is the one that systemd does not try again."""
    config = tmp_path / "acme.toml"
    config.write_text(content, encoding="utf-8")
    assert command("notify-failure", "--config", config).code == CONFIGURATION


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"SERVICE_RESULT": "start-limit-hit", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}, "it ended again and again"),
        ({"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "2"}, "it was started in a wrong way"),
        ({"SERVICE_RESULT": "watchdog", "EXIT_CODE": "killed", "EXIT_STATUS": "ABRT"}, "it hung"),
        ({}, "does not run, and systemd"),
    ],
)
def test_what_systemd_tells_is_said_in_words(told, why):
    """Older versions of systemd tell nothing; then the unit is known by its configuration."""
    notice = failure.notice_of({f"MONITOR_{name}": value for name, value in told.items()}, "acme", "books")
    assert why in notice.body
    assert "payment-watcher@acme.service on books" in notice.title
