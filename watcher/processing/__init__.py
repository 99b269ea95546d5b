"""Files taken from the inbox, and to their end.

``taking`` claims files and finds claims again. ``batch`` takes several claimed files to their end, and ``withdrawing``
those that a person wants out of work. ``waiting`` knows the files that wait by themselves. These four are what the
daemon uses; a document that lies in no folder needs ``rounds`` and ``look_up`` alone. ``opening`` turns our copy of a
file into what it asks. Of a round, ``turns`` chooses the demands, ``planner`` looks up and decides, ``looks`` make the
looks that may go wrong, ``calls`` make and prove the writes, and ``answers`` says what comes of them. ``pending``,
``unanswered`` and ``left`` hold what rounds know of their demands, ``memory`` writes plans and outcomes down, and
``audit`` looks once more at what got no answer. ``publishing`` takes decided files to their end: ``result_files`` puts
everything into the outboxes and the archive, ``letting_go`` deletes the original, and ``telling`` logs what became of
it. ``claimed`` holds the two states of a file in between. Nothing here knows when a file is ready, how long an outage
is waited out, or what a person is shown.
"""
