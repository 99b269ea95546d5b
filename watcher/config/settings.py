"""The settings: what they are, what they accept, and what they mean, described once.

The commented file that ``payment-watcher init`` writes and the advice in error messages are made from the descriptions
and examples below.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_LAST_PORT = 65535
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# ConnectWise's cloud answers the API on a host of its own (developer guide, cloud URLs).
_CLOUD = {f"{region}.myconnectwise.net" for region in ("na", "eu", "au", "aus", "za")} | {"staging.connectwisedev.com"}


def _host(text: str) -> str:
    """Give ``https://host`` of a site as users type it; plain http is for this machine alone."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if not parts.hostname or " " in text or parts.username:
        raise ValueError("is not the name of a site")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"has the scheme {parts.scheme}, where only https is accepted")
    try:
        parts.port  # noqa: B018  (reading it checks it)
    except ValueError as error:
        raise ValueError("has a port that is none") from error
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("would send the keys unencrypted: http is accepted for a loopback address only")
    host = f"api-{parts.netloc}" if parts.hostname in _CLOUD else parts.netloc
    return f"{parts.scheme}://{host.lower()}"


def _folder(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("is not the whole path of a folder")
    return path


def _codebase(text: str) -> str:
    stripped = text.strip("/")
    if not stripped or "/" in stripped:
        raise ValueError("is not one path segment")
    return stripped


def _database(text: str) -> str:
    if not text.startswith("sqlite:////"):
        raise ValueError("is not the URL of an SQLite file with its whole path")
    return text


def _listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) <= _LAST_PORT:
        raise ValueError("is not an address and a port")
    return text


def _service(url: SecretStr) -> SecretStr:
    # Half a second and 20 MB that only those pay who use it.
    import apprise

    # It would log the address, which holds a password.
    logging.getLogger("apprise").disabled = True
    if apprise.Apprise.instantiate(url.get_secret_value()) is None:
        raise ValueError("is no address that Apprise knows")
    return url


_FolderPath = Annotated[Path, AfterValidator(_folder)]


class Section(BaseModel):
    """A table of the configuration file; unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)


class ConnectWiseSection(Section):
    """Where ConnectWise PSA is and who asks: the keys of an API member (System > Members > API Members)."""

    site: Annotated[str, AfterValidator(_host)] = Field(
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
    codebase: Annotated[str, AfterValidator(_codebase)] = Field(
        "v4_6_release", description="The path of the API; this one works on premise and on the cloud."
    )
    api_version: str = Field(
        "2025.1",
        pattern=r"^\d{4}\.\d{1,2}$",
        description="The version of the API's models that is asked for.",
    )
    timeout_seconds: float = Field(30, ge=1, le=300, description="How long to wait for an answer.")
    concurrency: int = Field(4, ge=1, le=64, description="How many calls may be under way at once.")
    requests_per_minute: int = Field(
        900, ge=1, le=60000, description="Never more calls than this; ConnectWise slows down at about 1000."
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

    inbox: _FolderPath = Field(
        description="Where the accounting system drops its files.", examples=["/srv/payments/inbox"]
    )
    success: _FolderPath = Field(
        description="Gets, for each file, the payments that ConnectWise has.",
        examples=["/srv/payments/success"],
    )
    fail: _FolderPath = Field(
        description="Gets, for each file, the payments that need a person, each with its reason.",
        examples=["/srv/payments/fail"],
    )
    work: _FolderPath = Field(
        Path(),
        description="Holds files while they are worked on; on the file system of the inbox. Default: .work beside it.",
        examples=["/srv/payments/.work"],
    )
    archive: _FolderPath = Field(
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

    pattern: str = Field("*.xml", min_length=1, description="The names of payment files; letter case is ignored.")
    settle_seconds: float = Field(5, ge=0, le=3600, description="How long a file must not change before it is taken.")
    scan_seconds: float = Field(
        10, ge=0.1, le=3600, description="How often the inbox is looked through, at the latest."
    )
    observer: Literal["auto", "native", "polling", "off"] = Field(
        "auto",
        description="How changes wake the scan. auto: native on local disks, polling on network shares.",
    )
    stalled_after_seconds: float = Field(
        600,
        ge=1,
        description="A file that stays incomplete for so long without a change goes to the fail outbox.",
    )
    max_file_bytes: int = Field(67108864, ge=1, description="Larger files are refused unread.")
    transform: Path | None = Field(
        None,
        description="An XSLT 1.0 stylesheet that turns the accounting system's own XML into a payment document.",
        examples=["sage.xsl"],
    )


class PaymentsSection(Section):
    """What to do where a payment can be meant in more than one way."""

    duplicates: Literal["reject", "sum"] = Field(
        "reject", description="One invoice several times in a file: reject all its records, or add them up."
    )
    zero_amount: Literal["reject", "remove"] = Field(
        "reject", description="A paid amount of zero: reject it, or take the payment off the invoice."
    )
    date_partial_payments: bool = Field(
        default=False, description="Send the date of a payment that leaves the invoice partly paid, too."
    )
    prevent_reprocessing: bool = Field(
        default=False,
        description="Refuse a file whose very content, and a payment whose externalId, has been applied before.",
    )


class JournalSection(Section):
    """The record of what was asked, planned and done; on a local disk."""

    url: Annotated[str, AfterValidator(_database)] = Field(
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
    file: Annotated[Path, AfterValidator(_folder)] | None = Field(
        None,
        description="A file that gets the log as JSON, too; moved aside at 10 MB, the last ten are kept.",
        examples=["/var/log/payment-watcher/acme/payment-watcher.log"],
    )


class StatusSection(Section):
    """Figures for Prometheus (/metrics) and a health check (/healthz) over HTTP; off without an address."""

    listen: Annotated[str, AfterValidator(_listen)] | None = Field(
        None, description="Address and port to listen on.", examples=["127.0.0.1:9464"]
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None if it is off."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class NotifySection(Section):
    """Whom to tell of failed payments, refused files, outages and full disks: mail, Teams, Slack, ... by Apprise."""

    urls: list[Annotated[SecretStr, AfterValidator(_service)]] = Field(
        [],
        description="Addresses in Apprise's form (https://github.com/caronc/apprise/wiki).",
        examples=[["mailtos://user:password@mail.example.com?to=books@example.com"]],
    )
    outage_seconds: float = Field(
        60, ge=0, description="An outage that is over sooner is not told of; one that lasts is, once a day."
    )


_Days = Annotated[int, Field(ge=30, le=36500)] | None


class RetentionSection(Section):
    """What is removed once a day, by age in days, at least 30; nothing by default, and never what is unresolved."""

    archive_days: _Days = Field(None, description="Originals and receipts of the archive.", examples=[3650])
    success_days: _Days = Field(None, description="Files of the success outbox.", examples=[90])
    fail_days: _Days = Field(
        None, description="Files of the fail outbox whose payments have been made since.", examples=[365]
    )
    journal_days: _Days = Field(
        None, description="What history knows; also what prevent_reprocessing compares with.", examples=[3650]
    )


class Settings(BaseSettings):
    """All settings. ``folders`` is None where only ``apply`` is to be used."""

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
    payments: PaymentsSection = PaymentsSection()
    journal: JournalSection = Field(default_factory=JournalSection)
    logging: LoggingSection = LoggingSection()
    status: StatusSection = StatusSection()
    notify: NotifySection = NotifySection()
    retention: RetentionSection = RetentionSection()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must never be shown."""
        account = self.connectwise
        public, private = account.public_key.get_secret_value(), account.private_key.get_secret_value()
        return (
            private,
            public,
            account.client_id.get_secret_value(),
            f"{account.company}+{public}:{private}",
            *(url.get_secret_value() for url in self.notify.urls),
        )


SECTIONS: dict[str, type[Section]] = {
    "connectwise": ConnectWiseSection,
    "folders": FoldersSection,
    "inbox": InboxSection,
    "payments": PaymentsSection,
    "journal": JournalSection,
    "logging": LoggingSection,
    "status": StatusSection,
    "notify": NotifySection,
    "retention": RetentionSection,
}


def _state_folder() -> Path:
    # systemd gives the unit's folder in $STATE_DIRECTORY (systemd.exec(5)); the first of several counts.
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else platformdirs.user_state_path("payment-watcher")
