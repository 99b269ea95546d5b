"""Every rename and every published file, from the inbox to the archive; nobody else changes anything there.

A file's way is ``inbox/name`` → ``work/<claim>/name`` → ``archive/yyyy/mm/dd/name__<claim>``. Each step is one rename
or link, nothing is ever overwritten, and every step can be repeated: a file that is there already with the same bytes
is done. This folder does not know what a payment is, what the journal holds or when a file is ready. Others use
``layout.Folders`` (every path), ``work.Work`` (claim, keep, clear), ``outboxes.Outboxes`` (publish, archive) and
``published.Published`` (find, put back, remove).
"""
