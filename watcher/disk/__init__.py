"""What a disk promises and what it does not: durable files, calls that may hang, locks, space, rights, kinds of mounts.

It knows no payment, no claim and none of the five folders: paths come in as arguments. Others use ``opened`` (folders
by descriptor, no link followed), ``stages`` (opened and synced once for many files), ``side_by_side`` and ``lane``
(work on folders in threads), ``durable`` (sync, read, write, name), ``hanging`` (``FolderCalls``, ``within``), ``lock``
(``holding``, ``holder``, ``lock_file``), ``writers`` (who can write to a folder) and ``room`` (``probe``,
``nearly_full``, ``file_system``).
"""
