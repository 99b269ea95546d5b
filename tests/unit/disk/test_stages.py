"""Stages: folders are opened once, and what is to be synced is synced once, before anything relies on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import OpenFolder
from watcher.disk.stages import Stages
from watcher.errors import FolderTrouble


@pytest.fixture
def stages() -> Stages:
    """The stages of one part of the program."""
    return Stages(FolderCalls())


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were synced, in order."""
    paths: list[Path] = []
    monkeypatch.setattr(OpenFolder, "sync", lambda folder: paths.append(folder.path))
    return paths


def test_within_a_stage_a_folder_is_opened_once_and_closed_at_its_end(stages, tmp_path):
    """Its path may lead elsewhere meanwhile: the stage goes on in the folder that it has opened."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    with stages.stage():
        with stages.folder(tmp_path / "a") as first, stages.inner(first, "b") as inner:
            pass
        (tmp_path / "a").rename(tmp_path / "away")
        with stages.folder(tmp_path / "a") as again, stages.inner(again, "b") as inner_again:
            assert (again, inner_again) == (first, inner)
            assert again.names() == ["b"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first.descriptor)


def test_without_a_stage_each_use_opens_and_syncs_by_itself(stages, synced, tmp_path):
    """What is done to one file alone is done at once."""
    with stages.folder(tmp_path) as folder:
        stages.sync(folder)
        assert synced == [tmp_path]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(folder.descriptor)


def test_a_folder_is_synced_once_at_the_end_of_a_stage_or_where_something_relies_on_it(stages, synced, tmp_path):
    """However many files were put into it; after that, once more for those that come later."""
    with stages.stage(), stages.folder(tmp_path) as folder:
        for _ in range(3):
            stages.sync(folder)
        assert synced == []
        stages.sync_now()
        assert synced == [tmp_path]
        stages.sync(folder)
    assert synced == [tmp_path, tmp_path]


def test_a_sync_that_fails_at_the_end_is_a_trouble_and_the_next_stage_begins_anew(stages, monkeypatch, tmp_path):
    """Nobody takes for safe what is not on disk."""

    def fail(_folder: OpenFolder) -> None:
        raise OSError(5, "no", str(tmp_path))

    with monkeypatch.context() as patch:
        patch.setattr(OpenFolder, "sync", fail)
        with pytest.raises(FolderTrouble), stages.stage(), stages.folder(tmp_path) as folder:
            stages.sync(folder)
    with stages.stage(), stages.folder(tmp_path) as folder:
        stages.sync(folder)


def test_nothing_is_synced_after_what_failed_within_a_stage(stages, synced, tmp_path):
    """The error counts, and what was begun is done again."""

    def fail() -> None:
        with stages.stage(), stages.folder(tmp_path) as folder:
            stages.sync(folder)
            raise OSError(5, "no")

    with pytest.raises(OSError, match="no"):
        fail()
    assert synced == []


def test_a_link_is_not_followed(stages, tmp_path):
    """Neither in the place of a folder nor in that of one in it."""
    (tmp_path / "there" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "there" / "link").symlink_to("b")
    for _ in range(2):
        with stages.stage():
            with pytest.raises(OSError, match=r"Not a directory|symbolic"), stages.folder(tmp_path / "link"):
                pass
            with (
                stages.folder(tmp_path / "there") as there,
                pytest.raises(OSError, match=r"Not a directory|symbolic"),
                stages.inner(there, "link"),
            ):
                pass
