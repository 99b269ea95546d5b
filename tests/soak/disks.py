"""Disks that lose their power: file systems in images, which keep what was synced and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from soak.places import MEMORY, OUTBOXES, Place, Stage
from soak.scenes import BASIC, Staged
from support.needs import missing
from support.program import until
from support.scenes import visible

from watcher.sandbox import Sandbox

# Ext4 in an image of this many bytes; nothing gets to the disk but what is synced (ext4(5)).
_IMAGE_BYTES = 8 << 20
_MOUNT_OPTIONS = "loop,commit=300,noauto_da_alloc"


class Disk:
    """A file system in an image that is mounted at a folder."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._folder = folder
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        _tool("mkfs.ext4", "-q", "-F", str(image))
        self._mount()

    def sync(self) -> None:
        """Get everything so far to the disk."""
        _tool("sync", "--file-system", str(self._folder))

    def save(self) -> None:
        """Keep what the disk holds at this moment, and nothing that is only in the system's memory."""
        shutil.copyfile(self._image, self._image.with_suffix(".cut"))

    def restore(self) -> None:
        """Make the disk hold what was kept."""
        self.unmount()
        self._image.with_suffix(".cut").replace(self._image)
        self._mount()

    def unmount(self) -> None:
        # A process that another attempt is just starting may hold this one's open files until it is the new program.
        tried = ["umount", str(self._folder)]
        until(lambda: subprocess.run(tried, capture_output=True, check=False).returncode == 0)

    def _mount(self) -> None:
        _tool("mount", "-o", _MOUNT_OPTIONS, str(self._image), str(self._folder))


class DiskPlace(Place):
    """A place on disks whose power can be cut."""

    def __init__(self, staged: Staged, made: Path, sandbox: Sandbox, disks: Sequence[Disk], *, apart: bool) -> None:
        elsewhere = {name: made / name / name for name in OUTBOXES} if apart else {}
        for folder in elsewhere.values():
            folder.mkdir()
        base = made / "files/scene"
        super().__init__(staged, base, sandbox, (made / "journal" if apart else base) / "journal.db", elsewhere)
        self._disks = disks
        self._seen: dict[Path, bytes] = {}
        for disk in disks:
            disk.sync()

    def cut(self) -> None:
        """Cut the power of all disks and switch it on again."""
        for disk in self._disks:
            disk.save()
        self._seen |= {path: content for path, content in visible(self.base).items() if path.suffix != ".tmp"}
        for disk in self._disks:
            disk.restore()

    def broken(self, expected: object | None) -> Iterator[str]:
        """Yield what is not as it should be in the end."""
        yield from super().broken(expected)
        found = visible(self.base)
        for path, content in self._seen.items():
            if found.get(path) != content and path not in self.leaving:
                yield f"{path.name} was seen before the power cut and is {'other' if path in found else 'gone'} now"


def disks(*, apart: bool) -> Stage:
    """Return a stage on one disk, or on several."""

    @contextmanager
    def stage(staged: Staged) -> Iterator[Place]:
        with tempfile.TemporaryDirectory(prefix="power-", dir=MEMORY) as made, ExitStack() as stack:
            sandbox = stack.enter_context(Sandbox(invoices=staged.scene.invoices))
            mounted = []
            for name in ("files", *OUTBOXES, "journal") if apart else ("files",):
                mounted.append(Disk(Path(made, f"{name}.img"), Path(made, name)))
                stack.callback(mounted[-1].unmount)
            yield DiskPlace(staged, Path(made), sandbox, mounted, apart=apart)

    return stage


def _tool(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def no_power_cut() -> str | None:
    """Return why no power can be cut here; None where it can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if reason := missing("mkfs.ext4", "mount", "umount"):
        return reason
    try:
        with disks(apart=True)(BASIC["single"]) as place:
            place.cut()
    except (subprocess.CalledProcessError, OSError) as error:
        return f"no disk in an image can be mounted: {getattr(error, 'stderr', None) or error}".strip()
    return None
