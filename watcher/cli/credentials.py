"""Root's ``check`` with the credentials that systemd gives to a company's service.

A key that the unit loads as a credential is in no file that the configuration names. So the check is made by the
service manager, as the unit's user and with the unit's credentials (systemd.exec(5), LoadCredential=).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from watcher.config import load as config

_SETTINGS = ("LoadCredential=", "LoadCredentialEncrypted=")


def check(named: Path | None, arguments: Sequence[str]) -> int | None:
    """Run ``check`` with the credentials of the company's unit.

    Args:
        named: the configuration file or company that was named; None if none was.
        arguments: further arguments of the command.

    Returns:
        The exit code; None if the caller is not root, or if the unit has no such credentials.
    """
    path = config.find(named)
    if os.geteuid() != 0 or path is None or path.parent != config.COMPANIES or "CREDENTIALS_DIRECTORY" in os.environ:
        return None
    systemctl, run = shutil.which("systemctl"), shutil.which("systemd-run")
    program = Path(sys.argv[0]).resolve()
    if systemctl is None or run is None or not os.access(program, os.X_OK):
        return None
    unit = [systemctl, "cat", f"payment-watcher@{path.stem}.service"]
    told = subprocess.run(unit, capture_output=True, encoding="utf-8", check=False)  # noqa: S603  (systemd's own)
    loads = [line for line in told.stdout.splitlines() if line.startswith(_SETTINGS)]
    if not loads:
        return None
    properties = [f"--property={each}" for each in (f"User=payment-watcher-{path.stem}", *loads)]
    manager = [run, "--quiet", "--pipe", "--wait", "--collect", *properties, "--"]
    command = [*manager, str(program), "check", "--config", str(path), *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603  (as above)
