"""``check``: everything that can be tried of an installation."""

from __future__ import annotations

from pathlib import Path

from watcher.actions.check import Finding, check_connectwise, check_folders, check_heartbeat, check_services
from watcher.assembly.connectwise import client_of, secrets_of
from watcher.assembly.local import documents_of, folders_of
from watcher.cli import identity
from watcher.config import load as config
from watcher.events import heartbeat, log
from watcher.lifetime import Lifetime


def findings(config_file: Path | None, *, notify: bool) -> list[Finding]:
    """Return what was found, in order.

    Args:
        config_file: the configuration file that was named; None if none was.
        notify: also send a test message to each service of ``[notify]``, and a heartbeat.

    Raises:
        ConfigurationError: the settings cannot be used, so nothing else was tried.
    """
    path = identity.configuration(config_file)
    # What the service's user may do is what counts, and not what root may do.
    settings = identity.work_as_company(config.load(path, folders=True))
    log.set_up("error", settings.logging.format, secrets_of(settings))
    # A stylesheet that cannot be used is a fault of the configuration.
    documents_of(settings, Lifetime())
    found = [Finding("configuration", good=str(path or "from the environment"))]
    default_journal = "url" not in settings.journal.model_fields_set
    found += check_folders(folders_of(settings), settings.journal.url, default_journal=default_journal)
    client, _ = client_of(settings, Lifetime())
    found += check_connectwise(client, settings.journal.path.parent)
    chosen = settings.notify
    if chosen.heartbeat_url is not None:
        beat = heartbeat.beat_of(chosen.heartbeat_url.get_secret_value())
        found += check_heartbeat(beat, chosen.heartbeat_seconds, send=notify)
    if notify and (chosen.urls or chosen.heartbeat_url is None):
        from watcher.events.messenger import sender

        found += check_services([sender(url.get_secret_value()) for url in chosen.urls])
    return found
