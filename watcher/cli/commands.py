"""Every command, thin.

A command imports what it uses inside its function: ``--help`` and a shell's completion answer at once.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from watcher.cli.exits import CONFIGURATION, SOME_FAILED, UNUSABLE, exit_code
from watcher.errors import PaymentWatcherError
from watcher.plain import plain

# As shown: the results of a CSV file end in .csv.
_SUCCESS_FILE = "connectwise_accounting_interface_update_invoice_payments_success.xml"
_FAIL_FILE = "connectwise_accounting_interface_update_invoice_payments_fail.xml"

app = typer.Typer(
    name="payment-watcher",
    help="Sets the payments of dropped accounting exports on their ConnectWise PSA invoices.",
    no_args_is_help=True,
    # A traceback with local variables could show a key.
    pretty_exceptions_enable=False,
    # Rich would take a third of the time that --help may take.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file, or the name of a company in /etc/payment-watcher. "
        "Else $PAYMENT_WATCHER_CONFIG, ./payment-watcher.toml, /etc/payment-watcher/payment-watcher.toml, or the only "
        "company there.",
        show_default=False,
    ),
]


Company = Annotated[
    Path | None,
    typer.Argument(metavar="COMPANY", help="Its name in /etc/payment-watcher; as --config.", show_default=False),
]


def main() -> NoReturn:
    """Run the command line and end with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal does not know is shown as an escape.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except PaymentWatcherError as error:
        from watcher.cli.console import show_error

        show_error(error)
        sys.exit(exit_code(error))
    except PermissionError as error:
        # Such as a person who may use the folders, and not the journal.
        typer.echo(
            f"{plain(str(error.filename or 'A file'))}: {error.strerror}. Use sudo, or work as the service's user.",
            err=True,
        )
        sys.exit(CONFIGURATION)
    sys.exit(0)


def _version(wanted: bool) -> None:
    if wanted:
        from watcher.cli import version

        typer.echo("\n".join(version.lines()))
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
    from watcher.cli import lean

    with lean.importing():
        from watcher.cli import run

    tally = run.run(config_file, once=once)
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
        Path | None,
        typer.Option("--success-file", help="Gets the payments that ConnectWise has.", show_default=_SUCCESS_FILE),
    ] = None,
    fail_file: Annotated[
        Path | None,
        typer.Option(
            "--fail-file", help="Gets the payments that failed, each with its reason.", show_default=_FAIL_FILE
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing anywhere.")] = False,
    config_file: ConfigOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what became of it, or the plan, as JSON on standard output.")
    ] = False,
) -> None:
    """Set the payments of one document, without folders or daemon."""
    if source in (None, "-") and sys.stdin.isatty():
        raise typer.BadParameter("name a file, give the XML itself, or send it to standard input", param_hint="INPUT")
    from watcher.cli import lean

    with lean.importing():
        from watcher.cli import apply

    outputs = None if dry_run else apply.Outputs(success_file, fail_file)
    if not apply.apply(config_file, source, outputs, as_json=as_json):
        raise typer.Exit(SOME_FAILED)


@app.command(name="try")
def try_out(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file as it would be dropped.")],
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show how a file would be read, row by row, without ConnectWise."""
    from watcher.cli import try_out

    if code := try_out.show(config_file, source, as_json=as_json):
        raise typer.Exit(code)


@app.command()
def check(
    company: Company = None,
    config_file: ConfigOption = None,
    notify: Annotated[
        bool, typer.Option("--notify", help="Also send a test message to each of notify.urls, and a heartbeat.")
    ] = False,
) -> None:
    """Check configuration, folders, sign-in and rights; print every fault with its mend."""
    from watcher.cli import check, console, credentials

    code = credentials.check(config_file or company, ["--notify"] if notify else [])
    if code is not None:
        raise typer.Exit(code)
    findings = check.findings(config_file or company, notify=notify)
    for finding in findings:
        console.show_finding(finding)
    codes = [CONFIGURATION if each.cause is None else exit_code(each.cause) for each in findings if each.fault]
    if codes:
        raise typer.Exit(CONFIGURATION if CONFIGURATION in codes else codes[0])


@app.command()
def prove(
    invoice: Annotated[
        str | None,
        typer.Option(
            "--invoice",
            metavar="NUMBER",
            help="A throw-away invoice, made for this: payments are made, changed and removed on it.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: for scripts.")] = False,
    report: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Gets the report with ConnectWise's answers.", show_default=False),
    ] = None,
    config_file: ConfigOption = None,
) -> None:
    """Prove on your own ConnectWise what this program assumes about it; reads only, unless with --invoice."""
    from watcher.cli import prove

    if code := prove.prove(config_file, invoice, report, yes=yes):
        raise typer.Exit(code)


@app.command()
def status(
    company: Company = None,
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show how things are: what waits and since when, what is in work, and what became of the last files.

    Exit codes: 0 well; 1 needs attention; 2 down; 78 the configuration or the journal cannot be used.
    """
    from watcher.cli import local

    found = local.look(config_file or company)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        from watcher.cli import reports

        reports.show_status(found)
    if found.level:
        raise typer.Exit(found.level)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The file, as it is called in the inbox or an outbox.")],
    config_file: ConfigOption = None,
) -> None:
    """Explain why a file is not processed now, or where it went."""
    from watcher.cli import console, local

    sentences = local.sentences(name, config_file)
    if not sentences:
        typer.echo(
            f"{plain(name)} is not known as a file: it is not in the inbox, not in work, and not in the journal. "
            f"For an invoice: payment-watcher history {plain(name)}"
        )
        raise typer.Exit(SOME_FAILED)
    console.show_sentences(sentences)


@app.command()
def history(
    wanted: Annotated[
        str, typer.Argument(metavar="INVOICE|FILE", help="An invoice number; or a file, as it is called anywhere.")
    ],
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what happened to an invoice or a file: every attempt, from the journal."""
    from watcher.actions.history import attempts, sum_of, with_sums
    from watcher.cli.local import settings_of

    journal = settings_of(config_file).journal.url
    sums = sum_of(journal, wanted)
    found = attempts(journal, wanted, needed=not sums)
    if as_json:
        typer.echo(json.dumps(with_sums(found, sums), indent=2))
    else:
        from watcher.cli import reports

        reports.show_attempts(found)
        reports.show_sum(sums)


@app.command()
def requeue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A file of the fail outbox or of the archive.")],
    config_file: ConfigOption = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even if later files have set some of its invoices.")
    ] = False,
) -> None:
    """Put a failed or archived file back into the inbox."""
    from watcher.cli import local

    source, target = local.put_back(name, config_file, anyway=anyway)
    typer.echo(f"{plain(str(source))} is in the inbox again, as {plain(target.name)}.")


@app.command()
def withdraw(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A file in work, by its name or its claim.")],
    config_file: ConfigOption = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; the results say so.", show_default=False)
    ] = "",
) -> None:
    """Take a file out of work: what is not decided yet is rejected, and can be corrected and dropped in again."""
    from watcher.cli import console, withdraw

    said, done = withdraw.withdraw(name, config_file, reason)
    console.show_sentences(said.splitlines())
    if not done:
        raise typer.Exit(SOME_FAILED)


@app.command()
def dismiss(
    wanted: Annotated[
        str | None,
        typer.Argument(
            metavar="INVOICE|FILE", help="Whose failed payments; a file by any of its names.", show_default=False
        ),
    ] = None,
    config_file: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every payment that failed until now.")] = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; history says so.", show_default=False)
    ] = "",
) -> None:
    """Stop telling of payments that failed and will never be paid. Nothing changes in ConnectWise."""
    if (wanted is None) != everything:
        raise typer.BadParameter("name an invoice or a file, or give --all", param_hint="INVOICE|FILE")
    from watcher.cli import local, reports

    found = local.dismiss(wanted, config_file, reason)
    if not found:
        typer.echo(f"No failed and unpaid payment is known of {plain(wanted or 'any file')}.")
        raise typer.Exit(SOME_FAILED)
    reports.show_dismissed(found)


@app.command()
def retry(company: Company = None, config_file: ConfigOption = None) -> None:
    """Let the daemon try ConnectWise now, and not only in up to five minutes.

    Exit codes: 0 it does; 1 no daemon runs that can be asked; 78 the configuration cannot be used.
    """
    from watcher.cli import console, local

    said, tries = local.try_now(config_file or company)
    console.show_sentences([said])
    if not tries:
        raise typer.Exit(SOME_FAILED)


@app.command(name="notify-failure")
def notify_failure(config_file: ConfigOption = None) -> None:
    """Tell the services of notify.urls that the daemon has failed for good; systemd calls it (OnFailure=)."""
    from watcher.cli import console, failure

    said, told = failure.tell(config_file)
    console.show_sentences(said)
    if not told:
        raise typer.Exit(SOME_FAILED)


@app.command()
def prune(
    company: Company = None,
    config_file: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go and remove nothing.")] = False,
) -> None:
    """Remove what is older than the section retention says; the daemon does it by itself once a day."""
    from watcher.cli import prune

    for line in prune.prune(config_file or company, dry_run=dry_run):
        typer.echo(line)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the folders are to lie.")],
    export: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Also write how this format is read; formats lists them.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make the folders and a commented configuration file."""
    from watcher.cli import init

    typer.echo(init.init(folder.expanduser().absolute(), export))


@app.command()
def formats(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only this one, with its settings.", show_default=False)
    ] = None,
) -> None:
    """List the exports of accounting systems that are read as they are, and how to make them."""
    from watcher.cli import formats

    for line in formats.lines(name):
        typer.echo(line)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")] = 8470,
    invoices: Annotated[
        str, typer.Option(metavar="N|FILE", help="How many invoices it holds, or a JSON file of them.")
    ] = "500",
    latency: Annotated[float, typer.Option(min=0, help="How long each answer takes (seconds).")] = 0.0,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Answer 429 beyond this rate.", show_default="no limit")
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What this ConnectWise does otherwise; repeatable. ? lists the rules."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="REPORT.json", help="Play the ConnectWise whose rules and version this file holds."),
    ] = None,
) -> None:
    """Run the embedded stand-in for ConnectWise, to try things out without touching real books."""
    from watcher.cli import sandbox

    rules = sandbox.rules(like, rule or [])
    sandbox.serve(port, sandbox.seeds(invoices), latency, requests_per_minute, rules)


@app.command()
def demo() -> None:
    """Show everything at work: sandbox, daemon and sample files in a temporary folder."""
    from watcher.cli import demo

    raise typer.Exit(demo.show())


@app.command()
def schema() -> None:
    """Print the XML schema (XSD) of the input and result documents."""
    import importlib.resources

    text = importlib.resources.files("watcher.documents").joinpath("payments.xsd").read_text(encoding="utf-8")
    sys.stdout.write(text)
