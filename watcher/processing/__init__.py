"""Files taken from the inbox, and to their end.

``taking`` claims files and finds claims again. ``batch`` takes several claimed files to their end, and ``withdrawing``
those that a person wants out of work. These three are what the daemon uses; a document that lies in no folder needs
``rounds`` and ``look_up`` alone. ``opening`` turns our copy of a file into what it asks. ``publishing`` puts what
became of it into the outboxes and the archive. ``claimed`` holds the two states of a file in between. Nothing here
knows when a file is ready, how long an outage is waited out, or what a person is shown.
"""
