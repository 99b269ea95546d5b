"""What is old is removed in an order that a power cut cannot turn into files that nobody knows."""

from __future__ import annotations

from types import SimpleNamespace

from watcher.actions.prune import Aged, remove
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import OpenFolder
from watcher.folders.layout import Folders
from watcher.folders.published import Published


def test_files_are_gone_from_the_disk_before_the_journal_forgets_them(tmp_path, monkeypatch):
    """Each folder that lost a file, or a folder of the archive, is synced before the rows are deleted."""
    folders = Folders(*(tmp_path / name for name in ("inbox", "success", "fail", "work", "archive")))
    paths = [
        folders.archive / "2020/01/01/a__20200101T000000Z_00000000.xml",
        folders.archive / "2020/01/02/b__20200102T000000Z_00000000.xml",
        folders.archive / "2020/01/02/b__20200102T000000Z_00000000.receipt.json",
        folders.success / "a__20200101T000000Z_00000000.xml",
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folders.archive / "2020/01/02/stays").touch()
    happened = []
    monkeypatch.setattr(OpenFolder, "sync", lambda folder: happened.append(folder.path))
    history = SimpleNamespace(forget=lambda claims: happened.append(claims))
    remove(Aged(paths, ["claim"]), Published(folders, FolderCalls()), history)
    assert not any(path.exists() for path in paths)
    assert happened == [folders.archive / "2020/01", folders.archive / "2020/01/02", folders.success, ["claim"]]
