"""The program unattended.

``service`` turns the loop and is what others use. ``arrivals`` finds and claims what comes in. ``tenure`` makes sure
that the inbox is there and is ours alone. ``outage`` knows how long to pause. ``bulletin`` says how things are to
systemd, the log and the journal. ``stuck`` notices a folder that does not answer. ``upkeep`` does what is due once a
day. Nothing here knows what is in a file or what ConnectWise says.
"""
