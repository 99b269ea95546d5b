"""The service as an administrator has it: installed as the README says, in a booted systemd, and broken there."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request

import pytest
from machine import PROJECT, Machine, Unbootable, impossible
from support.documents import document
from support.needs import missing
from support.network import free_port
from support.posts import web
from support.program import END_SECONDS, PATIENCE, until

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
    machine.said = machine.do(first.removeprefix("sudo "))
    assert edit.split() == ["sudoedit", CONFIG.format("acme")]
    sandbox = f"payment-watcher sandbox --port {PORT} --invoices {2 * LONG} --latency 0.05"
    machine.do(f"systemd-run --quiet --unit=sandbox /usr/local/bin/{sandbox}")
    sign_in(machine, "acme")
    until(lambda: machine.run(f"curl -sf {SITE}/books >/dev/null").returncode == 0)
    for line in rest:
        user = re.match(r"sudo -u (\S+) ", line)
        machine.do(become(user[1], line[user.end() :]) if user else line.removeprefix("sudo "))
    let_in(machine, "acme")


def become(user, command):
    """Return a command as sudo -u and su run it: as a user, with all groups of that user."""
    return f"setpriv --reuid={user} --regid={user} --init-groups {command}"


def let_in(machine, company):
    """Let Anna drop files, as install.sh says."""
    machine.do("id anna >/dev/null 2>&1 || useradd --no-create-home anna")
    machine.do(f"usermod --append --groups payments-{company} anna")


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
    let_in(machine, "globex")
    return "globex"


def unit(company):
    """Return the name of a company's unit."""
    return f"payment-watcher@{company}.service"


def folder(machine, company, name):
    """Return a company's folder as this machine sees it."""
    return machine.root / "srv/payments" / company / name


def drop(machine, company, name, content):
    """Drop a file into a company's inbox as Anna does."""
    machine.write(f"/opt/dropped/{name}", content)
    inbox = f"/srv/payments/{company}/inbox"
    machine.do(become("anna", f"sh -c 'cp /opt/dropped/{name} {inbox}/.{name} && mv {inbox}/.{name} {inbox}/{name}'"))


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
    ended = machine.run("payment-watcher status acme --json")
    said = json.loads(ended.stdout)
    assert said["running"]
    assert (ended.returncode, said["sentence"]) == (1, "Needs attention: 1 payment failed and is still unpaid.")
    assert [file["name"] for file in said["finished"]] == ["first.xml"]


@pytest.mark.parametrize("command", ["status acme", "history first.xml -c acme", "explain first.xml -c acme"])
def test_somebody_who_may_only_drop_files_gets_a_sentence(machine, command):
    """A member of the company's group may not read the journal: a fault of the installation's rights, no traceback."""
    become = "setpriv --reuid=nobody --regid=payment-watcher-acme --clear-groups --"
    ended = machine.run(f"{become} payment-watcher {command}")
    assert (ended.returncode, "Traceback" in ended.stdout) == (78, False), ended.stdout
    assert "ermission denied" in ended.stdout or "cannot be" in ended.stdout


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
    as_globex = become(users[1], "")
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


def test_who_drops_files_reads_no_key(machine):
    """Neither a person of the company nor the service's group, which holds nobody, opens the configuration."""
    for command in (
        f"cat {CONFIG.format('acme')}",
        "ls /var/lib/payment-watcher/acme",
        "ls /srv/payments/acme/.work",
    ):
        assert "Permission denied" in machine.tell(become("anna", command)), command
    assert machine.do(f"stat --format='%A %U %G' {CONFIG.format('acme')}") == "-rw-r----- root payment-watcher-acme"
    assert machine.do("getent group payment-watcher-acme").endswith(":")


def test_people_read_results_and_change_none(machine):
    """What the service writes is readable for the company's people; the folders, the results and the marker stay."""
    place = "/srv/payments/acme"
    (done,) = results(machine, "acme", "success", "first")
    result = f"{place}/success/{done.name}"
    assert "InvoiceNumber" in machine.do(become("anna", f"cat {result}"))
    machine.do(become("anna", f"find {place}/success {place}/fail {place}/archive -readable"))
    for command in (
        f"rm -f {result}",
        f"touch {place}/archive/mine",
        f"mv {place}/inbox {place}/away",
        f"rm -f {place}/inbox/.payment-watcher",
        f"tee {place}/inbox/.payment-watcher </dev/null",
    ):
        assert machine.run(become("anna", command)).returncode != 0, command


def test_roots_commands_do_what_the_service_may_do(machine):
    """Under sudo's umask 077 a file goes back into the inbox as the service's. Root hears what the service sees."""
    machine.do("install -m 600 /dev/null /etc/victim && rm -f /etc/made")
    (failed,) = results(machine, "acme", "fail", "first")
    claim = failed.stem.partition("__")[2]
    for target, name in (("/etc/victim", "file"), ("/etc/made", "note")):
        machine.do(become("anna", f"ln -s {target} /srv/payments/acme/inbox/.{claim}.{name}.tmp"))
    machine.do(f"systemctl stop {unit('acme')}")
    machine.tell(f"umask 077; payment-watcher requeue {failed.name} --config {CONFIG.format('acme')}")
    assert machine.do("stat --format='%s %U' /etc/victim; ls /etc | grep -cx made || true") == "0 root\n0"
    machine.do(f"find /srv/payments/acme/inbox -type l -delete; systemctl start {unit('acme')}")
    if failed.exists():
        # It was refused while the link was in the way.
        machine.do(f"umask 077; payment-watcher requeue {failed.name} --config {CONFIG.format('acme')}")
    until(lambda: [path for path in results(machine, "acme", "fail", "first") if path.name != failed.name])
    machine.do(become("anna", "sh -c 'umask 077; echo x > /srv/payments/acme/inbox/mine.xml'"))
    explain = f"payment-watcher explain mine.xml --config {CONFIG.format('acme')}"
    until(lambda: "Permission denied" in machine.tell(explain))
    machine.do("rm /srv/payments/acme/inbox/mine.xml")
    assert machine.do("find /srv/payments/acme /var/lib/payment-watcher/acme -user root") == ""
    assert "folders.inbox" in machine.do(f"payment-watcher check --config {CONFIG.format('acme')}")


def test_the_section_for_samba_works(machine):
    """With what the installer printed, a client drops a file and reads results, and can do no more."""
    if reason := missing("smbd", "smbclient", "smbpasswd"):
        pytest.skip(reason)
    (section,) = re.findall(r"add this to smb.conf:\n((?:  .*\n)+)", machine.said)
    port = free_port()
    server = f"smb ports = {port}\ninterfaces = lo\nbind interfaces only = yes\nserver role = standalone server\n"
    machine.write("/opt/smb.conf", f"[global]\n{server}load printers = no\ndisable spoolss = yes\n{section}")
    machine.do("mkdir -p /run/samba /var/log/samba /var/lib/samba/private")
    machine.do("printf 'pw\\npw\\n' | smbpasswd -c /opt/smb.conf -a -s anna")
    machine.do("systemd-run --quiet --unit=share smbd --foreground --no-process-group --configfile=/opt/smb.conf")

    def client(what):
        options = f"-s /opt/smb.conf -p {port} -U anna%pw //127.0.0.1/acme"
        return machine.tell(f"smbclient {options} -c {shlex.quote(what)}")

    until(lambda: "inbox" in client("ls"))
    machine.write("/opt/dropped/smb.xml", document((number(5), "1.00")))
    assert "NT_STATUS" not in client("put /opt/dropped/smb.xml inbox/smb.xml")
    until(lambda: results(machine, "acme", "success", "smb"))
    (done,) = results(machine, "acme", "success", "smb")
    assert "NT_STATUS" not in client(f"get success/{done.name} /opt/dropped/got.xml")
    assert "NT_STATUS" not in client(
        "put /opt/dropped/smb.xml inbox/own.txt; rename inbox/own.txt inbox/a.txt; rm inbox/a.txt"
    )
    assert ".work" not in client("ls")
    assert ".payment-watcher" not in client("ls inbox/*")
    for what in (
        f"rm success/{done.name}",
        f"put /opt/dropped/smb.xml success/{done.name}",
        "put /opt/dropped/smb.xml archive/mine",
        "rename inbox away",
        "mkdir mine",
        "ls .work/*",
        "rm inbox/.payment-watcher",
    ):
        assert "NT_STATUS" in client(what), what
    assert done.exists()
    assert (folder(machine, "acme", "inbox") / ".payment-watcher").exists()
    machine.do("systemctl stop share")


def test_the_installer_gives_away_nothing_that_a_link_leads_to(machine):
    """In a share that people write to, a link is refused; the folder and the file of root's stay root's."""
    machine.do(
        "mkdir -p /srv/victim /srv/share && chmod 2777 /srv/share && touch /srv/victim/x && chmod 700 /srv/victim"
    )
    machine.do("install -m 600 /dev/null /root/other.toml")
    for target, name in (("/srv/victim", "inbox"), ("/root/other.toml", "payment-watcher.toml")):
        machine.do(become("anna", f"ln -s {target} /srv/share/{name}"))
    refused = machine.run("systemd/install.sh initech /srv/share")
    assert refused.returncode == 1
    assert "/srv/share/inbox is a link" in refused.stdout
    assert machine.do("stat --format='%a %U %G' /srv/victim /root/other.toml") == "700 root root\n600 root root"
    assert machine.run(f"ls {CONFIG.format('initech')}").returncode != 0
    machine.do("rm /srv/share/inbox && systemd/install.sh initech /srv/share")
    assert machine.do("stat --format='%a %U %G' /root/other.toml") == "600 root root"
    assert "/srv/share/inbox" in machine.do(f"cat {CONFIG.format('initech')}")
    machine.do(f"systemd/install.sh --uninstall initech && rm -r /srv/share {CONFIG.format('initech')}")


def test_killed_in_the_middle_it_is_restarted_and_finishes(machine):
    """Kill -9 while a file is half paid: systemd starts it again, and every invoice has one payment."""
    drop(machine, "acme", "killed.xml", payments(10, 10 + LONG))
    until(lambda: sum(bool(row) for row in list(rows().values())[9 : 9 + LONG]) > 10)
    machine.do(f"systemctl kill --signal=KILL {unit('acme')}")
    # A second POST waits for half a minute: until the first can no longer be carried out.
    until(lambda: results(machine, "acme", "success", "killed"), 120)
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
        "[Service]\nUser=payment-watcher-acme\nSupplementaryGroups=payment-watcher-globex\n"
        "ReadWritePaths=/srv/payments/acme\n",
    )
    machine.do("systemctl daemon-reload")
    machine.tell(f"systemctl start {unit(globex)}")
    try:
        until(lambda: machine.show(unit(globex), "ActiveState") == "failed")
        assert machine.show(unit(globex), "ExecMainStatus") == "78"
        assert machine.show(unit(globex), "NRestarts") == "0"
        assert said in machine.do(f"journalctl --unit={unit(globex)} --no-pager --lines=20")
    finally:
        machine.do(f"mv {file}.right {file} && rm /etc/systemd/system/{unit(globex)}.d/rights.conf")
        machine.do("systemctl daemon-reload")
        machine.do(f"systemctl reset-failed {unit(globex)} && systemctl start {unit(globex)}")


def test_people_are_told_of_a_service_that_has_failed_for_good(machine, globex):
    """It does not run, so it cannot tell them itself; what is wrong with its configuration does not matter."""
    file = CONFIG.format(globex)
    machine.do(f"systemctl stop {unit(globex)} && cp -p {file} {file}.right")
    try:
        with web() as (address, posts):
            sign_in(machine, globex, urls=[address])
            machine.do(f"sed -i 's|^settle_seconds = .*|settle_secs = 1|' {file}")
            machine.tell(f"systemctl start {unit(globex)}")
            post = posts.get(timeout=PATIENCE)
        assert (
            post["title"]
            == f"payment-watcher has failed: no payment is made ({unit(globex)} on {machine.do('hostname')})"
        )
        assert "its configuration cannot be used" in post["message"]
        assert machine.show(unit(globex), "ActiveState") == "failed"
        failed = unit(globex).replace("@", "-failed@")
        until(lambda: machine.show(failed, "ActiveState") == "inactive")
        assert machine.show(failed, "Result") == "success"
        # Root's command finds the daemon as its user.
        said = machine.do("payment-watcher retry acme")
        assert f"(process {machine.show(unit('acme'), 'MainPID')}) tries now" in said
        # The marks of the priorities have come as what they are.
        shown = machine.do(f"journalctl --unit={unit('acme')} --no-pager --output=json --lines=all")
        lines = [json.loads(line) for line in shown.splitlines()]
        told = {json.loads(line["MESSAGE"])["level"]: line["PRIORITY"] for line in lines if line["MESSAGE"][:1] == "{"}
        assert told["info"] == "6"
        assert not [line for line in lines if line["MESSAGE"][:1] == "<"]
    finally:
        machine.do(f"mv {file}.right {file}")
        machine.tell(f"systemctl reset-failed {unit(globex)}")
        machine.do(f"systemctl start {unit(globex)}")


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
        # Root's check has the key, too.
        told = machine.do(f"payment-watcher check {globex}")
        assert "the keys are accepted" in told
        assert "FAULT" not in told
    finally:
        machine.do(f"rm {drop_in} && systemctl daemon-reload")
        machine.do(f"sed -i '/^public_key/a private_key = \"{SignIn().private_key}\"' {CONFIG.format(globex)}")


def is_paid(machine, company, name):
    """Return True if a file has a success file; asked inside of the machine, where a share is mounted."""
    return machine.run(f"ls /srv/payments/{company}/success/{name}__*").returncode == 0


def test_the_share_is_mounted_first_and_its_loss_is_waited_out(machine, globex):
    """The service pulls in the mount of its folders; with the share gone it waits, and goes on once it is back."""
    share = f"/srv/payments/{globex}"
    name = machine.do(f"systemd-escape --path --suffix=mount {share}")
    machine.do(f"systemctl stop {unit(globex)} && mkdir -p /srv/share && cp -a {share}/. /srv/share/")
    machine.write(f"/etc/systemd/system/{name}", f"[Mount]\nWhat=/srv/share\nWhere={share}\nType=none\nOptions=bind\n")
    machine.do(f"rm -r {share}/.[!.]* {share}/* && systemctl daemon-reload && systemctl start {name}")
    machine.do(f"systemd/install.sh {globex} && systemctl stop {name} && systemctl start {unit(globex)}")
    assert machine.show(name, "ActiveState") == "active"
    # As a network share goes, whatever is open on it.
    machine.do(f"umount --lazy {share}")
    until(lambda: "Waiting since" in machine.show(unit(globex), "StatusText"), 30)
    assert machine.show(unit(globex), "ActiveState") == "active"
    machine.do(f"mount --bind /srv/share {share}")
    until(lambda: "Watching" in machine.show(unit(globex), "StatusText"), 30)


def test_a_share_that_comes_late_holds_up_no_start(machine, globex):
    """The unit has started before the share is there, says what it waits for, and pays once the share is mounted."""
    share = f"/srv/payments/{globex}"
    name = machine.do(f"systemd-escape --path --suffix=mount {share}")
    place, there = f"/etc/systemd/system/{name}", machine.do(f"cat /etc/systemd/system/{name}")
    machine.do(f"systemctl stop {unit(globex)} {name}; umount {share}; true")
    machine.write(place, f"[Mount]\nWhat=none\nWhere={share}\nType=no-server-yet\n")
    machine.do(f"systemctl daemon-reload && systemctl start {unit(globex)}")
    assert machine.show(name, "ActiveState") == "failed"
    assert machine.show(unit(globex), "ActiveState") == "active"
    until(lambda: "Waiting since" in machine.show(unit(globex), "StatusText"), 30)
    machine.write(place, f"{there}\n")
    machine.do(f"systemctl daemon-reload && systemctl start {name}")
    until(lambda: "Watching" in machine.show(unit(globex), "StatusText"), 30)
    drop(machine, globex, "late.xml", document(("CW-00050", "1.00")))
    until(lambda: is_paid(machine, globex, "late"))


def test_a_configuration_is_read_anew_while_the_service_runs(machine, globex):
    """A key that was wrong is mended by a reload; a configuration that cannot be used changes nothing."""
    pid = machine.show(unit(globex), "MainPID")
    sign_in(machine, globex, private_key="wrong")
    machine.do(f"systemctl reload {unit(globex)}")
    drop(machine, globex, "key.xml", document(("CW-00051", "1.00")))
    until(lambda: "Waiting since" in machine.show(unit(globex), "StatusText"), 30)
    sign_in(machine, globex)
    machine.do(f"sed -i 's/^site = /sight = /' {CONFIG.format(globex)} && systemctl reload {unit(globex)}")
    until(lambda: "service.not_reloaded" in machine.do(f"journalctl --output=cat --unit={unit(globex)}"), 30)
    machine.do(f"sed -i 's/^sight = /site = /' {CONFIG.format(globex)} && systemctl reload {unit(globex)}")
    until(lambda: is_paid(machine, globex, "key"))
    assert machine.show(unit(globex), "MainPID") == pid


def test_a_newer_version_takes_the_place_of_the_older(machine):
    """An upgrade restarts what runs, keeps configuration and folders, and leaves one environment behind."""
    make_like_the_first_version(machine, "acme")
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


def make_like_the_first_version(machine, company):
    """Give folders and people the group that version 0.1.0 gave them: the service's own."""
    user, place = f"payment-watcher-{company}", f"/srv/payments/{company}"
    machine.do(f"chgrp -R {user} {place} && chmod -R g+rwX {place} && chmod 700 {place}/.work")
    machine.do(f"chmod 2770 {place} {place}/inbox {place}/success {place}/fail {place}/archive")
    machine.do(f"useradd --no-create-home bert; usermod --append --groups {user} bert")
    machine.do(f"groupdel payments-{company}")


def test_what_the_first_version_let_people_do_is_mended(machine):
    """The upgrade moved people to a group that reads no key, and took from them what they must not change."""
    assert machine.do("getent group payment-watcher-acme").endswith(":")
    assert "bert" in machine.do("getent group payments-acme")
    let_in(machine, "acme")
    test_who_drops_files_reads_no_key(machine)
    test_people_read_results_and_change_none(machine)
    drop(machine, "acme", "later.xml", document((number(4), "1.00")))
    until(lambda: results(machine, "acme", "success", "later"))


def test_installing_the_same_again_disturbs_nothing(machine):
    """Repeated, the installer changes no file of a person's and restarts no service."""
    pid = machine.show(unit("acme"), "MainPID")
    machine.do("/opt/newer/systemd/install.sh acme")
    assert machine.show(unit("acme"), "MainPID") == pid


def test_uninstalling_leaves_the_records(machine):
    """Asked to, the installer stops and removes services, unit and program; what money was moved stays on record."""
    machine.do("systemd/install.sh --uninstall")
    assert machine.tell("systemctl list-units --all --plain --no-legend 'payment-watcher@*'") == ""
    units = ("payment-watcher@.service", "payment-watcher-failed@.service")
    for gone in (
        "opt/payment-watcher",
        "usr/local/bin/payment-watcher",
        *(f"etc/systemd/system/{name}" for name in units),
    ):
        assert not (machine.root / gone).exists()
    for kept in (
        CONFIG.format("acme").lstrip("/"),
        "var/lib/payment-watcher/acme/journal.db",
        "srv/payments/acme/archive",
    ):
        assert (machine.root / kept).exists()
