"""The commands. The only place that builds the parts and puts them together, and that maps errors to exit codes."""

from __future__ import annotations

import importlib.resources
import json
import os
import platform
import re
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer

import watcher
from watcher.actions import apply as one_document
from watcher.actions import prune as retention
from watcher.actions.check import check_connectwise, check_folders, check_services, folder_faults
from watcher.actions.explain import explain as explained
from watcher.actions.requeue import requeue
from watcher.actions.status import attempt_as_json, attempts, look
from watcher.assembly import ages_of, client_of, folders_of, inbox_of, listening, rules_of, service_of, stylesheet_of
from watcher.cli import console, demo
from watcher.config import load as config
from watcher.config.settings import InboxSection
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Workers
from watcher.documents.writing import empty_results, write_results
from watcher.errors import (
    ConfigurationError,
    DocumentError,
    Fault,
    FolderTrouble,
    Occupied,
    Outage,
    PaymentWatcherError,
    SignInRefused,
    Stopping,
    Unreachable,
)
from watcher.events import log as logs
from watcher.events.catalogue import Event
from watcher.events.messenger import sender
from watcher.folders.spool import Spool, write_whole
from watcher.journal.ledger import Journal
from watcher.lifetime import holding, lock_file, on_signal
from watcher.payments.model import Rules
from watcher.payments.receipt import summary
from watcher.sandbox import Sandbox, SignIn, numbered_invoices, read_invoices

# Exit codes beside 0 and what sysexits.h names; the README lists them.
SOME_FAILED, UNUSABLE, UNREACHABLE, SIGN_IN_REFUSED, CONFIGURATION, INTERRUPTED = 1, 2, 69, 77, 78, 130
_DECLARED_ENCODING = re.compile(r"""^(<\?xml[^>]*?)\s+encoding\s*=\s*("[^"]*"|'[^']*')""")
_SUCCESS_FILE = Path("connectwise_accounting_interface_update_invoice_payments_success.xml")
_FAIL_FILE = Path("connectwise_accounting_interface_update_invoice_payments_fail.xml")

app = typer.Typer(
    name="payment-watcher",
    help="Sets the payments of dropped accounting exports on their ConnectWise PSA invoices.",
    no_args_is_help=True,
    # A traceback with local variables could show a key.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file. Else $PAYMENT_WATCHER_CONFIG, ./payment-watcher.toml, "
        "/etc/payment-watcher/payment-watcher.toml.",
        show_default=False,
    ),
]


def main() -> NoReturn:
    """Run the command line and end with its exit code."""
    try:
        app()
    except PaymentWatcherError as error:
        _explain(error)
        sys.exit(_exit_code(error))
    sys.exit(0)


def _exit_code(error: PaymentWatcherError) -> int:
    match error:
        case ConfigurationError() | Occupied() | FolderTrouble():
            return CONFIGURATION
        case SignInRefused():
            return SIGN_IN_REFUSED
        case Unreachable():
            return UNREACHABLE
        case Stopping():
            return INTERRUPTED
        case _:
            return UNUSABLE


def _explain(error: PaymentWatcherError) -> None:
    if isinstance(error, ConfigurationError):
        console.show_faults(error.faults)
    elif isinstance(error, Outage):
        console.err.print(f"{error}. {error.mend}.", style="red", markup=False)
    else:
        console.err.print(str(error), style="red", markup=False)


def _version(wanted: bool) -> None:
    if wanted:
        console.out.print(f"payment-watcher {watcher.__version__}")
        console.out.print(f"Python {platform.python_version()}, {platform.platform()}, SQLite {sqlite3.sqlite_version}")
        for requirement in sorted(metadata.requires("connectwise-payment-watcher") or ()):
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            console.out.print(f"{name} {metadata.version(name)}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the version, and those of what it is built on, and end.",
        ),
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config_file: ConfigOption = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Handle what lies in the inbox now and end, with an exit code as apply's."),
    ] = False,
) -> None:
    """Watch the inbox: the daemon, in the foreground."""
    settings = config.load(config.find(config_file), folders=True)
    folders, hears = folders_of(settings), list[logs.Hears]()
    file = settings.logging.file
    try:
        logs.set_up(settings.logging.level, settings.logging.format, settings.secrets, file=file, hears=hears)
    except OSError as error:
        mend = "Make its folder, and give the service's user the right to write there."
        raise ConfigurationError((Fault("logging.file", f"{file}: {os.strerror(error.errno or 0)}", mend),)) from error
    if faults := folder_faults(folders):
        raise ConfigurationError(tuple(faults))
    _make_folder(settings.journal.path.parent)
    with holding(lock_file(settings.journal.path)):
        service = service_of(settings, folders)
        service.catch_signals()
        with listening(settings, folders, hears):
            structlog.get_logger().info(
                Event.STARTED,
                version=watcher.__version__,
                inbox=str(folders.inbox),
                site=settings.connectwise.site,
            )
            if not once:
                service.run()
                return
            tally = service.run_once()
    if tally.rejected:
        raise typer.Exit(SOME_FAILED)
    if tally.refused:
        raise typer.Exit(UNUSABLE)


@app.command()
def apply(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT",
            help="A path, the XML itself, or - for standard input (the default).",
            show_default=False,
        ),
    ] = None,
    success_file: Annotated[
        Path, typer.Option("--success-file", help="Gets the payments that ConnectWise has.")
    ] = _SUCCESS_FILE,
    fail_file: Annotated[
        Path, typer.Option("--fail-file", help="Gets the payments that failed, each with its reason.")
    ] = _FAIL_FILE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing anywhere.")] = False,
    config_file: ConfigOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what became of it as JSON on standard output.")
    ] = False,
) -> None:
    """Set the payments of one document, without folders or daemon."""
    _check_outputs(success_file, fail_file, dry_run=dry_run, as_json=as_json)
    settings, unusable = None, None
    try:
        settings = config.load(config.find(config_file), folders=False)
    except ConfigurationError as error:
        unusable = error
    # The input is read first: it may be the fail file of an earlier run.
    data, unreadable = _input(source, (settings.inbox if settings else InboxSection()).max_file_bytes)
    if not dry_run:
        # From here on, however this ends, results of an earlier run cannot pass for those of this one.
        _write_both(success_file, fail_file, *empty_results())
    if unreadable is not None:
        raise unreadable
    if settings is None:
        assert unusable is not None
        raise unusable
    # On a terminal the bar and the sums say what the log would.
    level = "warning" if console.err.is_terminal and settings.logging.level == "info" else settings.logging.level
    logs.set_up(level, settings.logging.format, settings.secrets)
    stop = threading.Event()
    on_signal(lambda _name: stop.set())
    client, workers = client_of(settings, stop)
    stylesheet = stylesheet_of(settings)
    data = stylesheet(data) if stylesheet else data
    if dry_run:
        _show_plan(data, client, workers, rules_of(settings))
        return
    with console.progress_bar() as bar:
        applied = one_document.apply(data, client, workers, rules_of(settings), bar.begin, bar.advance)
    _write_both(success_file, fail_file, *write_results(data, applied.results))
    results = applied.known
    console.show_sums(results, len(applied.results) - len(results))
    if as_json:
        waiting = len(applied.results) - len(results)
        sys.stdout.write(json.dumps(summary(results) | {"waiting": waiting}, indent=2, ensure_ascii=False) + "\n")
    if applied.held_up_by is not None:
        console.err.print("The waiting payments are in neither file: give the same input again to finish them.")
        raise applied.held_up_by
    if any(result.message for result in results):
        raise typer.Exit(SOME_FAILED)


def _check_outputs(success_file: Path, fail_file: Path, *, dry_run: bool, as_json: bool) -> None:
    if as_json and dry_run:
        raise typer.BadParameter("the plan of a dry run is a table for people", param_hint="--json")
    if not dry_run and success_file.resolve() == fail_file.resolve():
        raise PaymentWatcherError(
            f"{success_file} and {fail_file} are the same file: one would lose the other's records."
        )


def _write_both(success_file: Path, fail_file: Path, success: bytes, fail: bytes) -> None:
    write_whole(success_file, success)
    write_whole(fail_file, fail)


def _show_plan(data: bytes, client: ConnectWise, workers: Workers, rules: Rules) -> None:
    _, rejected, plans = one_document.preview(data, client, workers, rules)
    console.show_plan(rejected, plans)
    if rejected or any(plan.rejects for plan in plans):
        raise typer.Exit(SOME_FAILED)


def _input(source: str | None, largest: int) -> tuple[bytes, DocumentError | None]:
    """Give the document that apply is to work on, or why it cannot be read; a larger one is not read to its end."""
    if source is not None and source.lstrip().startswith("<"):
        # Text has no encoding any more, whatever its declaration says: .NET writes utf-16 there.
        return os.fsencode(_DECLARED_ENCODING.sub(r"\1", source.strip())), None
    if source in (None, "-"):
        if sys.stdin.isatty():
            raise typer.BadParameter(
                "name a file, give the XML itself, or send it to standard input", param_hint="INPUT"
            )
        data, too_large = sys.stdin.buffer.read(largest + 1), False
    else:
        path = Path(source)
        try:
            with path.open("rb") as file:
                # A file that is too large need not be read to say so; a pipe tells its size by ending.
                data = file.read(largest + 1 if os.fstat(file.fileno()).st_size <= largest else 0)
                too_large = os.fstat(file.fileno()).st_size > largest
        except OSError as error:
            return b"", DocumentError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.")
    if too_large or len(data) > largest:
        return b"", DocumentError(f"The document is larger than {largest} bytes (inbox.max_file_bytes).")
    return data, None


@app.command()
def check(
    config_file: ConfigOption = None,
    notify: Annotated[bool, typer.Option("--notify", help="Send a test message to each of notify.urls, too.")] = False,
) -> None:
    """Check the configuration, the folders, the sign-in and the rights; say every fault with its mend."""
    path = config.find(config_file)
    settings = config.load(path, folders=True)
    logs.set_up("error", settings.logging.format, settings.secrets)
    stylesheet_of(settings)
    console.out.print(f"ok    configuration: {path or 'from the environment'}", markup=False)
    default_journal = "url" not in settings.journal.model_fields_set
    findings = list(check_folders(folders_of(settings), settings.journal.path, default_journal=default_journal))
    client, _ = client_of(settings, threading.Event())
    findings += check_connectwise(client)
    if notify:
        findings += check_services([sender(url.get_secret_value()) for url in settings.notify.urls])
    for finding in findings:
        console.show_finding(finding)
    faults = [finding for finding in findings if finding.fault]
    if not faults:
        return
    codes = [CONFIGURATION if finding.cause is None else _exit_code(finding.cause) for finding in faults]
    raise typer.Exit(CONFIGURATION if CONFIGURATION in codes else codes[0])


@app.command()
def status(
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what is waiting and since when, what is in work, and what became of the last files."""
    settings = config.load(config.find(config_file), folders=True, account=False)
    folders, journal = folders_of(settings), settings.journal.path
    found = look(inbox_of(settings, folders), Spool(folders), journal, lock_file(journal))
    if as_json:
        sys.stdout.write(json.dumps(found.as_json(), indent=2) + "\n")
    else:
        console.show_status(found)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The file, as it is called in the inbox or an outbox.")],
    config_file: ConfigOption = None,
) -> None:
    """Say why a file is not processed now, or where it went."""
    settings = config.load(config.find(config_file), folders=True, account=False)
    folders, journal = folders_of(settings), settings.journal.path
    told = explained(Path(name).name, inbox_of(settings, folders), Spool(folders), journal, lock_file(journal))
    if not told:
        console.out.print(
            f"{name} is not known: it is not in the inbox, not in work, and not in the journal.", markup=False
        )
        raise typer.Exit(SOME_FAILED)
    console.show_sentences(told)


@app.command()
def history(
    wanted: Annotated[
        str, typer.Argument(metavar="INVOICE|FILE", help="An invoice number; or a file, as it is called anywhere.")
    ],
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what happened to an invoice or a file: every attempt, from the journal."""
    settings = config.load(config.find(config_file), folders=True, account=False)
    found = attempts(settings.journal.path, wanted)
    if as_json:
        sys.stdout.write(json.dumps([attempt_as_json(attempt) for attempt in found], indent=2) + "\n")
    else:
        console.show_attempts(found)


@app.command("requeue")
def requeue_file(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A file of the fail outbox or of the archive.")],
    config_file: ConfigOption = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even if later files have set some of its invoices.")
    ] = False,
) -> None:
    """Put a failed or archived file back into the inbox."""
    settings = config.load(config.find(config_file), folders=True, account=False)
    source, target = requeue(name, Spool(folders_of(settings)), settings.journal.path, anyway=anyway)
    console.out.print(f"{source} is in the inbox again, as {target.name}.", markup=False)


@app.command()
def prune(
    config_file: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go and remove nothing.")] = False,
) -> None:
    """Remove what is older than the section retention says; the daemon does it by itself once a day."""
    settings = config.load(config.find(config_file), folders=True, account=False)
    spool, path = Spool(folders_of(settings)), settings.journal.path
    if not path.is_file():
        console.out.print(f"There is no journal at {path} yet, and nothing to remove.", markup=False)
        return
    with (
        nullcontext() if dry_run else holding(lock_file(path)),
        closing(Journal(settings.journal.url, upgrade=False)) as journal,
    ):
        gone = retention.old(ages_of(settings), spool, journal, datetime.now(UTC))
        if not dry_run:
            retention.remove(gone, spool, journal)
    for each in gone.paths:
        console.out.print(console.plain(str(each)), markup=False)
    would = "would go" if dry_run else "are gone"
    console.out.print(f"{len(gone.paths)} files, and the journal's rows of {len(gone.claims)} files, {would}.")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the folders are to lie.")],
) -> None:
    """Make the folders and a commented configuration file."""
    folder = folder.expanduser().resolve()
    for name in ("inbox", "success", "fail", ".work", "archive"):
        _make_folder(folder / name)
    file = folder / "payment-watcher.toml"
    try:
        # Only its owner reads it: keys go into it.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        console.out.print(f"The folders are in {folder}; {file} was there already and is left as it is.", markup=False)
        return
    with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123  (an open descriptor)
        opened.write(config.template(folder))
    console.out.print(
        f"Made the folders in {folder} and {file}.\n"
        f"Put your site, company and keys into it, then: payment-watcher check --config {file}",
        markup=False,
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderTrouble(
            f"{folder}: {os.strerror(error.errno or 0)}", "Choose a place where folders can be"
        ) from error


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")] = 8470,
    invoices: Annotated[
        str, typer.Option(metavar="N|FILE", help="How many invoices it holds, or a JSON file of them.")
    ] = "500",
    latency: Annotated[float, typer.Option(min=0, help="Seconds it takes for each answer.")] = 0.0,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Answer 429 beyond this rate.", show_default="no limit")
    ] = None,
) -> None:
    """Run the embedded stand-in for ConnectWise, to try things out without touching real books."""
    try:
        seeds = numbered_invoices(int(invoices)) if invoices.isdigit() else read_invoices(Path(invoices))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--invoices") from error
    sign_in = SignIn()
    server = Sandbox(
        invoices=seeds, sign_in=sign_in, port=port, latency=latency, requests_per_minute=requests_per_minute
    )
    stop = threading.Event()
    on_signal(lambda _name: stop.set())
    with _started(server, port):
        console.out.print(
            f"ConnectWise sandbox with {len(seeds)} invoices; its books: {server.url}/books\n\n"
            f'[connectwise]\nsite = "{server.url}"\ncompany = "{sign_in.company}"\nclient_id = "{sign_in.client_id}"\n'
            f'public_key = "{sign_in.public_key}"\nprivate_key = "{sign_in.private_key}"\n\nCtrl-C ends it.',
            markup=False,
        )
        stop.wait()


@contextmanager
def _started(server: Sandbox, port: int) -> Iterator[None]:
    try:
        server.start()
    except OSError as error:
        raise typer.BadParameter(f"port {port}: {os.strerror(error.errno or 0)}", param_hint="--port") from error
    try:
        yield
    finally:
        server.stop()


@app.command("demo")
def show_demo() -> None:
    """Show everything at work: sandbox, daemon and sample files in a temporary folder."""
    raise typer.Exit(demo.show())


@app.command()
def schema() -> None:
    """Print the XML schema (XSD) of the input and result documents."""
    text = importlib.resources.files("watcher.documents").joinpath("payments.xsd").read_text(encoding="utf-8")
    sys.stdout.write(text)
