"""What happened, and who hears of it: the log's vocabulary, the log itself, figures, health, and messages to people.

It knows the names of events and their keys, and no other part of the program. Others log the members of
``catalogue.Event`` with structlog. ``log.set_up`` sends everything to one place, without secrets, and lets others hear
the events. ``metrics.Metrics`` counts them, and serves the figures by ``server.Server``. ``messenger.Messenger`` sends
what ``notices.Reporter`` finds worth a message, with a ``courier.Courier`` for each service. ``throttling`` knows what
many 429s mean. ``heartbeat.Heartbeat`` shows another service that the daemon lives. ``redaction.redactor`` takes
secrets out of any text.
"""
