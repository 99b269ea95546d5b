"""Tells people that the daemon has failed for good: it does not run, so it cannot tell them itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from watcher.plain import plain

if TYPE_CHECKING:
    from watcher.events.courier import Send
    from watcher.events.notices import Notice

# What systemd says of a unit that has failed (systemd.exec(5), $SERVICE_RESULT), in words.
_RESULTS = {
    "start-limit-hit": "it ended again and again",
    "watchdog": "it hung",
    "timeout": "it did not start or end in time",
    "oom-kill": "the machine had no memory left for it",
    "resources": "systemd could not start it",
}
_CODES = {
    "2": "it was started in a wrong way",
    "78": "its configuration cannot be used, or another daemon holds its inbox or its journal",
}


def notice_of(told: Mapping[str, str], company: str, host: str) -> Notice:
    """Return what people should know.

    Args:
        told: what systemd tells a unit of ``OnFailure=`` in the environment (``$MONITOR_UNIT`` and others). Older
            versions tell nothing.
        company: the name of the configuration, for these.
        host: the name of this machine.
    """
    # Late: a command that sends no message does without.
    from watcher.events.notices import Notice

    unit = plain(told.get("MONITOR_UNIT") or f"payment-watcher@{company}.service")
    status = told.get("MONITOR_EXIT_STATUS", "") if told.get("MONITOR_EXIT_CODE") == "exited" else ""
    why = _CODES.get(status) or _RESULTS.get(told.get("MONITOR_SERVICE_RESULT", ""), "")
    return Notice(
        f"payment-watcher has failed: no payment is made ({unit} on {plain(host)})",
        f"{unit} on {plain(host)} does not run{f': {why}' if why else ''}, and systemd does not start it again.\n"
        "Nothing is lost: files wait in the inbox, and what was begun is finished after the next start.\n"
        f"Look at the last lines of its log: journalctl --unit={unit} --lines=50\n"
        f"Once that is mended, start it: systemctl start {unit}",
    )


def tell(senders: Sequence[tuple[str, Send]], notice: Notice) -> Iterator[tuple[str, str | None]]:
    """Send a notice to each service.

    Yields:
        The name of each service, and what went wrong; None if it took the notice.
    """
    for name, send in senders:
        yield name, send(notice)
