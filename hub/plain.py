"""Files that an administrator names: read whole, at once, and only if they are files.

A pipe that stands where a file should would hold its reader for ever, a device would fill the memory.
"""

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def read_plain(path: Path, most: int) -> bytes:
    """All of a file of `most` bytes or fewer; never waits for anybody to write.

    Raises:
        OSError: `strerror` says in words why not; also of what is no file, or too large (nothing of it is read then).
    """
    _must_be_plain(path.stat())  # first, because to open a device may do something
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        _must_be_plain(found)
        data = file.read(most + 1) if found.st_size <= most else b""
    if max(found.st_size, len(data)) > most:
        raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, more than {most:,}")
    return data


def _must_be_plain(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
