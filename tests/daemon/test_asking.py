"""ConnectWise is asked at the start and when idle, though no file comes."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request

from support.network import free_port
from support.program import Daemon, command, configure, until


def health(port):
    """Return the answer of the health check."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_keys_that_are_refused_are_found_before_the_first_file_comes(folders, sandbox):
    """Log, status, systemd and health check say so; the configuration read anew ends it, without any file."""
    port = free_port()
    served = {"status": {"listen": f"127.0.0.1:{port}"}}
    with Daemon(configure(folders, sandbox.url, connectwise={"private_key": "wrong"}, **served)) as daemon:
        waiting = daemon.event("line.waiting")
        assert "401" in waiting["reason"]
        assert "private_key" in waiting["mend"]
        code, said = health(port)
        assert (code, "401" in said) == (503, True)
        daemon.tells("STATUS=Waiting since")
        config = configure(folders, sandbox.url, **served)
        said = json.loads(command("status", "--json", "--config", config).out)
        assert (said["line"]["state"], said["line"]["cause"]) == ("waiting", "SignInRefused")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("service.reloaded")
        until(lambda: health(port) == (200, "ok\n"))
        said = until(
            lambda: (
                (found := json.loads(command("status", "--json", "--config", config).out))["connectwise"] == "answers"
                and found
            )
        )
        assert said["line"]["state"] == "watching"
        assert daemon.end() == 0


def test_a_run_of_a_single_time_asks_nothing_without_a_file(folders, sandbox):
    """It may be called every minute."""
    assert command("run", "--once", "--config", configure(folders, sandbox.url)).code == 0
    assert sandbox.books()["requests"] == {}
