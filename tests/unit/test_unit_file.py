"""The systemd unit: what systemd itself says of it, and what it promises together with the program."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import typer
from support.needs import needs
from support.program import END_SECONDS

from watcher.cli import commands as cli

UNIT = Path(__file__).parents[2] / "systemd" / "payment-watcher@.service"
FAILED = UNIT.with_name("payment-watcher-failed@.service")


@pytest.fixture
def unit():
    """The unit's directives: name to all its values."""
    return directives_of(UNIT)


def directives_of(file):
    """Return the directives of a unit."""
    directives = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            directives[name].append(value)
    return directives


@pytest.fixture
def verify(tmp_path):
    """Let systemd judge a unit's text, and return all it says."""
    tool = needs("systemd-analyze")

    def verify(text, name=UNIT.name):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        judged = subprocess.run([tool, "verify", str(file)], capture_output=True, encoding="utf-8", check=False)
        return f"{judged.stdout}{judged.stderr}{judged.returncode or ''}"

    return verify


@pytest.fixture
def runnable():
    """The unit's text with a program that exists."""
    return made_runnable(UNIT)


def made_runnable(file):
    """Return a unit's text with a program that exists."""
    return re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", file.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("file", [UNIT, FAILED], ids=lambda file: file.stem)
def test_systemd_finds_no_fault_in_the_units(verify, file):
    """Not a word, not even a warning, comes from systemd-analyze."""
    assert verify(made_runnable(file), file.name) == ""


def test_the_message_that_the_service_has_failed_is_fenced_as_the_service_is(unit):
    """It runs as the same user, and may do nothing that the service may not."""
    failed = directives_of(FAILED)
    assert unit["OnFailure"] == [FAILED.name.replace("@.", "@%i.")]
    assert failed["User"] == unit["User"]
    start = unit["ExecStart"][0].replace(" run ", " notify-failure ")
    assert failed["ExecStart"] == [start]
    text = UNIT.read_text(encoding="utf-8")
    fences = [line for line in text[text.index("--- hardening") :].splitlines() if re.match(r"[A-Z]\w+=", line)]
    assert set(fences) - {"WantedBy=multi-user.target"} <= set(FAILED.read_text(encoding="utf-8").splitlines())


def test_a_misspelt_directive_would_be_noticed(verify, runnable):
    """An unknown key, of which systemd only warns, does not go unsaid."""
    assert "WatchdogSecs" in verify(runnable.replace("WatchdogSec=", "WatchdogSecs="))


def test_systemd_finds_the_service_well_fenced():
    """Systemd's own measure of what a service could do if it were taken over, 0 to 10, is at most 2."""
    tool = needs("systemd-analyze")
    said = [tool, "security", "--offline=true", "--threshold=20", str(UNIT)]
    judged = subprocess.run(said, capture_output=True, encoding="utf-8", check=False)
    if "offline" in judged.stderr:
        pytest.skip("needs systemd-analyze security --offline (systemd 250)")
    assert judged.returncode == 0, judged.stdout
    assert "Overall exposure level" in judged.stdout


def test_each_company_is_an_instance_of_its_own(unit):
    """Configuration, user and state folder bear the instance's name, so that companies share none of them."""
    (start,) = unit["ExecStart"]
    assert shlex.split(start)[-2:] == ["--config", "/etc/payment-watcher/%i.toml"]
    for name in ("User", "StateDirectory"):
        (value,) = unit[name]
        assert "%i" in value


def test_the_unit_starts_the_daemon(unit):
    """What is started is a command of the program, with options it has."""
    _, name, *options = shlex.split(*unit["ExecStart"])
    command = typer.main.get_command(cli.app).commands[name]
    spelt = {spelling for parameter in command.params for spelling in parameter.opts}
    assert name == "run"
    assert {option for option in options if option.startswith("-")} <= spelt


def test_systemd_waits_as_long_as_the_daemon_may_need(unit):
    """A start ends though a share is late; stop leaves the daemon the time it promises to end in."""
    assert unit["Type"] == ["notify"]
    assert unit["NotifyAccess"] in (["main"], ["all"])
    assert unit["TimeoutStartSec"] == ["15min"]
    assert int(*unit["TimeoutStopSec"]) > END_SECONDS
    assert int(*unit["WatchdogSec"]) > 60


def test_what_needs_a_person_is_not_tried_again(unit):
    """A daemon that ended by itself is restarted; wrong usage and a wrong configuration are not tried again."""
    assert unit["Restart"] == ["always"]
    assert {int(code) for code in unit["RestartPreventExitStatus"][0].split()} == {cli.UNUSABLE, cli.CONFIGURATION}


def test_no_key_is_left_in_a_core_dump(unit):
    """A daemon that crashes, or that the watchdog ends, leaves no memory behind."""
    assert unit["LimitCORE"] == ["0"]


def test_people_cannot_change_what_the_service_writes(unit):
    """The group of the folders reads results, and others have no right at all."""
    assert int(unit["UMask"][0], 8) == 0o027


def test_the_private_key_can_be_kept_out_of_the_configuration():
    """The comment on credentials names the one the program reads."""
    assert "LoadCredential=connectwise.private_key:" in UNIT.read_text(encoding="utf-8")
