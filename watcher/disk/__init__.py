"""What a disk promises and what it does not: durable files, calls that may hang, locks, space, kinds of mounts.

It knows no payment, no claim and none of the five folders: paths come in as arguments. Others use ``durable`` (sync,
write, name, open), ``hanging`` (``FolderCalls``, ``within``), ``lock`` (``holding``, ``holder``, ``lock_file``) and
``room`` (``probe``, ``nearly_full``, ``file_system``).
"""
