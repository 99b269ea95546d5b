"""The programs that some tests need, and the Debian packages that bring them.

``python -m support.needs`` prints the packages whose programs are missing here, so that whoever prepares a machine can
install them. A program that is there already may come from elsewhere, and Debian's package could conflict with that.
The end of a test run lists what was skipped, and which of the packages would have changed that.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

PACKAGES = {
    "bindfs": "bindfs",
    "curl": "curl",
    "dbus-daemon": "dbus",
    "fusermount3": "fuse3",
    "groupadd": "passwd",
    "groupdel": "passwd",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "node": "nodejs",
    "npm": "npm",
    "nsenter": "util-linux",
    "ps": "procps",
    "rsync": "rsync",
    "setpriv": "util-linux",
    "smbclient": "smbclient",
    "smbd": "samba",
    "smbpasswd": "samba",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
    "umount": "mount",
    "unshare": "util-linux",
    "useradd": "passwd",
    "userdel": "passwd",
    "xmllint": "libxml2-utils",
}
# Debian keeps servers where the path of a user who is not root does not lead.
PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_PACKAGE = re.compile(r"\(packages? ([^)]+)\)")


def needs(*programs: str) -> str:
    """Return the path of the first program; skip the test if one of them is missing."""
    if reason := missing(*programs):
        pytest.skip(reason)
    return str(shutil.which(programs[0], path=PLACES))


def packages(programs: Iterable[str]) -> list[str]:
    """Return the packages, sorted, that bring those of the programs that are missing here."""
    return sorted({PACKAGES[name] for name in programs if shutil.which(name, path=PLACES) is None})


def missing(*programs: str) -> str:
    """Return which of the programs are missing and which packages bring them; empty if all are there."""
    absent = [name for name in programs if shutil.which(name, path=PLACES) is None]
    bringing = packages(absent)
    if not absent:
        return ""
    return f"needs {', '.join(absent)} (package{'s' * (len(bringing) > 1)} {', '.join(bringing)})"


def skipped(reasons: Iterable[str]) -> Iterator[str]:
    """List what was skipped: a line for each reason, and the command that installs what was missing.

    Args:
        reasons: the reason of each test that was skipped.
    """
    counted = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    if not counted:
        return
    for reason, count in counted.most_common():
        yield f"{count:4} {'test' if count == 1 else 'tests'}: {reason}"
    named = {name for reason in counted for found in _PACKAGE.findall(reason) for name in found.split(", ")}
    if named:
        yield f"On Debian and Ubuntu: apt-get install {' '.join(sorted(named))}"


if __name__ == "__main__":
    sys.stdout.write(" ".join(packages(PACKAGES)) + "\n")
