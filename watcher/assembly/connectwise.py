"""The way to ConnectWise."""

from __future__ import annotations

from watcher.config.settings import Settings
from watcher.connectwise import proxies
from watcher.connectwise.changing import Ways
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.http import Account, Gateway
from watcher.connectwise.pace import Pace
from watcher.connectwise.workers import Workers
from watcher.events import heartbeat
from watcher.lifetime import Lifetime


def account_of(settings: Settings) -> Account:
    """Return where ConnectWise is and who asks."""
    section = settings.connectwise
    return Account(
        url=section.url,
        company=section.company,
        public_key=section.public_key.get_secret_value(),
        private_key=section.private_key.get_secret_value(),
        client_id=section.client_id.get_secret_value(),
        api_version=section.api_version,
        ca_bundle=str(section.ca_bundle) if section.ca_bundle else None,
        timeout_seconds=section.timeout_seconds,
    )


def ways_of(settings: Settings) -> Ways:
    """Return how payment rows are changed."""
    return Ways(settings.connectwise.change_by, settings.connectwise.clear_date)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every text of the settings that must never be shown."""
    return (
        *account_of(settings).secrets,
        *proxies.secrets(),
        *(url.get_secret_value() for url in settings.notify.urls),
        *(heartbeat.secrets(beat.get_secret_value()) if (beat := settings.notify.heartbeat_url) else ()),
    )


def client_of(settings: Settings, lifetime: Lifetime) -> tuple[ConnectWise, Workers]:
    """Return the way to ConnectWise, and the workers that use it."""
    pace = Pace(settings.connectwise.requests_per_minute, lifetime)
    client = ConnectWise(Gateway(account_of(settings), pace), ways_of(settings))
    return client, Workers(settings.connectwise.concurrency, lifetime)
