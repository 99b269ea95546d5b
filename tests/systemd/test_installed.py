"""The service as an administrator has it: installed as the README says, in a booted systemd, and broken there."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request

import pytest
from machine import PROJECT, Machine, Unbootable, impossible
from support.documents import document
from support.network import free_port
from support.program import END_SECONDS, until

from watcher.sandbox import SignIn

# Installing takes what the registry takes.
pytestmark = pytest.mark.timeout(300)

PORT = free_port()
SITE = f"http://127.0.0.1:{PORT}"
CONFIG = "/etc/payment-watcher/{}.toml"
# Long enough that something can be done to a file in work, in payments.
LONG = 400


@pytest.fixture(scope="module")
def machine():
    """A machine with a ConnectWise of its own and the service of the company acme, installed as the README says."""
    reason = impossible()
    if reason:
        pytest.skip(reason)
    try:
        with Machine() as booted:
            install(booted)
            yield booted
    except Unbootable as fault:
        pytest.skip(f"no machine can be booted here: {fault}")


def commands():
    """Return the commands under the README's heading on installation."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"## Install it as a service\n.*?\n```\n(.*?)\n```", text, flags=re.DOTALL)[:1]
    return block.splitlines()


def install(machine):
    """Type what the README says; where it says to edit the configuration, put in the account of a sandbox."""
    first, edit, *rest = commands()
    assert first.startswith("sudo systemd/install.sh acme")
    machine.do(first.removeprefix("sudo "))
    assert edit.split() == ["sudoedit", CONFIG.format("acme")]
    sandbox = f"payment-watcher sandbox --port {PORT} --invoices {2 * LONG} --latency 0.05"
    machine.do(f"systemd-run --quiet --unit=sandbox /usr/local/bin/{sandbox}")
    sign_in(machine, "acme")
    until(lambda: machine.run(f"curl -sf {SITE}/books >/dev/null").returncode == 0)
    for line in rest:
        user = re.match(r"sudo -u (\S+) ", line)
        machine.do(
            f"setpriv --reuid={user[1]} --regid={user[1]} --clear-groups {line[user.end() :]}"
            if user
            else line.removeprefix("sudo ")
        )


def sign_in(machine, company, **changes):
    """Edit a company's configuration so that its account is the sandbox's."""
    keys = SignIn()
    values = {
        "site": SITE,
        "company": keys.company,
        "client_id": keys.client_id,
        "public_key": keys.public_key,
        "private_key": keys.private_key,
        "settle_seconds": 1,
        "requests_per_minute": 3000,
    } | changes
    file = machine.root / CONFIG.format(company).lstrip("/")
    text = file.read_text(encoding="utf-8")
    for key, value in values.items():
        text = re.sub(rf"^(?:# )?{key} = .*$", f"{key} = {json.dumps(value)}", text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def globex(machine):
    """A second company on the same machine, running."""
    machine.do("systemd/install.sh globex")
    sign_in(machine, "globex")
    machine.do("systemctl start payment-watcher@globex")
    return "globex"


def unit(company):
    """Return the name of a company's unit."""
    return f"payment-watcher@{company}.service"


def folder(machine, company, name):
    """Return a company's folder as this machine sees it."""
    return machine.root / "srv/payments" / company / name


def drop(machine, company, name, content):
    """Drop a file into a company's inbox as one of its group does."""
    machine.write(f"/srv/payments/{company}/{name}", content)
    machine.do(f"mv /srv/payments/{company}/{name} /srv/payments/{company}/inbox/{name}")


def number(ordinal):
    """Return the number of one of the sandbox's invoices."""
    return f"CW-{ordinal:05d}"


def payments(first, last):
    """Return a document that pays a run of the sandbox's invoices."""
    return document(*((number(ordinal), "1.00") for ordinal in range(first, last)))


def results(machine, company, where, stem):
    """Return the result files of a dropped file."""
    return list(folder(machine, company, where).glob(f"{stem}__*.xml"))


def rows():
    """Return the sandbox's payment rows by invoice number; the machine shares this one's loopback address."""
    with urllib.request.urlopen(f"{SITE}/books") as answer:
        return {row["invoiceNumber"]: row["paymentRows"] for row in json.load(answer)["invoices"]}


def log(machine, company):
    """Return the journal of a company's unit, a dict a line of its own."""
    lines = machine.do(f"journalctl --unit={unit(company)} --output=cat --no-pager").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_what_the_readme_says_gives_a_service_that_watches(machine):
    """After the README's commands the unit is active, says what it does, and has told the journal how it watches."""
    assert machine.show(unit("acme"), "ActiveState") == "active"
    assert machine.do(f"systemctl is-enabled {unit('acme')}") == "enabled"
    assert "Watching /srv/payments/acme/inbox" in machine.show(unit("acme"), "StatusText")
    (watching,) = [line for line in log(machine, "acme") if line["event"] == "inbox.watching"]
    assert watching["mode"] == "native"


def test_a_dropped_file_is_paid_under_all_the_fences(machine):
    """The hardened service does its whole job: claim, calls, success, fail, archive and receipt."""
    drop(machine, "acme", "first.xml", document((number(1), "1.00"), ("CW-NONE", "1.00")))
    until(lambda: list(folder(machine, "acme", "archive").rglob("first__*.xml")))
    assert results(machine, "acme", "success", "first")
    assert results(machine, "acme", "fail", "first")
    assert list(folder(machine, "acme", "archive").rglob("first__*.receipt.json"))
    assert len(rows()[number(1)]) == 1


def test_status_and_journal_are_found_by_the_administrator(machine):
    """The command line as root finds the service's journal without being told where it lies."""
    said = json.loads(machine.do(f"payment-watcher status --json --config {CONFIG.format('acme')}"))
    assert said["running"]
    assert [file["name"] for file in said["finished"]] == ["first.xml"]


def test_what_the_service_need_not_touch_it_cannot_touch(machine):
    """Inside its fences it can write to its folders and its state, and to nothing else of the machine."""
    pid = machine.show(unit("acme"), "MainPID")
    inside = f"nsenter --target {pid} --mount --setuid 0 --"
    for place in ("/etc", "/opt/payment-watcher", "/srv/payments", "/usr"):
        assert "Read-only" in machine.tell(f"{inside} touch {place}/probe")
    assert machine.tell(f"{inside} ls /root /home") == "/home:\n\n/root:"


def test_two_companies_cannot_read_each_other(machine, globex):
    """Each instance has a user of its own, and configuration, folders and journal are closed to the other one."""
    users = [machine.do(f"ps -o user:32= -p {machine.show(unit(name), 'MainPID')}") for name in ("acme", globex)]
    assert users == ["payment-watcher-acme", "payment-watcher-globex"]
    as_globex = f"setpriv --reuid={users[1]} --regid={users[1]} --clear-groups"
    for place in (
        CONFIG.format("acme"),
        "/srv/payments/acme/inbox",
        "/srv/payments/acme/.work",
        "/var/lib/payment-watcher/acme/journal.db",
    ):
        assert "Permission denied" in machine.tell(f"{as_globex} ls {place}/. {place}; {as_globex} cat {place}"), place
    drop(machine, globex, "theirs.xml", document((number(2), "1.00")))
    until(lambda: results(machine, globex, "success", "theirs"))
    assert not list(folder(machine, "acme", "archive").rglob("theirs*"))


def test_killed_in_the_middle_it_is_restarted_and_finishes(machine):
    """Kill -9 while a file is half paid: systemd starts it again, and every invoice has one payment."""
    drop(machine, "acme", "killed.xml", payments(10, 10 + LONG))
    until(lambda: sum(bool(row) for row in list(rows().values())[9 : 9 + LONG]) > 10)
    machine.do(f"systemctl kill --signal=KILL {unit('acme')}")
    until(lambda: results(machine, "acme", "success", "killed"), 60)
    assert machine.show(unit("acme"), "NRestarts") == "1"
    paid = rows()
    assert {len(paid[number(ordinal)]) for ordinal in range(10, 10 + LONG)} == {1}
    until(lambda: not any(folder(machine, "acme", ".work").iterdir()))


def test_stopped_in_the_middle_it_ends_within_five_seconds(machine):
    """Systemctl stop while a file is half paid returns soon, without a kill; the next start finishes the file."""
    drop(machine, "acme", "stopped.xml", payments(10 + LONG, 2 * LONG))
    until(lambda: rows()[number(10 + LONG)])
    machine.do(f"systemctl stop {unit('acme')}")
    ended, asked = (
        int(machine.show(unit("acme"), f"{moment}TimestampMonotonic")) for moment in ("InactiveEnter", "ActiveExit")
    )
    assert ended - asked < END_SECONDS * 1e6
    assert machine.show(unit("acme"), "Result") == "success"
    assert not results(machine, "acme", "success", "stopped")
    machine.do(f"systemctl start {unit('acme')}")
    until(lambda: results(machine, "acme", "success", "stopped"), 60)


def test_a_daemon_that_hangs_is_restarted(machine, globex):
    """SIGSTOP keeps it from feeding the watchdog: systemd ends it and starts another one."""
    # A quarter of a minute instead of three, so that the test does not take them.
    machine.write(f"/etc/systemd/system/{unit(globex)}.d/soon.conf", "[Service]\nWatchdogSec=8\nRestartSec=1\n")
    machine.do(f"systemctl daemon-reload && systemctl restart {unit(globex)}")
    before = machine.show(unit(globex), "MainPID")
    machine.do(f"systemctl kill --signal=STOP {unit(globex)}")
    until(lambda: machine.show(unit(globex), "NRestarts") == "1", 30)
    until(lambda: machine.show(unit(globex), "ActiveState") == "active")
    assert machine.show(unit(globex), "MainPID") != before
    assert "Watchdog timeout" in machine.do(f"journalctl --unit={unit(globex)} --no-pager")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("s|^settle_seconds = .*|settle_secs = 1|", "inbox.settle_secs"),
        ("s|/srv/payments/globex/|/srv/payments/acme/|", "another payment-watcher"),
    ],
    ids=["wrong key", "second daemon"],
)
def test_what_needs_a_person_is_not_tried_again(machine, globex, edit, said):
    """A wrong key, or another company's inbox, ends the service once, with code 78 and the reason."""
    file = CONFIG.format(globex)
    machine.do(f"systemctl stop {unit(globex)} && cp -p {file} {file}.right && sed -i {shlex.quote(edit)} {file}")
    # For the second daemon to come so far as to see the first one, it needs the rights that it should not have.
    machine.write(
        f"/etc/systemd/system/{unit(globex)}.d/rights.conf",
        "[Service]\nSupplementaryGroups=payment-watcher-acme\nReadWritePaths=/srv/payments/acme\n",
    )
    machine.do("chmod g+rwx /srv/payments/acme/.work && systemctl daemon-reload")
    machine.tell(f"systemctl start {unit(globex)}")
    try:
        until(lambda: machine.show(unit(globex), "ActiveState") == "failed")
        assert machine.show(unit(globex), "ExecMainStatus") == "78"
        assert machine.show(unit(globex), "NRestarts") == "0"
        assert said in machine.do(f"journalctl --unit={unit(globex)} --no-pager --lines=20")
    finally:
        machine.do(f"mv {file}.right {file} && rm /etc/systemd/system/{unit(globex)}.d/rights.conf")
        machine.do("chmod 700 /srv/payments/acme/.work && systemctl daemon-reload")
        machine.do(f"systemctl reset-failed {unit(globex)} && systemctl start {unit(globex)}")


@pytest.mark.parametrize("how", ["LoadCredential", "LoadCredentialEncrypted"])
def test_the_private_key_comes_as_a_credential(machine, globex, how):
    """With the key in a file that only root reads, plain or encrypted, and not in the configuration, payments go on."""
    drop_in, key = f"/etc/systemd/system/{unit(globex)}.d/key.conf", "/etc/payment-watcher/globex.key"
    machine.write(key, SignIn().private_key)
    machine.do(f"chmod 600 {key} && sed -i '/^private_key/d' {CONFIG.format(globex)}")
    if how == "LoadCredentialEncrypted":
        machine.do(f"systemd-creds encrypt --with-key=host --name=connectwise.private_key {key} {key}.cred && rm {key}")
        key = f"{key}.cred"
    machine.write(drop_in, f"[Service]\n{how}=connectwise.private_key:{key}\n")
    machine.do(f"systemctl daemon-reload && systemctl restart {unit(globex)}")
    try:
        drop(machine, globex, f"{how}.xml", document((number(3), "1.00")))
        until(lambda: results(machine, globex, "success", how))
    finally:
        machine.do(f"rm {drop_in} && systemctl daemon-reload")
        machine.do(f"sed -i '/^public_key/a private_key = \"{SignIn().private_key}\"' {CONFIG.format(globex)}")


def test_the_share_is_mounted_first_and_its_loss_is_waited_out(machine, globex):
    """The service pulls in the mount of its folders; with the share gone it waits, and goes on once it is back."""
    share = f"/srv/payments/{globex}"
    name = machine.do(f"systemd-escape --path --suffix=mount {share}")
    machine.do(f"systemctl stop {unit(globex)} && mkdir -p /srv/share && cp -a {share}/. /srv/share/")
    machine.write(f"/etc/systemd/system/{name}", f"[Mount]\nWhat=/srv/share\nWhere={share}\nType=none\nOptions=bind\n")
    machine.do(f"rm -r {share}/* && systemctl daemon-reload && systemctl start {unit(globex)}")
    assert machine.show(name, "ActiveState") == "active"
    # As a network share goes, whatever is open on it.
    machine.do(f"umount --lazy {share}")
    until(lambda: "Waiting since" in machine.show(unit(globex), "StatusText"), 30)
    assert machine.show(unit(globex), "ActiveState") == "active"
    machine.do(f"mount --bind /srv/share {share}")
    until(lambda: "Watching" in machine.show(unit(globex), "StatusText"), 30)


def test_a_newer_version_takes_the_place_of_the_older(machine):
    """An upgrade restarts what runs, keeps configuration and folders, and leaves one environment behind."""
    file = machine.root / CONFIG.format("acme").lstrip("/")
    before, pid = file.read_bytes(), machine.show(unit("acme"), "MainPID")
    newer = "/opt/newer"
    machine.do(f"mkdir {newer} && cp -r README.md LICENSE pyproject.toml requirements.lock systemd watcher {newer}")
    machine.do(f"sed -i 's/^__version__ = .*/__version__ = \"99.0\"/' {newer}/watcher/__init__.py")
    machine.do(f"{newer}/systemd/install.sh")
    assert "99.0" in machine.do("payment-watcher --version")
    assert file.read_bytes() == before
    assert machine.show(unit("acme"), "ActiveState") == "active"
    assert machine.show(unit("acme"), "MainPID") != pid
    assert len(list((machine.root / "opt/payment-watcher").glob("release-*"))) == 1


def test_installing_the_same_again_disturbs_nothing(machine):
    """Repeated, the installer changes no file of a person's and restarts no service."""
    pid = machine.show(unit("acme"), "MainPID")
    machine.do("/opt/newer/systemd/install.sh acme")
    assert machine.show(unit("acme"), "MainPID") == pid


def test_uninstalling_leaves_the_records(machine):
    """Asked to, the installer stops and removes services, unit and program; what money was moved stays on record."""
    machine.do("systemd/install.sh --uninstall")
    assert machine.tell("systemctl list-units --all --plain --no-legend 'payment-watcher@*'") == ""
    for gone in ("opt/payment-watcher", "usr/local/bin/payment-watcher", "etc/systemd/system/payment-watcher@.service"):
        assert not (machine.root / gone).exists()
    for kept in (
        CONFIG.format("acme").lstrip("/"),
        "var/lib/payment-watcher/acme/journal.db",
        "srv/payments/acme/archive",
    ):
        assert (machine.root / kept).exists()
