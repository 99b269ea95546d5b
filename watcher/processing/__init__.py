"""Claimed files, to their end.

``batch`` takes several claimed files at once and is what others use; a document that lies in no folder needs
``rounds`` and ``look_up`` alone. ``opening`` turns a claimed file into what it asks. ``publishing`` puts what became
of it into the outboxes and the archive. ``claimed`` holds the two states of a file in between. Nothing here knows
when a file is taken, how long an outage is waited out, or what a person is shown.
"""
