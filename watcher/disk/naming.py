"""How a file gets a name without replacing another file.

It is renamed by a call that replaces nothing. Where the file system does not know that call, it is linked; where it
knows no links either, it is renamed after a look. A file system has many ways to say that it does not know a call, an
input/output error among them. So every refusal but "exists" counts as one, and what else is wrong the last call says.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import cache

from watcher.disk.opened import OpenFolder

# The flag of renameat2(2).
_RENAME_NOREPLACE = 1
# The answers of a file system that does not know a call, which it never will.
_NOT_KNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
# One that knows no links says that they are not permitted (link(2)).
_NO_LINKS = (*_NOT_KNOWN, errno.EPERM)
# The calls that a file system does not know, by its device: on a share each attempt costs a round trip or two.
_unknown: set[tuple[int, str]] = set()


def give_name(source: OpenFolder, aside: str, folder: OpenFolder, name: str) -> bool:
    """Give a file its final name.

    Args:
        source: the folder it lies in.
        aside: its name there.
        folder: the folder it is to lie in, on the same file system.
        name: its final name there.

    Returns:
        False if something has the name.

    Raises:
        OSError: the name cannot be given.
    """
    device = os.fstat(folder.descriptor).st_dev
    number = errno.ENOSYS if (device, "rename") in _unknown else _rename_new(source, aside, folder, name)
    if number is None:
        return True
    if number == errno.EEXIST:
        return False
    if number in _NOT_KNOWN:
        _unknown.add((device, "rename"))
    if (device, "link") not in _unknown:
        try:
            os.link(aside, name, src_dir_fd=source.descriptor, dst_dir_fd=folder.descriptor, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in _NO_LINKS:
                _unknown.add((device, "link"))
        else:
            source.unlink(aside)
            return True
    return _rename_after_look(source, aside, folder, name)


def _rename_after_look(source: OpenFolder, aside: str, folder: OpenFolder, name: str) -> bool:
    """Rename a file if its new name is free. The look is enough where only this process writes such names."""
    try:
        folder.facts(name)
    except FileNotFoundError:
        pass
    else:
        return False
    try:
        os.rename(aside, name, src_dir_fd=source.descriptor, dst_dir_fd=folder.descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder.path)) from error
    return True


def _rename_new(source: OpenFolder, aside: str, folder: OpenFolder, name: str) -> int | None:
    """Rename a file without replacing another one; return the system's error number, None if it was renamed."""
    call = _renameat2()
    if call is None:
        return errno.ENOSYS
    # As Python does for its own calls, so that whoever listens hears of this one, too.
    sys.audit("os.rename", aside, name, source.descriptor, folder.descriptor)
    return call(source.descriptor, os.fsencode(aside), folder.descriptor, os.fsencode(name))


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes], int | None] | None:
    """Return renameat2(2), which Python does not offer; None if the system has none."""
    # Late, since only those who publish need it.
    import ctypes

    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

    def rename(source: int, name: bytes, folder: int, new: bytes) -> int | None:
        return ctypes.get_errno() if function(source, name, folder, new, _RENAME_NOREPLACE) else None

    return rename
