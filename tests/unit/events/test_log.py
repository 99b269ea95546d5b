"""The log: its form, its events, and that no secret is ever in it."""

from __future__ import annotations

import ast
import base64
import functools
import http.server
import io
import json
import logging
import re
import sys
import threading
import urllib.parse
import warnings
from collections import defaultdict
from pathlib import Path

import pytest
import structlog
from support.connectwise import invoice
from support.documents import document, drop
from support.program import command, configure, restored

import watcher
from watcher.events import log as logs
from watcher.events.catalogue import Event
from watcher.sandbox import SignIn

SOURCES = sorted(Path(watcher.__file__).parent.rglob("*.py"))
README = Path(__file__).parents[3] / "README.md"
# As ConnectWise and its developer site give them out: nothing of them occurs anywhere by chance.
SECRETS = SignIn(
    company="acme",
    public_key="qW3rTyU1oPaS5dFg",
    private_key="Zx9Cv7Bn5Mk3Lj1H",
    client_id="5f0c9d1e-7a3b-4c8d-9e2f-61b7a4d80c35",
)
USER = f"{SECRETS.company}+{SECRETS.public_key}:{SECRETS.private_key}"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def start():
    """Start to log, and return the stream; the process's own logging is put back at the end."""
    with restored():

        def start(level="debug", style="json", secrets=(), stream=None):
            stream = stream or io.StringIO()
            logs.set_up(level, style, secrets, stream)
            return stream

        yield start


def lines(stream):
    """Return a log's lines as dicts."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def leaks(text):
    """Return the secrets that a text holds: as they are, percent-encoded, or within Base64 of any alignment."""
    plain = [text, urllib.parse.unquote(text)]
    for run in re.findall(r"[A-Za-z0-9+/_-]{6,}", text):
        for offset in range(4):
            piece = run[offset:].replace("-", "+").replace("_", "/")
            piece = piece[: len(piece) - (len(piece) % 4 == 1)]
            plain.append(base64.b64decode(piece + "=" * (-len(piece) % 4)).decode("latin-1"))
    return {
        secret
        for secret in (SECRETS.public_key, SECRETS.private_key, SECRETS.client_id)
        if any(secret.casefold() in form.casefold() for form in plain)
    }


def test_leak_would_be_found():
    """The search for secrets knows every form it is used to rule out."""
    header = base64.b64encode(USER.encode()).decode()
    for form in (
        SECRETS.private_key,
        urllib.parse.quote(USER, safe=""),
        header,
        f"Authorization: Basic {header}",
        header[1:],
        base64.urlsafe_b64encode(b"??" + USER.encode()).decode(),
        base64.b64encode(f"x{SECRETS.private_key}".encode()).decode(),
        SECRETS.client_id.upper(),
    ):
        assert leaks(f'{{"event": "{form}"}}'), form
    assert not leaks("Basic *** of acme")


# --- secrets ---------------------------------------------------------------------------------------------------


@pytest.fixture
def mirror():
    """A gateway that refuses every call and repeats the request's headers in its answer."""

    class Mirror(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            said = json.dumps({"code": "Unauthorized", "message": f"refused: {dict(self.headers)}"}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


RUN, APPLY, CHECK = ("run", "--once"), ("apply", "export.xml"), ("check",)


@pytest.mark.parametrize(
    ("arguments", "case", "style"),
    [
        *((RUN, case, style) for case in ("succeeds", "is refused", "is mirrored") for style in ("json", "console")),
        *((APPLY, case, "json") for case in ("succeeds", "is refused", "is mirrored")),
        *((CHECK, case, "json") for case in ("succeeds", "is mirrored")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_no_secret_is_in_what_a_command_says(folders, start_sandbox, mirror, tmp_path, arguments, case, style):
    """At level debug neither output of a command, in any form of log, holds a key, the client id or the sign-in."""
    sandbox = start_sandbox(invoice("CW-1", "100.00"), sign_in=SECRETS if case == "succeeds" else SignIn())
    keys = {key: getattr(SECRETS, key) for key in ("company", "public_key", "private_key", "client_id")}
    site = mirror if case == "is mirrored" else sandbox.url
    config = configure(folders, site, connectwise=keys, logging={"level": "debug", "format": style})
    content = document(("CW-1", "100.00"), ("CW-404", "1.00"))
    drop(folders.inbox, "in.xml", content)
    (tmp_path / "export.xml").write_bytes(content)
    ended = command(*arguments, "--config", config)
    assert (ended.code in (0, 1)) is (case == "succeeds")
    assert ("urllib3" in ended.err or "HTTP" in ended.err) or arguments == CHECK
    assert leaks(ended.err) == leaks(ended.out) == set()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_no_secret_is_in_the_log_at_any_level(start, style, level):
    """Whoever logs it, however it is wrapped or encoded, a secret is replaced; the words around it are kept."""
    stream = start(level, style, (SECRETS.private_key, SECRETS.public_key, SECRETS.client_id, USER))
    header = f"Basic {base64.b64encode(USER.encode()).decode()}"
    values = (USER, header, urllib.parse.quote(USER), {"Authorization": header}, [("clientId", SECRETS.client_id)])
    ours, library = structlog.get_logger(), logging.getLogger("urllib3.connectionpool")

    def fail(value):
        raise ConnectionError(value) from ValueError(f"{value}")

    for value in values:
        for method in ("debug", "info", "warning", "error", "critical"):
            getattr(ours, method)(f"before {value} after")
            getattr(ours, method)("before", value=value)
            getattr(library, method)("before %s after", value)
        warnings.warn(f"before {value} after", stacklevel=1)
        try:
            fail(value)
        except ConnectionError:
            ours.exception("before", value=value)
            library.exception("before %s after", value)
    said = stream.getvalue()
    assert "before" in said
    assert "Traceback" in said
    assert "***" in said
    assert leaks(said) == set()


@pytest.mark.parametrize("style", ["json", "console"])
def test_uncaught_errors_are_logged_without_secrets(start, style):
    """An error that nobody catches, in the main thread or another, is one event with its traceback, and no secret."""
    stream = start("info", style, (SECRETS.private_key,))

    def fail():
        raise RuntimeError(f"lost with {SECRETS.private_key}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except RuntimeError:
        sys.excepthook(*sys.exc_info())
    said = stream.getvalue()
    assert said.count("service.crashed") == 2
    assert said.count("RuntimeError: lost with ***") == 2
    assert leaks(said) == set()
    if style == "json":
        assert all(set(line) == {"timestamp", "level", "event", Event.CRASHED.keys} for line in lines(stream))


def test_short_secret_takes_no_word_apart(start):
    """A secret as short as a word is replaced where it stands alone, and not within another word."""
    stream = start(secrets=["pay"])
    structlog.get_logger().info("the key pay, and payment.finished")
    assert lines(stream)[0]["event"] == "the key ***, and payment.finished"


# --- form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("console", io.StringIO, False),
    ],
)
def test_log_is_json_unless_on_a_terminal(start, style, stream, is_json):
    """Without being told, lines for people go to a terminal only; either form can be asked for."""
    stream = start("info", style, (), stream())
    structlog.get_logger().info(Event.FILE_CLAIMED, file="a.xml", bytes=3)
    said = stream.getvalue()
    assert "file.claimed" in said
    assert said.startswith("{") is is_json
    assert said.count("\n") == 1


def test_line_of_json_holds_what_was_logged_as_it_was(start):
    """Numbers, truths, None and texts of any script come back from JSON; the time is UTC."""
    stream = start()
    structlog.get_logger().warning("some.event", file='ä "b"\n.xml', count=3, none=None, yes=True, path=Path("/x"))
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "some.event",
        "level": "warning",
        "file": 'ä "b"\n.xml',
        "count": 3,
        "none": None,
        "yes": True,
        "path": "/x",
    }


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_words_of_others_steer_no_terminal(start, stream):
    """Names, ConnectWise's words, a library's and an error's: in lines for people, each is one piece of plain text."""
    odd = "a\n2026 [error] forged\x1b]0;x\x07\x9b31m\u202e\u2028\udcfc.xml"
    stream = start("info", "console", (), stream())
    structlog.get_logger().info(Event.FILE_CLAIMED, file=odd, listed=[odd], path=Path(odd), error=ValueError(odd))
    logging.getLogger("library").warning("said %s", odd)
    structlog.get_logger().error("failed", exc_info=ValueError(odd))
    said = re.sub(r"\x1b\[\d*m", "", stream.getvalue())
    assert all(line.isprintable() for line in said.split("\n")), said
    assert not any(line.startswith("2026 [error]") for line in said.split("\n")[:2])
    assert said.count(r"\u202e") == 6


def test_long_text_is_cut_in_lines_for_people_and_no_part_of_a_secret_stays(start):
    """Wherever the cut falls: the secret is taken out before."""
    for before in range(1970, 2000):
        stream = start("info", "console", (SECRETS.private_key,))
        structlog.get_logger().info("sent", value="x" * before + SECRETS.private_key + "y" * 10000)
        said = stream.getvalue()
        assert len(said) < 2200
        assert SECRETS.private_key[:6] not in said


@pytest.mark.filterwarnings("default")
def test_libraries_and_warnings_go_the_same_way(start):
    """A library's record and a warning are lines of the same form, with level and time."""
    stream = start()
    logging.getLogger("urllib3").debug("Starting connection (%d)", 1)
    warnings.warn("old ways", UserWarning, stacklevel=1)
    library, warning = lines(stream)
    assert (library["event"], library["level"]) == ("Starting connection (1)", "debug")
    assert "old ways" in warning["event"]
    assert warning["level"] == "warning"
    assert all(line["timestamp"] for line in (library, warning))


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_nothing_below_the_level_is_shown(start, level, shown):
    """Ours and the libraries' lines are shown from the level on."""
    stream = start(level)
    for logger in (structlog.get_logger(), logging.getLogger("library")):
        for method in ("debug", "info", "warning", "error"):
            getattr(logger, method)(method)
    expected = ["debug", "info", "warning", "error"][-shown:]
    assert [line["level"] for line in lines(stream)] == expected * 2


def test_setting_up_again_doubles_no_line(start):
    """The last call holds: each line is written once, to the last stream."""
    first, second = start(), start()
    structlog.get_logger().info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


# --- events ----------------------------------------------------------------------------------------------------


@functools.cache
def logged():
    """Return every call of a logger in the source: (place, its first argument, names of the others)."""
    return list(_logged())


def _logged():
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("debug", "info", "warning", "error", "critical", "exception")
                and re.search(r"\blog\b|_log\b|get_logger\(\)", ast.unparse(node.func.value))
            ):
                yield f"{file.name}:{node.lineno}", node.args[0], [keyword.arg for keyword in node.keywords]


def test_every_event_of_the_source_is_described():
    """No call of a logger names an event of its own: all are members of Event, and all members are used."""
    assert len(logged()) > 10
    for place, event, _ in logged():
        assert re.match(r"Event\.[A-Z_]+$|event$", ast.unparse(event)), f"{place} logs {ast.unparse(event)}"
    source = "".join(file.read_text(encoding="utf-8") for file in SOURCES)
    for event in Event:
        assert f"Event.{event.name}" in source, f"{event.name} is never logged"
        assert source.count(f'"{event.value}"') == 1, f"{event.value} is written as text elsewhere"


def test_every_event_is_logged_with_the_keys_it_is_described_with():
    """What a call gives with an event is what the event's description says, neither more nor less."""
    brought = defaultdict(set)
    for _, event, keys in logged():
        name = ast.unparse(event).removeprefix("Event.")
        if name in Event.__members__ and None not in keys:
            brought[Event[name]] |= {"exception" if key == "exc_info" else key for key in keys}
    assert len(brought) > 10
    for event, keys in brought.items():
        assert keys == set(event.keys.split()), event


def test_readme_lists_every_event_with_its_keys():
    """Each event stands in a row of README's table, with when it is logged and every key; no other event does."""
    rows = {
        name: (when, keys)
        for name, when, keys in re.findall(
            r"^\| `([a-z_]+\.[a-z_]+)` \| ([^|]*) \| ?([^|]*) ?\|$",
            README.read_text(encoding="utf-8").partition("## Log events")[2],
            re.MULTILINE,
        )
    }
    assert set(rows) == {event.value for event in Event}
    for event in Event:
        when, keys = rows[event.value]
        assert when.strip() == event.when
        assert re.findall(r"`(\w+)`", keys) == event.keys.split(), event.value


def test_log_file_gets_the_lines_too_without_a_secret(folders, start_sandbox):
    """For those who read files: the same events as JSON in the file that is named, the keys redacted as ever."""
    sandbox = start_sandbox(invoice("CW-1", "10.00"))
    file = folders.inbox.parent / "watcher.log"
    config = configure(folders, sandbox.url, logging={"file": str(file), "level": "debug"})
    drop(folders.inbox, "pay.xml", document(("CW-1", "10.00")))
    assert command("run", "--once", "--config", config).code == 0
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {"service.started", "file.finished", "inbox.scanned"} <= {line["event"] for line in lines}
    assert SignIn().private_key not in file.read_text(encoding="utf-8")


def test_log_file_does_not_grow_for_ever(tmp_path, monkeypatch):
    """Before it passes its size it is moved aside, and only the latest ones are kept."""
    monkeypatch.setattr(logs, "_FILE_BYTES", 1000)
    monkeypatch.setattr(logs, "_FILES_KEPT", 2)
    with restored():
        logs.set_up(stream=io.StringIO(), file=tmp_path / "watcher.log")
        for number in range(100):
            structlog.get_logger().info("event", number=number)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["watcher.log", "watcher.log.1", "watcher.log.2"]
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())


def test_log_file_that_cannot_be_written_is_said(folders, start_sandbox):
    """With its key and what to do, before any work is done."""
    done = command(
        "run", "--once", "--config",
        configure(folders, start_sandbox().url, logging={"file": str(folders.inbox / "missing" / "watcher.log")}),
    )  # fmt: skip
    assert done.code == 78
    assert "logging.file" in done.err
