"""What a single value of the settings must be: types that check, and that say what is wrong in words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

_LAST_PORT = 65535
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# ConnectWise's cloud answers the API on a host of its own (developer guide, cloud URLs).
_CLOUD = {f"{region}.myconnectwise.net" for region in ("na", "eu", "au", "aus", "za")} | {"staging.connectwisedev.com"}


def _site(text: str) -> str:
    """Return ``https://host`` for a site as users type it; plain http is for this machine alone."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if not parts.hostname or " " in text or parts.username:
        raise ValueError("is not the name of a site")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"has the scheme {parts.scheme}, but only https is accepted")
    try:
        parts.port  # noqa: B018  (reading it checks it)
    except ValueError as error:
        raise ValueError("has a port that does not exist") from error
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("would send the keys unencrypted: http is accepted for a loopback address only")
    host = f"api-{parts.netloc}" if parts.hostname in _CLOUD else parts.netloc
    return f"{parts.scheme}://{host.lower()}"


def _whole_path(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("is not a whole path, from / on")
    return path


def _codebase(text: str) -> str:
    stripped = text.strip("/")
    if not stripped or "/" in stripped:
        raise ValueError("is not one path segment")
    return stripped


def _journal_url(text: str) -> str:
    if not text.startswith("sqlite:////"):
        raise ValueError("is not the URL of an SQLite file with its whole path")
    return text


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) <= _LAST_PORT:
        raise ValueError("is not an address and a port")
    return text


def _service(url: SecretStr) -> SecretStr:
    # Late, since it imports Apprise: half a second and 20 MB, which only those pay who use it.
    from watcher.events.messenger import sender

    sender(url.get_secret_value())
    return url


def _heartbeat(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        # Reading the port checks it.
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ValueError("has a host or a port that cannot be") from error
    if not is_address:
        raise ValueError("is no address that begins with https:// or http://")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has a blank in it, or a character that no address has")
    if "@" in parts.netloc:
        raise ValueError("has a user name in it, which is not sent: name an address that needs none")
    return url


Site = Annotated[str, AfterValidator(_site)]
WholePath = Annotated[Path, AfterValidator(_whole_path)]
Codebase = Annotated[str, AfterValidator(_codebase)]
JournalUrl = Annotated[str, AfterValidator(_journal_url)]
Address = Annotated[str, AfterValidator(_address)]
ServiceUrl = Annotated[SecretStr, AfterValidator(_service)]
HeartbeatUrl = Annotated[SecretStr, AfterValidator(_heartbeat)]
Days = Annotated[int, Field(ge=30, le=36500)]
