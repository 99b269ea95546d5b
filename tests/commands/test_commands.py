"""The commands as people and scripts meet them: what they take, print and leave behind, and their exit codes."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from lxml import etree
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, numbers, records
from support.program import END_SECONDS, PATIENCE, alone, command, configure, environment, program, toml, tree

import watcher
from watcher.cli import commands as cli
from watcher.config import load as config
from watcher.config.settings import InboxSection, PaymentsSection
from watcher.sandbox import SignIn

SUCCESS = "connectwise_accounting_interface_update_invoice_payments_success.xml"
FAIL = "connectwise_accounting_interface_update_invoice_payments_fail.xml"
GOOD = document(("CW-1", "100.00"))
MIXED = document(("CW-1", "100.00"), ("CW-404", "10.00"))


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    alone(monkeypatch, tmp_path)


@pytest.fixture
def sandbox(start_sandbox):
    """A ConnectWise with two open invoices."""
    return start_sandbox(invoice("CW-1", "100.00"), invoice("CW-2", "50.00"))


@pytest.fixture
def settings(folders, sandbox):
    """The configuration file of a whole installation."""
    return configure(folders, sandbox.url)


def names(folder):
    """Give the names of what lies in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


# --- apply -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "stdin"),
    [
        pytest.param(["export.xml"], b"", id="a path"),
        pytest.param([GOOD.decode()], b"", id="the XML itself"),
        pytest.param(["\n  " + GOOD.decode()], b"", id="the XML itself after a blank line"),
        pytest.param([GOOD.decode().replace("utf-8", "utf-16")], b"", id="the XML itself as .NET declares it"),
        pytest.param(["-"], GOOD, id="a dash for standard input"),
        pytest.param([], GOOD, id="standard input"),
    ],
)
def test_a_document_is_applied_however_it_is_given(settings, sandbox, tmp_path, given, stdin):
    """The payment is set, and both result files lie in the working directory under their documented names."""
    (tmp_path / "export.xml").write_bytes(GOOD)
    ended = command("apply", *given, "--config", settings, stdin=stdin)
    assert ended.code == 0, ended.err
    assert [str(row["amount"]) for row in payments_of(sandbox, "CW-1")] == ["100.00"]
    assert numbers(tmp_path / SUCCESS) == ["CW-1"]
    assert numbers(tmp_path / FAIL) == []


def test_result_files_are_written_where_they_are_asked_for(settings, tmp_path):
    """--success-file and --fail-file name the results; nothing is written under the default names."""
    (tmp_path / "out").mkdir()
    options = ("--success-file", "out/good.xml", "--fail-file", tmp_path / "out" / "bad.xml")
    assert command("apply", MIXED.decode(), *options, "--config", settings).code == 1
    assert numbers(tmp_path / "out" / "good.xml") == ["CW-1"]
    (failed,) = records(tmp_path / "out" / "bad.xml")
    assert failed["ErrorMessage"] == "Cannot find Invoice Number CW-404"
    assert list(failed)[-1] == "ErrorMessage"
    assert names(tmp_path / "out") == ["bad.xml", "good.xml"]
    assert not (tmp_path / SUCCESS).exists()
    assert not (tmp_path / FAIL).exists()


@pytest.mark.parametrize(
    ("content", "site", "code", "said", "succeeded", "failed"),
    [
        pytest.param(GOOD, {}, 0, "1 succeeded, 0 rejected", ["CW-1"], [], id="0 all done"),
        pytest.param(
            MIXED, {}, 1, "CW-404: Cannot find Invoice Number CW-404", ["CW-1"], ["CW-404"], id="1 a payment failed"
        ),
        pytest.param(GOOD[:-20], {}, 2, "The file is cut off", [], [], id="2 an unusable document"),
        pytest.param(
            document(("CW-1", "1.00"), ("CW-2", "1,00")),
            {"site": "http://127.0.0.1:9"},
            69,
            "could not be reached",
            [],
            ["CW-2"],
            id="69 not reachable, and what is known is written",
        ),
        pytest.param(
            document(("CW-1", "1.00"), ("CW-2", "1,00")),
            {"private_key": "not-the-private-key"},
            77,
            "refused the sign-in (401)",
            [],
            ["CW-2"],
            id="77 sign-in refused, and what is known is written",
        ),
    ],
)
def test_apply_ends_with_its_exit_code_and_both_result_files(
    folders, sandbox, tmp_path, content, site, code, said, succeeded, failed
):
    """Whatever the end, it has its exit code, says why, and results of an earlier run are replaced."""
    settings = configure(folders, sandbox.url, connectwise=site)
    for stale in (SUCCESS, FAIL):
        (tmp_path / stale).write_bytes(document(("STALE", "1.00")))
    (tmp_path / "export.xml").write_bytes(content)
    ended = command("apply", "export.xml", "--config", settings)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert numbers(tmp_path / SUCCESS) == succeeded
    assert numbers(tmp_path / FAIL) == failed
    assert [row["invoiceNumber"] for row in sandbox.books()["writes"]] == succeeded
    assert [path.name for path in sorted(tmp_path.glob("*.xml"))] == [FAIL, SUCCESS, "export.xml"]


def test_an_input_that_is_not_there_replaces_the_results_of_an_earlier_run(settings, tmp_path):
    """A path that cannot be read is unusable input: exit code 2, and two empty result files."""
    for stale in (SUCCESS, FAIL):
        (tmp_path / stale).write_bytes(document(("STALE", "1.00")))
    ended = command("apply", "export.xml", "--config", settings)
    assert ended.code == 2
    assert "export.xml cannot be read: No such file" in ended.err
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []


@pytest.mark.parametrize("given", ["export.xml", "-"], ids=["a path", "standard input"])
def test_an_input_that_is_too_large_is_refused_unread(folders, sandbox, tmp_path, given):
    """The limit of the inbox is the limit of every document, wherever it comes from."""
    settings = configure(folders, sandbox.url, inbox={"max_file_bytes": len(GOOD) - 1})
    (tmp_path / "export.xml").write_bytes(GOOD)
    ended = command("apply", given, "--config", settings, stdin=GOOD)
    assert ended.code == 2
    assert f"larger than {len(GOOD) - 1} bytes (inbox.max_file_bytes)" in ended.err
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []
    assert sandbox.books()["writes"] == []


def test_an_export_is_applied_through_the_stylesheet_beside_the_configuration(folders, sandbox, tmp_path):
    """The results are payment documents; the fail file, corrected, can be given as it is."""
    settings = configure(folders, sandbox.url, inbox={"transform": "sage.xsl"})
    (settings.parent / "sage.xsl").write_text(
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/Receipt">'
        "<ArrayOfUpdateInvoicePayment><UpdateInvoicePayment><InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>"
        '<xsl:value-of select="."/></PaidAmount><DatePaid>2016-09-22</DatePaid></UpdateInvoicePayment>'
        "</ArrayOfUpdateInvoicePayment></xsl:template></xsl:stylesheet>"
    )
    assert command("apply", "--config", settings, stdin=b"\n<Receipt>1,00</Receipt>").code == 1
    (failed,) = records(tmp_path / FAIL)
    assert failed["ErrorMessage"].endswith("(line 2)")
    corrected = (tmp_path / FAIL).read_bytes().replace(b">1,00<", b">1.00<")
    assert command("apply", "--config", settings, stdin=corrected).code == 0
    assert [str(row["amount"]) for row in payments_of(sandbox, "CW-1")] == ["1.00"]


@pytest.mark.parametrize("name", ["apply", "check", "run"])
def test_a_stylesheet_that_is_none_is_a_fault_of_the_configuration(folders, sandbox, name):
    """No file is taken before the operator has mended it."""
    settings = configure(folders, sandbox.url, inbox={"transform": "sage.xsl"})
    (settings.parent / "sage.xsl").write_text("<html/>")
    ended = command(name, "--config", settings, stdin=GOOD)
    assert ended.code == 78
    assert "inbox.transform" in ended.err
    assert "sage.xsl: " in ended.err
    assert sandbox.books()["writes"] == []


def test_a_broken_configuration_ends_with_78_and_every_fault(folders, sandbox, tmp_path):
    """The process says each fault of the configuration with key and mend; nothing is sent, both results are empty."""
    settings = configure(folders, sandbox.url, connectwise={"company": "", "sight": "x"}, inbox={"settle_seconds": -1})
    (tmp_path / SUCCESS).write_bytes(GOOD)
    ended = program("apply", "--config", settings, folder=tmp_path, stdin=GOOD)
    assert ended.code == 78
    for key in ("connectwise.company", "connectwise.sight", "inbox.settle_seconds", "Did you mean site?"):
        assert key in ended.err
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []
    assert sandbox.books()["writes"] == []


def test_a_fail_file_can_be_given_as_it_lies(folders, sandbox, tmp_path):
    """The fail file of an earlier run is read before its place is taken by the results of this one."""
    settings = configure(folders, sandbox.url)
    (tmp_path / FAIL).write_bytes(GOOD)
    assert command("apply", FAIL, "--config", settings).code == 0
    assert numbers(tmp_path / SUCCESS) == numbers(GOOD)
    assert numbers(tmp_path / FAIL) == []


def test_a_document_without_payments_is_done(settings, tmp_path):
    """An empty list of payments is no fault: two empty result files and exit code 0."""
    assert command("apply", "<ArrayOfUpdateInvoicePayment/>", "--config", settings).code == 0
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []


def test_applying_again_changes_nothing(settings, sandbox):
    """A repeated document succeeds again, is reported as unchanged, and is written once."""
    assert command("apply", GOOD.decode(), "--config", settings).code == 0
    again = command("apply", GOOD.decode(), "--config", settings)
    assert again.code == 0
    assert "applied 0.00 + unchanged 100.00" in again.err
    assert len(sandbox.books()["writes"]) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("arguments", [("apply", "many.xml"), ("run", "--once")], ids=" ".join)
def test_an_interrupted_command_says_so_and_can_be_given_again(folders, start_sandbox, tmp_path, arguments, number):
    """SIGTERM or Ctrl-C in the middle ends with 130, not as if all were done; the same again sets the rest once."""
    invoices = [f"CW-{number:02}" for number in range(24)]
    sandbox = start_sandbox(*(invoice(number, "100.00") for number in invoices), latency=0.1)
    settings = configure(folders, sandbox.url)
    content = document(*((number, "100.00") for number in invoices))
    (tmp_path / "many.xml").write_bytes(content)
    drop(folders.inbox, "many.xml", content)
    ended = program(
        *arguments,
        "--config",
        settings,
        folder=tmp_path,
        stop_when=lambda: len(sandbox.books()["writes"]) >= 3,
        stop_with=number,
    )
    written = len(sandbox.books()["writes"])
    assert 3 <= written < len(invoices)
    assert ended.code == 130
    if arguments[0] == "apply":
        assert len(numbers(tmp_path / SUCCESS)) == written
        assert numbers(tmp_path / FAIL) == []
        assert f"{len(invoices) - written} waiting" in ended.err
    assert command(*arguments, "--config", settings).code == 0
    assert [len(payments_of(sandbox, number)) for number in invoices] == [1] * len(invoices)
    assert len(sandbox.books()["writes"]) == len(invoices)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["sums", "json"])
def test_a_reader_that_goes_away_costs_no_result(settings, sandbox, tmp_path, options):
    """Where nobody takes what is logged and printed, as behind `head`, payments are set and both files are whole."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        ended = subprocess.run(
            [sys.executable, "-m", "watcher", "apply", MIXED.decode(), *options, "--config", str(settings)],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=nobody,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 1
    assert (numbers(tmp_path / SUCCESS), numbers(tmp_path / FAIL)) == (["CW-1"], ["CW-404"])
    assert len(payments_of(sandbox, "CW-1")) == 1


@pytest.mark.parametrize("option", ["--success-file", "--fail-file"])
def test_a_result_that_has_no_place_stops_before_any_payment(settings, sandbox, tmp_path, option):
    """Where a result file could not be written, that is said before money moves."""
    ended = command("apply", GOOD.decode(), option, tmp_path / "nowhere" / "result.xml", "--config", settings)
    assert ended.code in (2, 78)
    assert "nowhere" in ended.err
    assert sandbox.books()["writes"] == []


def test_one_file_cannot_take_both_results(settings, sandbox, tmp_path):
    """The same file for successes and failures would lose one of them: a fault of usage, before money moves."""
    ended = command(
        "apply", MIXED.decode(), "--success-file", "r.xml", "--fail-file", tmp_path / "r.xml", "--config", settings
    )
    assert ended.code == 2
    assert sandbox.books()["writes"] == []


@pytest.mark.parametrize(
    ("content", "code", "shown"),
    [
        pytest.param(
            document(("CW-1", "120.00", "2016-09-22"), ("CW-404", "10.00"), ("CW-2", "1,00")),
            1,
            [
                ("CW-1", "120.00", "create 100.00 on 2016-09-22", "20.00 discarded"),
                ("CW-404", "10.00", "reject", "Cannot find Invoice Number CW-404"),
                ("CW-2", "0.00", "reject", 'PaidAmount "1,00" is not an amount'),
            ],
            id="good and bad",
        ),
        pytest.param(document(("CW-2", "20.00")), 0, [("CW-2", "20.00", "create 20.00, no date", "")], id="all good"),
        pytest.param(b"<Orders/>", 2, [], id="unusable"),
    ],
)
def test_a_dry_run_prints_the_plan_and_writes_nothing(settings, sandbox, tmp_path, content, code, shown):
    """--dry-run shows a row a record, in order, with what would be done; no file appears and no call writes."""
    before = tree(tmp_path)
    ended = command("apply", "--dry-run", "--config", settings, stdin=content)
    assert ended.code == code
    rows = plan_rows(ended.out)
    assert [tuple(row[1:4]) for row in rows] == [row[:3] for row in shown]
    for row, (*_, note) in zip(rows, shown, strict=True):
        assert note in row[4]
    assert tree(tmp_path) == before
    assert sandbox.books()["writes"] == []
    assert not [request for request in sandbox.books()["requests"] if not request.startswith("GET ")]


def test_a_dry_run_shows_what_a_run_would_change(settings):
    """What is planned for payments that ConnectWise has already: keep, or change to the new amount."""
    assert command("apply", document(("CW-1", "100.00"), ("CW-2", "20.00")).decode(), "--config", settings).code == 0
    again = document(("CW-1", "100.00"), ("CW-2", "50.00")).decode()
    kept, changed = plan_rows(command("apply", again, "--dry-run", "--config", settings).out)
    assert kept[1:4] == ["CW-1", "100.00", "keep as it is"]
    assert changed[1:4] == ["CW-2", "50.00", "change to 50.00, date 2016-09-22"]
    assert "The earlier amount 20.00" in changed[4]


def plan_rows(shown):
    """Give the cells of the plan, a list a row; what is folded within a cell is put together again."""
    rows = []
    for line in shown.splitlines():
        if line.startswith("│"):
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            if cells[0]:
                rows.append(cells)
            else:
                rows[-1] = [f"{above} {below}".strip() for above, below in zip(rows[-1], cells, strict=True)]
    return rows


@pytest.mark.parametrize(
    "arguments",
    [("apply", "--sucess-file", "x"), ("run", "--twice"), ("frobnicate",), ("init",), ("sandbox", "--port", "99999")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments):
    """An option or command that does not exist, or an argument that is missing, is a fault of usage."""
    ended = command(*arguments)
    assert ended.code == 2
    assert "Usage" in ended.err


# --- check -----------------------------------------------------------------------------------------------------


def test_a_sound_installation_passes_the_check(settings, sandbox, tmp_path):
    """The check says what it found in order, ends with 0, and its probes leave nothing behind."""
    before = tree(tmp_path)
    ended = command("check", "--config", settings)
    assert ended.code == 0, ended.out
    assert {line.split()[0] for line in ended.out.splitlines()} == {"ok"}
    for looked_at in ("inbox", "success", "fail", "work", "archive", "journal", "connectwise"):
        assert looked_at in ended.out
    assert tree(tmp_path) == before
    assert sandbox.books()["writes"] == []


def test_a_check_says_all_faults_at_once(folders, sandbox):
    """Missing folders, one that is a file, and a wrong key are all said in one run, each with its mend."""
    settings = configure(folders, sandbox.url, connectwise={"private_key": "not-the-private-key"})
    folders.success.rmdir()
    folders.archive.rmdir()
    folders.archive.write_text("no folder")
    ended = command("check", "--config", settings)
    assert ended.code == 78
    lines = ended.out.splitlines()
    faults = [number for number, line in enumerate(lines) if line.startswith("FAULT")]
    assert [lines[number].split(":")[0].split(maxsplit=1)[1] for number in faults] == [
        "folders.success",
        "folders.archive",
        "connectwise sign-in",
    ]
    mends = [lines[number + 1] for number in faults]
    assert all(mend.startswith("  ") and mend.strip() for mend in mends)
    assert "private_key" in mends[-1]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        pytest.param({"private_key": "not-the-private-key"}, 77, "private_key", id="wrong key"),
        pytest.param({"client_id": "not-the-client-id"}, 77, "client_id", id="wrong client id"),
        pytest.param({"codebase": "v9_9_release"}, 77, "codebase", id="wrong codebase"),
        pytest.param({"site": "http://127.0.0.1:9"}, 69, "could not be reached", id="not reachable"),
    ],
)
def test_a_fault_of_the_sign_in_alone_ends_the_check_with_its_code(folders, sandbox, changes, code, said):
    """With sound folders the exit code tells whether ConnectWise cannot be reached or refuses the sign-in."""
    ended = command("check", "--config", configure(folders, sandbox.url, connectwise=changes))
    assert ended.code == code
    assert said in ended.out


def test_a_check_says_faults_of_the_configuration(folders, sandbox):
    """A configuration that cannot be used ends the check with 78 and each fault's key."""
    settings = configure(folders, sandbox.url, inbox={"setle_seconds": 1}, logging={"level": "loud"})
    ended = command("check", "--config", settings)
    assert ended.code == 78
    for said in ("inbox.setle_seconds", "Did you mean settle_seconds?", "logging.level"):
        assert said in ended.err


@pytest.fixture
def elsewhere(tmp_path) -> Iterator[Path]:
    """A folder on another file system than the test's."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory, prefix="payment-watcher-test-") as name:
        yield Path(name)


@pytest.mark.parametrize("arguments", [("check",), ("run", "--once")], ids=" ".join)
def test_work_on_another_file_system_is_a_fault(folders, sandbox, elsewhere, arguments):
    """A file cannot be claimed across two file systems: check and run say so and end with 78."""
    settings = configure(folders, sandbox.url, folders={"work": str(elsewhere)})
    dropped = drop(folders.inbox, "stays.xml", GOOD)
    ended = command(*arguments, "--config", settings)
    assert ended.code == 78
    assert "folders.work" in ended.out + ended.err
    assert "another file system" in ended.out + ended.err
    assert dropped.exists()


@pytest.mark.parametrize("arguments", [("check",), ("run", "--once")], ids=" ".join)
def test_an_outbox_that_is_the_inbox_by_a_link_is_a_fault(folders, sandbox, tmp_path, arguments):
    """Results that would be taken as new files again are a fault that names both folders, however they are linked."""
    (tmp_path / "other").symlink_to(folders.inbox)
    settings = configure(folders, sandbox.url, folders={"success": str(tmp_path / "other")})
    dropped = drop(folders.inbox, "stays.xml", GOOD)
    ended = command(*arguments, "--config", settings)
    assert ended.code == 78
    assert "same folder as inbox" in " ".join((ended.out + ended.err).split())
    assert dropped.exists()


# --- init ------------------------------------------------------------------------------------------------------


def test_init_makes_folders_and_a_configuration_that_only_its_owner_reads(tmp_path):
    """The folders and a file of mode 0600 are there; the file loads and names those folders."""
    ended = command("init", "payments")
    assert ended.code == 0
    made = tmp_path / "payments"
    assert names(made) == [".work", "archive", "fail", "inbox", "payment-watcher.toml", "success"]
    file = made / "payment-watcher.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    loaded = config.load(file, folders=True)
    assert {getattr(loaded.folders, name) for name in ("inbox", "success", "fail", "work", "archive")} == {
        path for path in made.iterdir() if path.is_dir()
    }
    assert loaded.inbox == InboxSection()
    assert loaded.payments == PaymentsSection()
    assert str(file) in ended.out


def test_init_leaves_an_existing_configuration_as_it_is(tmp_path):
    """A second init makes what is missing and does not touch the file that is there."""
    command("init", tmp_path / "payments")
    file = tmp_path / "payments" / "payment-watcher.toml"
    file.write_text("# mine\n")
    (tmp_path / "payments" / "fail").rmdir()
    (tmp_path / "payments" / "inbox" / "waiting.xml").write_bytes(GOOD)
    ended = command("init", tmp_path / "payments")
    assert ended.code == 0
    assert "left as it is" in ended.out
    assert file.read_text() == "# mine\n"
    assert (tmp_path / "payments" / "fail").is_dir()
    assert (tmp_path / "payments" / "inbox" / "waiting.xml").read_bytes() == GOOD


def test_an_installation_made_by_init_passes_the_check(sandbox, tmp_path):
    """With site and keys put into the file that init wrote, nothing else has to be made."""
    command("init", "payments")
    file = tmp_path / "payments" / "payment-watcher.toml"
    given = {"site": sandbox.url} | {
        key: getattr(SignIn(), key) for key in ("company", "client_id", "public_key", "private_key")
    }
    text = file.read_text()
    for key, value in given.items():
        text = re.sub(rf'^{key} = ".*"$', f'{key} = "{value}"', text, flags=re.MULTILINE)
    file.write_text(text)
    ended = command("check", "--config", file)
    assert ended.code == 0, ended.out
    assert command("run", "--once", "--config", file).code == 0


def test_init_where_no_folder_can_be_is_explained(tmp_path):
    """A path below a file ends with a sentence and not with a traceback."""
    (tmp_path / "file").write_text("no folder")
    ended = command("init", tmp_path / "file" / "payments")
    assert ended.code in (2, 78)
    assert str(tmp_path / "file") in ended.err


# --- schema ----------------------------------------------------------------------------------------------------


def test_the_schema_describes_input_and_results(settings, sandbox, tmp_path):
    """The printed XSD accepts an input and both result files, and refuses what is no payment document."""
    shown = command("schema")
    assert shown.code == 0
    schema = etree.XMLSchema(etree.fromstring(shown.out.encode()))
    given = document(("CW-1", "120.00"), ("CW-404", "10.00"), ("CW-2", "1,00"))
    assert command("apply", given.decode(), "--config", settings).code == 1
    assert [record["WarningMessage"] for record in records(tmp_path / SUCCESS)]
    assert len(records(tmp_path / FAIL)) == 2
    for content in (given, (tmp_path / SUCCESS).read_bytes(), (tmp_path / FAIL).read_bytes()):
        schema.assertValid(etree.fromstring(content))
    for wrong in (b"<Orders/>", b"<ArrayOfUpdateInvoicePayment><Order/></ArrayOfUpdateInvoicePayment>"):
        assert not schema.validate(etree.fromstring(wrong))


# --- sandbox ---------------------------------------------------------------------------------------------------


def test_the_sandbox_serves_and_prints_usable_settings(folders, tmp_path):
    """The settings that the sandbox prints are enough to set a payment in it; SIGTERM ends it with 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "watcher", "sandbox", "--port", "0", "--invoices", "3"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            shown = []
            while not (shown and shown[-1].startswith("Ctrl-C")):
                shown.append(process.stdout.readline())
                assert shown[-1], shown
            begin = shown.index("[connectwise]\n")
            settings = tomllib.loads("".join(shown[begin:-1]))
            settings["folders"] = {name: str(getattr(folders, name)) for name in ("inbox", "success", "fail")}
            (tmp_path / "payment-watcher.toml").write_text(toml(settings))
            assert command("apply", document(("CW-34251", "346.34")).decode()).code == 0
            assert command("check").code == 0
        finally:
            process.terminate()
        assert process.wait(END_SECONDS) == 0
    assert "/books" in shown[0]
    assert numbers(tmp_path / SUCCESS) == ["CW-34251"]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("[]x", ""), ('[{"number": "CW-1"}]', "total")], ids=str
)
def test_invoices_that_cannot_be_read_are_a_fault_of_usage(tmp_path, content, said):
    """A file of invoices that is not there or no such file is explained, and ends with 2."""
    if content is not None:
        (tmp_path / "invoices.json").write_text(content)
    ended = command("sandbox", "--port", "0", "--invoices", tmp_path / "invoices.json")
    assert ended.code == 2
    assert said in ended.err


def test_a_taken_port_is_explained():
    """Where another program listens already, the sandbox names the port, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = command("sandbox", "--port", str(port))
    assert ended.code == 2
    assert str(port) in ended.err


# --- help ------------------------------------------------------------------------------------------------------

COMMANDS = typer.main.get_command(cli.app).commands


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_option_and_what_it_does(monkeypatch, name, option):
    """Each command says in a sentence what it does, and each of its options and arguments is explained."""
    monkeypatch.setenv("COLUMNS", "250")
    shown = command(name, option)
    assert shown.code == 0
    text = " ".join(shown.out.replace("│", " ").split())
    assert " ".join(COMMANDS[name].help.split()) in text
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert " ".join(parameter.help.split()) in text
        for spelling in parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]:
            assert spelling in text
    assert "[[" not in text


def test_help_of_the_program_names_every_command():
    """--help lists each command with its sentence."""
    shown = command("--help")
    assert shown.code == 0
    assert {"run", "apply", "check", "init", "sandbox", "demo", "schema"} <= set(COMMANDS)
    for name in COMMANDS:
        assert re.search(rf"^\W*{name}\s+\S", shown.out, re.MULTILINE), name


def test_the_version_is_all_that_a_bug_report_needs():
    """--version prints the program's version first, then those of Python, SQLite and every library it is built on."""
    shown = command("--version")
    first, machine, *libraries = shown.out.splitlines()
    assert (shown.code, first, shown.err) == (0, f"payment-watcher {watcher.__version__}", "")
    assert platform.python_version() in machine
    assert {"lxml", "requests", "watchdog"} <= {line.partition(" ")[0] for line in libraries}
    assert all(re.fullmatch(r"\S+ \d\S*", line) for line in libraries)


def test_a_script_gets_a_summary_and_nothing_else_on_standard_output(tmp_path, start_sandbox, folders):
    """Apply --json prints one JSON value: totals that add up, every record, how many wait; the exit code stays."""
    sandbox = start_sandbox(invoice("CW-1", "100.00"))
    data = document(("CW-1", "120.00"), ("CW-404", "5.00"))
    done = command("apply", "--json", "--config", configure(folders, sandbox.url), stdin=data)
    said = json.loads(done.out)
    assert done.code == 1
    assert said["totals"] == {
        "records": 2, "succeeded": 1, "rejected": 1,
        "asked": "125.00", "applied": "100.00", "unchanged": "0.00", "discarded": "20.00", "failed": "5.00",
    }  # fmt: skip
    assert [row["outcome"] for row in said["records"]] == ["applied", "rejected"]
    assert said["waiting"] == 0


def test_the_configuration_of_the_working_directory_is_used(settings, sandbox, folders):
    """Without --config, payment-watcher.toml of the working directory counts."""
    drop(folders.inbox, "a.xml", GOOD)
    assert settings.parent == Path.cwd()
    assert command("run", "--once").code == 0
    assert len(files(folders.success)) == len(payments_of(sandbox, "CW-1")) == 1
