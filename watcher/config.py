"""The settings: read from TOML, systemd credentials and the environment, checked together, described once.

The models below are the only source: the commented file that ``payment-watcher init`` writes and the advice in error
messages are made from their descriptions and examples.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from watcher.errors import ConfigurationError, Fault

PLACES = (Path("payment-watcher.toml"), Path("/etc/payment-watcher/payment-watcher.toml"))
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
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("would send the keys unencrypted: http is accepted for a loopback address only")
    host = f"api-{parts.netloc}" if parts.hostname in _CLOUD else parts.netloc
    return f"{parts.scheme}://{host.lower()}"


def _codebase(text: str) -> str:
    stripped = text.strip("/")
    if not stripped or "/" in stripped:
        raise ValueError("is not one path segment")
    return stripped


def _database(text: str) -> str:
    if not text.startswith("sqlite:////"):
        raise ValueError("is not the URL of an SQLite file with its whole path")
    return text


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)


class ConnectWiseSection(_Section):
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
    ca_bundle: Path | None = Field(
        None,
        description="Certificates to trust instead of the usual ones.",
        examples=["/etc/ssl/certs/ca-certificates.crt"],
    )

    @property
    def url(self) -> str:
        """The root of the API."""
        return f"{self.site}/{self.codebase}/apis/3.0"


class FoldersSection(_Section):
    """The folders. They must exist; only `payment-watcher init` makes folders."""

    inbox: Path = Field(description="Where the accounting system drops its files.", examples=["/srv/payments/inbox"])
    success: Path = Field(
        description="Gets, for each file, the payments that ConnectWise has.",
        examples=["/srv/payments/success"],
    )
    fail: Path = Field(
        description="Gets, for each file, the payments that need a person, each with its reason.",
        examples=["/srv/payments/fail"],
    )
    work: Path = Field(
        Path(),
        description="Holds files while they are worked on; on the file system of the inbox. Default: .work beside it.",
        examples=["/srv/payments/.work"],
    )
    archive: Path = Field(
        Path(),
        description="Keeps every original with its receipt. Default: archive beside the inbox.",
        examples=["/srv/payments/archive"],
    )

    @model_validator(mode="before")
    @classmethod
    def _beside_the_inbox(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("inbox"):
            beside = Path(given["inbox"]).parent
            return {"work": beside / ".work", "archive": beside / "archive"} | given
        return given


class InboxSection(_Section):
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


class PaymentsSection(_Section):
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
        default=False, description="Refuse a file whose very content has been processed before."
    )


class JournalSection(_Section):
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


class LoggingSection(_Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: lines for people on a terminal, JSON anywhere else."
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
        )


SECTIONS: dict[str, type[_Section]] = {
    "connectwise": ConnectWiseSection,
    "folders": FoldersSection,
    "inbox": InboxSection,
    "payments": PaymentsSection,
    "journal": JournalSection,
    "logging": LoggingSection,
}


def find(given: Path | None) -> Path | None:
    """Say which configuration file counts: the one given, ``$PAYMENT_WATCHER_CONFIG``, or the first of ``PLACES``."""
    if given is not None:
        return given
    named = os.environ.get("PAYMENT_WATCHER_CONFIG")
    if named:
        return Path(named)
    return next((place for place in PLACES if place.is_file()), None)


def load(path: Path | None, *, folders: bool) -> Settings:
    """Read and check the settings.

    Args:
        path: the TOML file, or None for the environment and credentials alone.
        folders: whether ``[folders]`` is needed.

    Returns:
        The settings, with relative folders taken from the file's own folder.

    Raises:
        ConfigurationError: with every fault found.
    """
    content = _read_toml(path) if path else {}
    base = path.resolve().parent if path else Path.cwd()
    for name, folder in content.get("folders", {}).items() if isinstance(content.get("folders"), dict) else ():
        if isinstance(folder, str) and folder:
            content["folders"][name] = str(base / Path(folder).expanduser())
    faults: list[Fault] = []
    settings = None
    try:
        settings = _sources(content)
    except ValidationError as error:
        faults.extend(_fault(dict(detail)) for detail in error.errors(include_url=False))
    if folders and "folders" not in content and (settings is None or settings.folders is None):
        faults.append(Fault("folders", "is missing", "Name the folders inbox, success and fail in [folders]."))
    if settings is not None and settings.folders is not None:
        faults.extend(_folder_faults(settings.folders))
    if faults or settings is None:
        if path is None:
            looked = ", ".join(str(place) for place in PLACES)
            faults.insert(
                0,
                Fault(
                    "configuration",
                    f"no file was given, and there is none at {looked}",
                    "Write one with payment-watcher init DIR, or name one with --config.",
                ),
            )
        raise ConfigurationError(tuple(faults))
    return settings


def template(folder: Path) -> str:
    """Write the commented configuration file for a set of folders.

    Args:
        folder: where the folders lie.

    Returns:
        TOML in which required keys stand with an example and all others are commented out with their defaults.
    """
    lines = ["# payment-watcher's settings. Keys that are commented out show their defaults or an example."]
    for section, model in SECTIONS.items():
        lines += ["", f"# {' '.join((model.__doc__ or '').split())}", f"[{section}]"]
        for key, field in model.model_fields.items():
            value = field.examples[0] if field.examples else field.default
            if section == "folders":
                value = str(folder / Path(value).name)
            optional = not field.is_required() and section != "folders"
            lines += [f"# {field.description}", f"{'# ' if optional else ''}{key} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _state_folder() -> Path:
    # systemd gives the unit's folder in $STATE_DIRECTORY (systemd.exec(5)); the first of several counts.
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else platformdirs.user_state_path("payment-watcher")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mend = "Write one with payment-watcher init DIR, or name another with --config."
        raise ConfigurationError((Fault(str(path), f"cannot be read: {error.strerror}", mend),)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            (Fault(str(path), f"is not TOML: {error}", 'Texts stand in quotes: company = "acme".'),)
        ) from error


def _sources(content: dict[str, Any]) -> Settings:
    """Put the sources together: the environment before systemd credentials before the file."""

    class _Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],  # noqa: ARG003  (pydantic-settings fixes the signature)
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (as above)
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            credentials = NestedSecretsSettingsSource(
                file_secret_settings,
                secrets_dir=os.environ.get("CREDENTIALS_DIRECTORY"),
                secrets_dir_missing="ok",
                secrets_prefix="",
                secrets_nested_delimiter=".",
            )
            return (env_settings, credentials, init_settings)

    return _Sourced(**content)


def _fault(detail: dict[str, Any]) -> Fault:
    """Say one of pydantic's findings with its key and what to do."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    section = SECTIONS.get(location[0])
    name = location[1] if len(location) > 1 else ""
    if detail["type"] == "extra_forbidden":
        known = list(section.model_fields) if section and name else list(SECTIONS)
        close = difflib.get_close_matches(location[-1], known, 1)
        return Fault(
            key,
            "is not a setting",
            f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}.",
        )
    field = section.model_fields.get(name) if section else None
    example = f" For example: {name} = {_toml(field.examples[0])}" if field and field.examples else ""
    mend = f"{field.description if field else 'Give this section.'}{example}"
    if detail["type"] == "missing":
        return Fault(key, "is missing", mend)
    problem = str(detail["msg"]).removeprefix("Value error, ")
    return Fault(key, problem[:1].lower() + problem[1:], mend)


def _folder_faults(folders: FoldersSection) -> list[Fault]:
    named: dict[Path, str] = {}
    faults = []
    for key in FoldersSection.model_fields:
        folder: Path = getattr(folders, key)
        other = named.setdefault(folder, key)
        if other != key:
            faults.append(
                Fault(
                    f"folders.{key}",
                    f"is the same folder as {other}: {folder}",
                    "Give each a folder of its own.",
                )
            )
    return faults
