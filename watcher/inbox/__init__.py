"""Which files of the inbox are ready to be claimed.

It owns the scans, the check that a file is quiet and whole, the marker by which the inbox is recognised, and the
observer that brings the next scan forward. It reads and never moves a file; only the marker is written. It does not
know claims in work, the journal or what a payment is. Others use ``scan.Inbox`` and ``scan.Terms``,
``entries.Remark``, ``marker.Marker``, ``verdict.judge`` (for one file) and ``observer.Observer``.
"""
