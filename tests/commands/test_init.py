"""``init``: the folders and the configuration file that it makes."""

from __future__ import annotations

import re
import stat

import pytest
from support.documents import document
from support.program import command

from watcher.config import load as config
from watcher.config import presets
from watcher.config.settings import InboxSection, PaymentsSection
from watcher.sandbox import SignIn

GOOD = document(("CW-1", "100.00"))


def names(folder):
    """Return the names of what lies in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def test_init_makes_folders_and_a_configuration_that_only_its_owner_reads(tmp_path):
    """The folders and a file of mode 0600 are there; the file loads and names those folders."""
    ended = command("init", "payments")
    assert ended.code == 0
    made = tmp_path / "payments"
    assert names(made) == [".work", "archive", "fail", "inbox", "payment-watcher.toml", "success"]
    file = made / "payment-watcher.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    loaded = config.load(file, folders=True)
    assert {getattr(loaded.folders, name) for name in ("inbox", "success", "fail", "work", "archive")} == {
        path for path in made.iterdir() if path.is_dir()
    }
    assert loaded.inbox == InboxSection()
    assert loaded.payments == PaymentsSection()
    assert str(file) in ended.out


def test_init_leaves_an_existing_configuration_as_it_is(tmp_path):
    """A second init makes what is missing and does not touch the file that is there."""
    command("init", tmp_path / "payments")
    file = tmp_path / "payments" / "payment-watcher.toml"
    file.write_text("# mine\n")
    (tmp_path / "payments" / "fail").rmdir()
    (tmp_path / "payments" / "inbox" / "waiting.xml").write_bytes(GOOD)
    ended = command("init", tmp_path / "payments")
    assert ended.code == 0
    assert "left as it is" in ended.out
    assert file.read_text() == "# mine\n"
    assert (tmp_path / "payments" / "fail").is_dir()
    assert (tmp_path / "payments" / "inbox" / "waiting.xml").read_bytes() == GOOD


def test_installation_made_by_init_passes_the_check(sandbox, tmp_path):
    """With site and keys put into the file that init wrote, nothing else has to be made."""
    command("init", "payments")
    file = tmp_path / "payments" / "payment-watcher.toml"
    given = {"site": sandbox.url} | {
        key: getattr(SignIn(), key) for key in ("company", "client_id", "public_key", "private_key")
    }
    text = file.read_text()
    for key, value in given.items():
        text = re.sub(rf'^{key} = ".*"$', f'{key} = "{value}"', text, flags=re.MULTILINE)
    file.write_text(text)
    ended = command("check", "--config", file)
    assert ended.code == 0, ended.out
    assert command("run", "--once", "--config", file).code == 0


def test_init_where_no_folder_can_be_is_explained(tmp_path):
    """A path below a file ends with a sentence and not with a traceback."""
    (tmp_path / "file").write_text("no folder")
    ended = command("init", tmp_path / "file" / "payments")
    assert ended.code in (2, 78)
    assert str(tmp_path / "file") in ended.err


def test_init_writes_the_settings_for_an_accounting_system(tmp_path):
    """They are visible and can be changed; what to export, and what is not sure, stands above them."""
    ended = command("init", "payments", "--format", "sage50us")
    assert ended.code == 0
    file = tmp_path / "payments" / "payment-watcher.toml"
    assert f"payment-watcher try FILE --config {file}" in ended.out
    assert 'payments.amounts = "each"' in ended.out
    loaded = config.load(file, folders=True)
    assert (loaded.table.number, loaded.table.date_format) == ("Invoice Paid", "%m/%d/%y")
    assert "Cash Receipts Journal" in file.read_text()


@pytest.mark.parametrize("name", presets.names())
def test_configuration_that_init_writes_for_a_format_loads(tmp_path, name):
    """Whatever the format needs is set, and what is known of it stands there."""
    assert command("init", "payments", "--format", name).code == 0
    file = tmp_path / "payments" / "payment-watcher.toml"
    found = presets.preset(name)
    loaded = config.load(file, folders=True)
    assert str(loaded.inbox.transform) == ("csv" if found.is_table else name)
    assert loaded.payments.amounts == ("each" if found.needs_each else "total")
    for sentence in (found.title, *found.export, *found.leaves_out, *found.unchecked):
        assert sentence in file.read_text(encoding="utf-8")


def test_init_with_a_format_that_is_unknown_makes_nothing(tmp_path):
    """The answer names the formats that are known."""
    ended = command("init", "payments", "--format", "sage")
    assert ended.code == 78
    assert f"Known are {', '.join(presets.names())}." in ended.err
    assert not (tmp_path / "payments").exists()
