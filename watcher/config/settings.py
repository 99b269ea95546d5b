"""All settings, section by section, each with its default and its meaning.

The commented file that ``payment-watcher init`` writes is made from the descriptions and examples below, and so is the
advice in error messages.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, FilePath, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from watcher.config.section import Section
from watcher.config.values import Address, Codebase, Days, HeartbeatUrl, JournalUrl, ServiceUrl, Site, WholePath

if TYPE_CHECKING:
    from watcher.config.table import CsvSection

# The value of inbox.transform that is no stylesheet.
TABLES = Path("csv")


class ConnectWiseSection(Section):
    """Where ConnectWise PSA is and who asks: the keys of an API member (System > Members > API Members)."""

    site: Site = Field(
        description="The site as you type it in a browser, or its API host.",
        examples=["api-na.myconnectwise.net"],
    )
    company: str = Field(min_length=1, description="The company you sign in to.", examples=["acme"])
    client_id: SecretStr = Field(
        min_length=1,
        description="The integration's client id, issued by ConnectWise's developer site.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    public_key: SecretStr = Field(
        min_length=1, description="The API member's public key.", examples=["put-the-public-key-here"]
    )
    private_key: SecretStr = Field(
        min_length=1,
        description="Its private key. Better kept out of this file: in a systemd credential named "
        "connectwise.private_key, or in PAYMENT_WATCHER_CONNECTWISE__PRIVATE_KEY.",
        examples=["put-the-private-key-here"],
    )
    codebase: Codebase = Field(
        "v4_6_release", description="The path of the API; this one works on premise and on the cloud."
    )
    api_version: str = Field(
        "2025.1",
        pattern=r"^\d{4}\.\d{1,2}$",
        description="The version of the API's models to ask for.",
    )
    timeout_seconds: float = Field(30, ge=1, le=300, description="How long to wait for an answer (seconds).")
    concurrency: int = Field(4, ge=1, le=64, description="How many calls may be under way at once.")
    requests_per_minute: int = Field(
        900, ge=1, le=60000, description="Never more calls than this; ConnectWise slows down at about 1000."
    )
    list_first: bool = Field(
        False,
        description="List an invoice's payments before its first payment, too; one more request for each.",
    )
    clear_date: Literal["remove", "empty", "put", "never"] = Field(
        "remove",
        description="How a date is taken off a payment: by a PATCH that removes it, by an empty text, by a PUT of the "
        "whole row, or never.",
    )
    change_by: Literal["patch", "put"] = Field(
        "patch", description="How a payment is changed: by a PATCH of what differs, or by a PUT of the whole row."
    )
    ca_bundle: FilePath | None = Field(
        None,
        description="Certificates to trust instead of the usual ones.",
        examples=["/etc/ssl/certs/ca-certificates.crt"],
    )

    @property
    def url(self) -> str:
        """The root of the API."""
        return f"{self.site}/{self.codebase}/apis/3.0"


class FoldersSection(Section):
    """The folders. They must exist; only `payment-watcher init` makes folders."""

    inbox: WholePath = Field(
        description="Where the accounting system drops its files.", examples=["/srv/payments/inbox"]
    )
    success: WholePath = Field(
        description="Gets the payments of each file that ConnectWise has.",
        examples=["/srv/payments/success"],
    )
    fail: WholePath = Field(
        description="Gets the payments of each file that need a person, each with its reason.",
        examples=["/srv/payments/fail"],
    )
    work: WholePath = Field(
        Path(),
        description="Holds files in work; on the file system of the inbox. Default: .work beside the inbox.",
        examples=["/srv/payments/.work"],
    )
    archive: WholePath = Field(
        Path(),
        description="Keeps every original with its receipt. Default: archive beside the inbox.",
        examples=["/srv/payments/archive"],
    )

    @model_validator(mode="before")
    @classmethod
    def _beside_the_inbox(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("inbox") and isinstance(given["inbox"], str | Path):
            beside = Path(given["inbox"]).parent
            return {"work": beside / ".work", "archive": beside / "archive"} | given
        return given


class InboxSection(Section):
    """When a file of the inbox is taken."""

    pattern: str = Field(
        "*.xml",
        min_length=1,
        description='The names of payment files; letter case is ignored. With transform = "csv" the default is *.csv.',
    )
    settle_seconds: float = Field(
        5, ge=0, le=3600, description="A file is taken once it has not changed for so long (seconds)."
    )
    scan_seconds: float = Field(
        10, ge=0.1, le=3600, description="The longest time between two scans of the inbox (seconds)."
    )
    observer: Literal["auto", "native", "polling", "off"] = Field(
        "auto",
        description="How changes wake the scan. auto: native on local disks, polling on network shares.",
    )
    stalled_after_seconds: float = Field(
        600,
        ge=1,
        description="An incomplete file that has not changed for so long goes to the fail outbox (seconds).",
    )
    max_file_bytes: int = Field(67108864, ge=1, description="Files larger than so many bytes are refused unread.")
    transform: Path | None = Field(
        None,
        description='A format of payment-watcher formats; "csv" for tables, as [csv] says; or an XSLT 1.0 stylesheet '
        "of your own, which turns the accounting system's own XML into a payment document.",
        examples=["xero"],
    )

    @property
    def takes_tables(self) -> bool:
        """True if files are tables (CSV)."""
        return self.transform == TABLES

    @model_validator(mode="before")
    @classmethod
    def _named_as_tables_are(cls, given: Any) -> Any:
        if isinstance(given, dict) and str(given.get("transform")) == str(TABLES):
            return {"pattern": "*.csv"} | given
        return given


class TransformSection(Section):
    """What the format or the stylesheet of inbox.transform is told: its parameters, texts by name."""

    # Their names are the stylesheet's. Whoever reads it checks them.
    model_config = ConfigDict(extra="allow", str_strip_whitespace=False)
    __pydantic_extra__: dict[str, str]

    prefix: str | None = Field(
        None,
        description="Only invoice numbers that begin so count, in capital or small letters; others are left out. "
        "In bank statements it finds the numbers in texts.",
        examples=["CW-"],
    )
    add_prefix: str | None = Field(
        None,
        description="Is put before invoice numbers that do not begin with it, after remove_prefix.",
        examples=["CW-"],
    )
    remove_prefix: str | None = Field(
        None, description="Is taken off invoice numbers that begin with it.", examples=["INV-"]
    )

    @property
    def given(self) -> dict[str, str]:
        """What is set: texts by name."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class PaymentsSection(Section):
    """What to do with a payment that can be meant in more than one way."""

    amounts: Literal["total", "each"] = Field(
        "total",
        description="What an amount says. total: what is paid on the invoice so far. each: a single payment, which is "
        "added to all earlier ones, for ever, by its externalId.",
    )
    duplicates: Literal["reject", "sum"] = Field(
        "reject",
        description="An invoice stands in a file several times: reject all its records, or add them up. With amounts = "
        "each, they are several payments.",
    )
    zero_amount: Literal["reject", "remove"] = Field(
        "reject", description="A paid amount of zero: reject it, or take the payment off the invoice."
    )
    date_partial_payments: bool = Field(
        default=False, description="Also send the date of a payment that leaves the invoice partly paid."
    )
    prevent_reprocessing: bool = Field(
        default=False,
        description="Refuse a file whose content has been applied before, and a payment whose externalId has.",
    )


class JournalSection(Section):
    """The journal: what was asked, planned and done. It must be on a local disk."""

    url: JournalUrl = Field(
        default_factory=lambda: f"sqlite:///{_state_folder() / 'journal.db'}",
        description="Default: journal.db in $STATE_DIRECTORY, else in the user's state folder.",
        examples=["sqlite:////var/lib/payment-watcher/journal.db"],
    )

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(self.url.removeprefix("sqlite:///"))


class LoggingSection(Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: lines for people on a terminal, JSON anywhere else."
    )
    file: WholePath | None = Field(
        None,
        description="A file that also gets the log, as JSON. It is moved aside at 10 MB; the last ten are kept.",
        examples=["/var/log/payment-watcher/acme/payment-watcher.log"],
    )


class StatusSection(Section):
    """Figures for Prometheus (/metrics) and a health check (/healthz) over HTTP; pages for people on the share."""

    listen: Address | None = Field(
        None, description="Address and port to listen on; nothing is served without.", examples=["127.0.0.1:9464"]
    )
    pages: bool = Field(
        True, description="A page beside each fail file, and beside each success file with warnings, for people."
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None if nothing is served."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class NotifySection(Section):
    """Who gets a message about failed payments, refused files, outages and full disks: mail, Teams, Slack, ..."""

    urls: list[ServiceUrl] = Field(
        [],
        description="Addresses in Apprise's form (https://github.com/caronc/apprise/wiki).",
        examples=[["mailtos://user:password@mail.example.com?to=books@example.com"]],
    )
    outage_seconds: float = Field(
        60, ge=0, description="An outage gets a message once it has lasted so long (seconds), then once a day."
    )
    warnings: bool = Field(
        True, description="Payments that are set with a warning get a message, too: an overage, an amount replaced."
    )
    heartbeat_url: HeartbeatUrl | None = Field(
        None,
        description="An address that is asked for while the daemon runs, such as one of Healthchecks or Uptime Kuma: "
        "it raises an alarm when nothing comes.",
        examples=["https://hc-ping.com/00000000-0000-0000-0000-000000000000"],
    )
    heartbeat_seconds: float = Field(
        300, ge=10, le=86400, description="The time from one heartbeat to the next (seconds)."
    )


class RetentionSection(Section):
    """What is removed once a day, by age in days (at least 30). Nothing by default; never what is unresolved."""

    archive_days: Days | None = Field(None, description="Originals and receipts of the archive.", examples=[3650])
    success_days: Days | None = Field(None, description="Files of the success outbox.", examples=[90])
    fail_days: Days | None = Field(
        None, description="Files of the fail outbox whose payments have been made since.", examples=[365]
    )
    journal_days: Days | None = Field(
        None, description="What history shows, and what prevent_reprocessing compares with.", examples=[3650]
    )


class Settings(BaseSettings):
    """All settings. ``folders`` may be None for ``apply``, which uses none.

    The environment counts before systemd credentials, and these count before what is given here: the file's content.
    """

    model_config = SettingsConfigDict(
        env_prefix="PAYMENT_WATCHER_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    connectwise: ConnectWiseSection
    folders: FoldersSection | None = None
    inbox: InboxSection = InboxSection()
    # A CsvSection; what checks it is imported only where tables are read: it is 1.4 MB of the daemon.
    csv: dict[str, Any] | None = None
    transform: TransformSection = TransformSection()
    payments: PaymentsSection = PaymentsSection()
    journal: JournalSection = Field(default_factory=JournalSection)
    logging: LoggingSection = LoggingSection()
    status: StatusSection = StatusSection()
    notify: NotifySection = NotifySection()
    retention: RetentionSection = RetentionSection()

    @property
    def table(self) -> CsvSection | None:
        """How tables (CSV) are read; None if files are no tables."""
        if self.csv is None or not self.inbox.takes_tables:
            return None
        # Late, as said at the field.
        from watcher.config.table import CsvSection

        return CsvSection.model_validate(self.csv)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (pydantic-settings fixes the signature)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (as above)
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources, the first one first."""
        credentials = NestedSecretsSettingsSource(
            file_secret_settings,
            secrets_dir=os.environ.get("CREDENTIALS_DIRECTORY"),
            secrets_dir_missing="ok",
            secrets_prefix="",
            secrets_nested_delimiter=".",
        )
        return (env_settings, credentials, init_settings)


SECTIONS: dict[str, type[Section]] = {
    "connectwise": ConnectWiseSection,
    "folders": FoldersSection,
    "inbox": InboxSection,
    "transform": TransformSection,
    "payments": PaymentsSection,
    "journal": JournalSection,
    "logging": LoggingSection,
    "status": StatusSection,
    "notify": NotifySection,
    "retention": RetentionSection,
}


def all_sections() -> dict[str, type[Section]]:
    """Return every section by its name, in the order in which they are written."""
    # Late, as said at the field.
    from watcher.config.table import CsvSection

    sections: dict[str, type[Section]] = {}
    for name, section in SECTIONS.items():
        sections[name] = section
        if name == "inbox":
            sections["csv"] = CsvSection
    return sections


def _state_folder() -> Path:
    # systemd gives the unit's folder in $STATE_DIRECTORY (systemd.exec(5)); the first of several counts.
    if given := os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(given)
    # Late, since a service has no use for it.
    import platformdirs

    return platformdirs.user_state_path("payment-watcher")
