"""Every rename and every published file, from the inbox to the archive; nobody else changes anything there.

A file is set aside from ``inbox/name`` to ``work/<claim>/name``, and deleted there at its end. What is published is
written anew, from our own copy of the file: nothing is ever overwritten, and every step can be repeated, since a file
that is there already with the same bytes is done. Every folder is used by descriptor. This folder does not know what a
payment is, what the journal holds or when a file is ready. Others use ``layout.Folders`` (every path), ``work.Work``
(set aside, compare, put back, clear), ``outboxes.Outboxes`` (publish, archive), ``published.Published`` (find, put
back, remove) and ``version_3.LeftByVersion3``.
"""
