"""An inbox that is a Samba share: what a client puts there over the network is paid, whole and once."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, files, numbers, one
from support.needs import needs
from support.network import free_port
from support.program import PATIENCE, Daemon, configure, environment, until

PASSWORD = "not-much-of-a-secret"
PADDING = 2_500_000


class Share:
    """A share on a server of its own, which nobody else gets to.

    Args:
        base: an empty folder for the server's files.
        folder: the share.
    """

    def __init__(self, base: Path, folder: Path) -> None:
        self._port = free_port()
        self._log = base / "smbd.log"
        places = ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
        settings = {
            "interfaces": "lo",
            "bind interfaces only": "yes",
            "smb ports": self._port,
            "server role": "standalone server",
            "disable netbios": "yes",
            "disable spoolss": "yes",
            "load printers": "no",
            "passdb backend": f"tdbsam:{base / 'users.tdb'}",
            "log file": self._log,
            **dict.fromkeys(places, base),
        }
        lines = [f"{key} = {value}" for key, value in settings.items()]
        shared = ["[inbox]", f"path = {folder}", "read only = no"]
        self._config = base / "smb.conf"
        self._config.write_text("\n".join(["[global]", *lines, *shared, ""]))
        self._environment = environment(base)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve the share; skips the test where the system does not let us."""
        secret = f"{PASSWORD}\n{PASSWORD}\n".encode()
        added = subprocess.run(
            [needs("smbpasswd"), "-c", self._config, "-a", "-s", getpass.getuser()],
            input=secret,
            env=self._environment,
            capture_output=True,
            check=False,
        )
        if added.returncode:
            self._refuse("smbpasswd makes no user", (added.stderr + added.stdout).decode())
        with subprocess.Popen(
            [needs("smbd"), "--foreground", "--no-process-group", f"--configfile={self._config}"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # At its end it tells everybody in its process group to end.
            start_new_session=True,
        ) as process:
            try:
                until(lambda: process.poll() is not None or self._listens())
                if process.poll() is not None:
                    self._refuse("smbd does not run", self._log.read_text())
                yield
            finally:
                process.terminate()
                process.wait(PATIENCE)

    def _refuse(self, what: str, why: str) -> NoReturn:
        """End the test: as a fault, except where the system may not let us."""
        told = f"{what}: {why.strip()}"
        if os.geteuid():
            pytest.skip(told)
        pytest.fail(told)

    def _listens(self) -> bool:
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", self._port)) == 0

    def client(self, command: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a client that runs a command of smbclient(1)."""
        with_share = ("//127.0.0.1/inbox", "-p", str(self._port), "-U", f"{getpass.getuser()}%{PASSWORD}")
        return subprocess.Popen(
            [needs("smbclient"), f"--configfile={self._config}", *with_share, "-c", command],
            env=self._environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def put(self, file: Path, name: str) -> None:
        """Put a file on the share."""
        with self.client(f'put "{file}" "{name}"') as client:
            said, _ = client.communicate(timeout=PATIENCE)
        assert client.returncode == 0, said


@pytest.fixture
def share(tmp_path, folders) -> Iterator[Share]:
    """The inbox as a share."""
    needs("smbclient", "smbd", "smbpasswd")
    (tmp_path / "samba").mkdir()
    made = Share(tmp_path / "samba", folders.inbox)
    with made.served():
        yield made


def paying(numbers: Iterable[int], padding: int = 0) -> bytes:
    """Return a document that pays some invoices, with so many bytes of comments before each payment."""
    line = b"<!-- " + b"padding " * 100 + b"-->\n"
    whole = document(*((f"CW-{number}", "100.00") for number in numbers))
    return whole.replace(b"<UpdateInvoicePayment>", line * (padding // len(line)) + b"<UpdateInvoicePayment>")


def test_files_that_a_client_puts_on_the_share_are_paid(folders, start_sandbox, tmp_path, share):
    """A small file and one of fifty megabytes are taken whole, and one whose client died waits for the next attempt."""
    sandbox = start_sandbox(*(invoice(f"CW-{number}", "100.00") for number in range(29)))
    # A client sends in windows of eight megabytes, and must die between two of them.
    asked = {"small.xml": range(1), "large.xml": range(1, 21), "broken.xml": range(21, 29)}
    contents = {name: paying(numbers, 0 if name == "small.xml" else PADDING) for name, numbers in asked.items()}
    assert len(contents["large.xml"]) > 49_000_000
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    config = configure(folders, sandbox.url, inbox={"observer": "auto", "scan_seconds": 1, "settle_seconds": 0.5})
    with Daemon(config) as daemon:
        daemon.tells("READY=1")
        for name in ("small.xml", "large.xml"):
            share.put(tmp_path / name, name)

        with share.client("iosize 65536; put - broken.xml", subprocess.PIPE) as dying:
            dying.stdin.write(contents["broken.xml"][:-1000])
            dying.stdin.flush()
            arrived = folders.inbox / "broken.xml"
            until(lambda: arrived.exists() and arrived.stat().st_size)
            dying.kill()
        daemon.event("file.waiting", file="broken.xml")
        share.put(tmp_path / "broken.xml", "broken.xml")

        for name in contents:
            assert daemon.event("file.finished", file=name)["outcome"] == "succeeded"
        assert daemon.end() == 0
    for name, content in contents.items():
        assert [line["bytes"] for line in daemon.events("file.claimed", file=name)] == [len(content)]
        stem = name.removesuffix(".xml")
        assert one(folders.archive.rglob(f"{stem}__*.xml")).read_bytes() == content
        expected = [f"CW-{number}" for number in asked[name]]
        assert [number for number in numbers(one(folders.success.glob(f"{stem}__*.xml"))) if number] == expected
    assert [len(payments_of(sandbox, f"CW-{number}")) for number in range(29)] == [1] * 29
    assert files(folders.inbox) == files(folders.fail, "") == list(folders.work.iterdir()) == []
