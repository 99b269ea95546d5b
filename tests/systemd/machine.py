"""A machine of its own: a systemd booted by systemd-nspawn on an overlay of this machine, gone when it ends."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from support.needs import missing
from support.program import until

PROJECT = Path(__file__).parent.parent.parent
# Where the project lies in the machine, read-only: /tmp, /root and /run are not what they are outside.
SOURCE = "/opt/source"
_BOOT_SECONDS = 60.0
# What boots it, and what the tests run in it.
_PROGRAMS = ("systemd-nspawn", "nsenter", "setpriv", "mount", "dbus-daemon", "curl", "ps")
# What an overlay of a container's or server's root may start that a test has no use for.
_WANTS = ("etc/systemd/system/multi-user.target.wants", "etc/systemd/system/timers.target.wants")
# systemd-nspawn leaves these groups of its payload behind where nothing manages them (cgroup version 1).
_GROUPS = ("unified/payload/init.scope", "systemd/payload/init.scope", "unified/payload", "systemd/payload")
_SUPERVISORS = ("unified/supervisor", "systemd/supervisor")


def impossible() -> str | None:
    """Return why no machine can be booted here; None if one can."""
    if os.geteuid() != 0:
        return "booting a machine needs root"
    return missing(*_PROGRAMS) or None


class Unbootable(Exception):
    """This machine does not let another one boot on it."""


class Machine:
    """A booted machine, in which commands are run as root."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="machine-")))
            self._mount("tmpfs", self._place, "-t", "tmpfs", "-o", "size=2g")
            stack.callback(self._unmount, self._place)
            self.root = self._place / "root"
            for folder in ("upper", "work", "root"):
                (self._place / folder).mkdir()
            layers = f"lowerdir=/,upperdir={self._place}/upper,workdir={self._place}/work"
            self._mount("overlay", self.root, "-t", "overlay", "-o", layers)
            stack.callback(self._unmount, self.root)
            for folder in _WANTS:
                for link in (self.root / folder).glob("*"):
                    link.unlink()
            self._boot(stack)
            self._stack = stack.pop_all()
        return self

    def _boot(self, stack: ExitStack) -> None:
        log = stack.enter_context((self._place / "console").open("wb"))
        options = ["--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe"]
        self._nspawn = subprocess.Popen(
            [
                "systemd-nspawn",
                *options,
                f"--directory={self.root}",
                f"--bind-ro={PROJECT}:{SOURCE}",
                "--hostname=books",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        stack.callback(self._power_off)
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")

        def up() -> bool:
            if self._nspawn.poll() is not None:
                said = (self._place / "console").read_text(encoding="utf-8", errors="replace")
                raise Unbootable(f"systemd-nspawn ended: {said.strip()[-300:]}")
            try:
                self._leader = children.read_text(encoding="ascii").split()[:1]
            except FileNotFoundError:
                # It has just ended, which the next look notices.
                return False
            return bool(self._leader) and self.tell("systemctl is-system-running") in ("running", "degraded")

        until(up, _BOOT_SECONDS)

    def _power_off(self) -> None:
        if self._nspawn.poll() is None:
            self.run("systemctl poweroff")
            try:
                self._nspawn.wait(_BOOT_SECONDS)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
        for group in (*_GROUPS, *_SUPERVISORS):
            with suppress(OSError):
                Path("/sys/fs/cgroup", group).rmdir()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @staticmethod
    def _mount(what: str, place: Path, *options: str) -> None:
        mounted = subprocess.run(["mount", *options, what, str(place)], capture_output=True, check=False)
        if mounted.returncode:
            raise Unbootable(mounted.stderr.decode().strip())

    @staticmethod
    def _unmount(place: Path) -> None:
        subprocess.run(["umount", str(place)], check=True)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in it."""
        kept = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]
        enter = ["nsenter", "--target", *self._leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG=C.UTF-8", *kept]
        return subprocess.run(
            [*enter, "--", *clean, "bash", "-c", f"cd {SOURCE} && {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )

    def tell(self, command: str) -> str:
        """Return what a line of shell prints, however it ends."""
        return self.run(command).stdout.strip()

    def do(self, command: str) -> str:
        """Run a line of shell that must succeed, and return what it prints."""
        ended = self.run(command)
        assert ended.returncode == 0, f"{command}: {ended.returncode}\n{ended.stdout}"
        return ended.stdout.strip()

    def write(self, path: str, content: str | bytes) -> None:
        """Put a file into it in one go."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.aside")
        aside.write_bytes(content if isinstance(content, bytes) else content.encode())
        aside.rename(target)

    def show(self, unit: str, name: str) -> str:
        """Return one property of a unit."""
        return self.do(f"systemctl show --property={name} --value {unit}")
