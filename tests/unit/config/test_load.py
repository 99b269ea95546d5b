"""The settings: where they come from, what they accept, and how their faults are reported."""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.config import load as config
from watcher.config import writing
from watcher.config.settings import all_sections
from watcher.errors import ConfigurationError

README = Path(__file__).parents[3] / "README.md"
KEYS = """
[connectwise]
site = "cw.example.com"
company = "acme"
client_id = "secret-client-id"
public_key = "secret-public-key"
private_key = "secret-private-key"
"""
FOLDERS = """
[folders]
inbox = "/srv/payments/inbox"
success = "/srv/payments/success"
fail = "/srv/payments/fail"
"""
WHOLE = KEYS + FOLDERS
FOLDER_KEYS = ("inbox", "success", "fail", "work", "archive")
PAIRS = list(itertools.combinations(FOLDER_KEYS, 2))


@pytest.fixture
def load(tmp_path):
    """Load settings from a text."""

    def load(text, *, folders=True):
        file = tmp_path / "settings.toml"
        file.write_text(text, encoding="utf-8")
        return config.load(file, folders=folders)

    return load


@pytest.fixture
def faults(load):
    """Return the faults of a text by key."""

    def faults(text, *, folders=True):
        with pytest.raises(ConfigurationError) as caught:
            load(text, folders=folders)
        found = {fault.key: fault for fault in caught.value.faults}
        assert len(found) == len(caught.value.faults), "a key is reported twice"
        for fault in found.values():
            assert fault.problem
            assert fault.mend
            assert str(fault) in str(caught.value)
        return found

    return faults


# --- faults ----------------------------------------------------------------------------------------------------


def test_every_fault_is_reported_at_once(faults):
    """Missing, unknown, mistyped and forbidden values, in sections and out of them, all come in one report."""
    found = faults(
        """
        [connectwise]
        site = "http://cw.example.com"
        compani = "acme"
        client_id = ""
        public_key = "k"
        private_key = 12345
        concurrency = 0
        [folders]
        inbox = "in"
        success = "out"
        [inbox]
        settle_seconds = "soon"
        observer = "sometimes"
        [payments]
        duplicates = "guess"
        date_partial_payments = "perhaps"
        [journal]
        url = "postgresql://db"
        [logging]
        level = "loud"
        [surprise]
        """
    )
    assert set(found) == {
        "connectwise.site",
        "connectwise.company",
        "connectwise.compani",
        "connectwise.client_id",
        "connectwise.private_key",
        "connectwise.concurrency",
        "folders.fail",
        "inbox.settle_seconds",
        "inbox.observer",
        "payments.duplicates",
        "payments.date_partial_payments",
        "journal.url",
        "logging.level",
        "surprise",
    }


def test_faults_of_folders_are_reported_with_the_others(faults):
    """Two folders that are one are reported together with an unknown key and a missing value."""
    text = WHOLE.replace('private_key = "secret-private-key"', "").replace(
        "/srv/payments/fail", "/srv/payments/success"
    )
    assert {"connectwise.private_key", "folders.fail", "surprise"} <= set(faults(text + "[surprise]\n"))


@pytest.mark.parametrize(
    ("text", "key", "mend"),
    [
        pytest.param(WHOLE + "[conectwise]", "conectwise", "Did you mean connectwise?", id="a section"),
        pytest.param("[folder]\n" + WHOLE, "folder", "Did you mean folders?", id="a section in the singular"),
        pytest.param(WHOLE + 'sucess = "x"', "folders.sucess", "Did you mean success?", id="a key"),
        pytest.param(WHOLE + "[inbox]\nsettle = 3", "inbox.settle", "Did you mean settle_seconds?", id="half a key"),
        pytest.param(WHOLE + "[payments]\nzzz = 3", "payments.zzz", "duplicates, zero_amount", id="nothing like it"),
        pytest.param("zzz = 3\n" + WHOLE, "zzz", "connectwise, folders, inbox", id="outside of any section"),
    ],
)
def test_unknown_key_is_a_fault_with_a_suggestion(faults, text, key, mend):
    """A key that is no setting is refused, with the one that was probably meant, else with those there are."""
    (fault,) = faults(text).values()
    assert fault.key == key
    assert fault.problem == "is not a setting"
    assert mend in fault.mend


@pytest.mark.parametrize(
    ("section", "key", "accepted", "refused"),
    [
        ("connectwise", "concurrency", (1, 64), (0, 65, 1.5)),
        ("connectwise", "requests_per_minute", (1, 60000), (0, -5)),
        ("connectwise", "timeout_seconds", (1, 300), (0, 301, "inf", "nan")),
        ("connectwise", "api_version", ('"2025.1"', '"2025.16"'), ('"v2025"', '"2025.1; q=1"', '""')),
        ("inbox", "settle_seconds", (0, 0.5, 3600), (-0.1, 3601, "nan")),
        ("inbox", "scan_seconds", (0.1, 3600), (0, "inf", "nan")),
        ("inbox", "stalled_after_seconds", (1, 86400), (0, "nan")),
        ("inbox", "max_file_bytes", (1,), (0, -1)),
        ("inbox", "observer", ('"auto"', '"native"', '"polling"', '"off"'), ('"inotify"', "false")),
        ("payments", "duplicates", ('"reject"', '"sum"'), ('"last"', "true")),
        ("payments", "zero_amount", ('"reject"', '"remove"'), ('"keep"', "0")),
        ("logging", "level", ('"debug"', '"info"', '"warning"', '"error"'), ('"trace"',)),
        ("logging", "format", ('"auto"', '"json"', '"console"'), ('"xml"',)),
        ("notify", "heartbeat_seconds", (10, 86400), (9, 86401, "nan")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_value_has_its_bounds(load, faults, section, key, accepted, refused):
    """The values at the edge are accepted, those beyond are a fault of that key alone."""
    base = FOLDERS + (KEYS if section == "connectwise" else f"{KEYS}\n[{section}]\n")
    for value in accepted:
        assert getattr(getattr(load(f"{base}{key} = {value}"), section), key) == tomllib.loads(f"v = {value}")["v"]
    for value in refused:
        assert set(faults(f"{base}{key} = {value}")) == {f"{section}.{key}"}, value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param(WHOLE.replace('"/srv/payments/inbox"', "3"), "folders.inbox", id="a number for a folder"),
        pytest.param(WHOLE.replace('"/srv/payments/fail"', "3"), "folders.fail", id="a number for another folder"),
        pytest.param(WHOLE.replace('"/srv/payments/inbox"', '""'), "folders.inbox", id="an empty folder"),
        pytest.param(WHOLE.replace('"/srv/payments/fail"', '""'), "folders.fail", id="another empty folder"),
        pytest.param("folders = 3\n" + KEYS, "folders", id="a number for a section"),
        pytest.param("connectwise = 3\n" + FOLDERS, "connectwise", id="a number for the keys"),
        pytest.param(FOLDERS, "connectwise", id="no keys at all"),
        pytest.param(KEYS, "folders", id="no folders at all"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_a_fault(faults, text, key):
    """A section or value that is missing or of the wrong kind is reported under its key, and nothing else is."""
    assert set(faults(text)) == {key}


def test_folders_are_not_needed_for_a_single_document(load):
    """Settings without [folders] serve apply."""
    assert load(KEYS, folders=False).folders is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"company = acme", "is not TOML"), (b'company = "\xe4"', "is not TOML"), (None, "cannot be read")],
    ids=["no quotes", "not UTF-8", "not there"],
)
def test_file_that_cannot_be_read_is_a_fault_of_that_file(tmp_path, content, said):
    """The fault names the file and why it cannot be read."""
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        config.load(file, folders=True)
    (fault,) = caught.value.faults
    assert fault.key == str(file)
    assert said in fault.problem


def test_without_any_file_the_faults_say_where_one_was_looked_for():
    """With no file and no environment the first fault names the places and how to write a file."""
    with pytest.raises(ConfigurationError) as caught:
        config.load(config.find(None), folders=True)
    first, *others = caught.value.faults
    for place in config.PLACES:
        assert str(place) in first.problem
    assert "init" in first.mend
    assert {fault.key for fault in others} == {"connectwise", "folders"}


def test_a_company_is_named_by_its_configuration(tmp_path, monkeypatch):
    """It counts before a file of that name here. The only company needs no name; of several, the fault lists them."""
    monkeypatch.setattr(config, "COMPANIES", tmp_path / "etc")
    monkeypatch.chdir(tmp_path)
    assert config.find(Path("acme")) == Path("acme")
    (tmp_path / "etc").mkdir()
    acme = tmp_path / "etc" / "acme.toml"
    acme.touch()
    assert (config.find(Path("acme")), config.find(None)) == (acme, acme)
    assert config.find(Path("etc/acme")) == Path("etc/acme")
    (tmp_path / "acme").touch()
    assert config.find(Path("acme")) == acme
    assert config.find(Path("./other.toml")) == Path("other.toml")
    acme.with_name("beta.toml").touch()
    assert config.find(None) is None
    with pytest.raises(ConfigurationError) as caught:
        config.load(None, folders=True)
    assert "acme, beta" in caught.value.faults[0].problem


def test_root_takes_no_file_that_others_put_in_the_place_of_a_company(tmp_path, monkeypatch):
    """Root asks for a company in a folder where others drop files, and mistypes its name."""
    monkeypatch.setattr(config, "COMPANIES", tmp_path / "etc")
    monkeypatch.setattr(config.os, "geteuid", lambda: 0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acne").touch()
    (tmp_path / "acne").chmod(0o666)
    assert config.find(Path("acne")) == tmp_path / "etc" / "acne.toml"


def test_no_secret_is_shown_by_a_fault_or_by_the_settings(load, faults):
    """Neither the settings' own text nor the report of their faults holds a key, whatever is wrong with them."""
    shown = repr(load(WHOLE)) + str(load(WHOLE)) + repr(load(WHOLE).connectwise)
    wrong = WHOLE.replace("company", "the_company").replace('"secret-private-key"', '["secret-private-key"]')
    shown += "".join(f"{fault!r}{fault}" for fault in faults(wrong).values())
    for secret in ("secret-client-id", "secret-public-key", "secret-private-key"):
        assert secret not in shown


@pytest.mark.parametrize(
    "url",
    [
        "https://hc-ping.com/0d338dcc-a054-11ec-b909-0242ac120002",
        "http://kuma:3001/api/push/abc?status=up&msg=OK&ping=",
    ],
)
def test_address_of_a_heartbeat_stays_as_it_is_written_and_is_a_secret(load, url):
    """Whoever knows it could pretend that the daemon lives."""
    section = load(f'{WHOLE}\n[notify]\nheartbeat_url = "{url}"\n').notify
    assert section.heartbeat_url.get_secret_value() == url
    assert url not in repr(section)


@pytest.mark.parametrize(
    "url",
    ["", "hc-ping.com/secret", "file:///etc/passwd", "ftp://example.com/secret", "https://", "https://a b.com/secret",
     "https://example.com:99999/secret", "https://user:secret@example.com/", "https://[::1/secret", "https://é.com/secret"],
)  # fmt: skip
def test_address_of_a_heartbeat_that_cannot_be_asked_is_a_fault(faults, url):
    """What is wrong with it is said without showing it."""
    found = faults(f'{WHOLE}\n[notify]\nheartbeat_url = "{url}"\n')
    assert set(found) == {"notify.heartbeat_url"}
    assert "secret" not in str(found["notify.heartbeat_url"])


# --- site ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("cw.example.com", "https://cw.example.com"),
        ("https://cw.example.com", "https://cw.example.com"),
        ("https://cw.example.com/", "https://cw.example.com"),
        (" cw.example.com ", "https://cw.example.com"),
        ("HTTPS://CW.Example.COM/", "https://cw.example.com"),
        ("cw.example.com/v4_6_release", "https://cw.example.com"),
        ("https://cw.example.com/v4_6_release/apis/3.0/", "https://cw.example.com"),
        ("https://cw.example.com/v4_6_release/ConnectWise.aspx?locale=en#top", "https://cw.example.com"),
        ("cw.example.com:8443", "https://cw.example.com:8443"),
        ("api-na.myconnectwise.net", "https://api-na.myconnectwise.net"),
        ("na.myconnectwise.net", "https://api-na.myconnectwise.net"),
        ("https://NA.myconnectwise.net/v2025_1/", "https://api-na.myconnectwise.net"),
        ("eu.myconnectwise.net", "https://api-eu.myconnectwise.net"),
        ("au.myconnectwise.net", "https://api-au.myconnectwise.net"),
        ("http://localhost:8470", "http://localhost:8470"),
        ("http://127.0.0.1:8470/", "http://127.0.0.1:8470"),
        ("http://[::1]:8470", "http://[::1]:8470"),
    ],
)
def test_site_is_taken_as_users_type_it(load, typed, url):
    """Scheme, path and slash are stripped, a cloud site becomes its API host, and the codebase stands there once."""
    loaded = load(WHOLE.replace('"cw.example.com"', f'"{typed}"'))
    assert loaded.connectwise.url == f"{url}/v4_6_release/apis/3.0"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "https://",
        "/v4_6_release",
        "ftp://cw.example.com",
        "http://cw.example.com",
        "http://10.0.0.5",
        "http://localhost.example.com",
        "http://127.0.0.1@cw.example.com",
        "https://user:password@cw.example.com",
        "cw example com",
        "https://[::1",
        "cw.example.com:port",
        "cw.example.com:99999",
    ],
)
def test_site_that_is_none_or_not_safe_is_a_fault(faults, typed):
    """What names no host, or would send the keys unencrypted, is refused, and keys typed into it are not repeated."""
    found = faults(WHOLE.replace('"cw.example.com"', f'"{typed}"'))
    assert set(found) == {"connectwise.site"}
    assert "password" not in str(found)


@pytest.mark.parametrize("typed", ["v4_6_release", "/v4_6_release/", "v4_6_release/"])
def test_slashes_around_the_codebase_do_not_matter(load, typed):
    """ConnectWise gives the codebase with a slash behind it; it is taken as it is copied."""
    assert load(f'{KEYS}codebase = "{typed}"', folders=False).connectwise.url.endswith(".com/v4_6_release/apis/3.0")


@pytest.mark.parametrize("typed", ["", "/", "v4_6_release/apis/3.0"])
def test_codebase_is_one_segment(faults, typed):
    """An empty codebase, or one with more of the path in it, is refused."""
    assert set(faults(f'{KEYS}codebase = "{typed}"', folders=False)) == {"connectwise.codebase"}


# --- sources ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sources",
    [given for size in (1, 2, 3) for given in itertools.combinations(("environment", "credential", "file"), size)],
)
def test_environment_counts_before_a_credential_before_the_file(load, monkeypatch, tmp_path, sources):
    """Of the places that give the private key the first counts; without any it is a fault."""
    text = WHOLE.replace('private_key = "secret-private-key"', "")
    (tmp_path / "credentials").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    if "environment" in sources:
        monkeypatch.setenv("PAYMENT_WATCHER_CONNECTWISE__PRIVATE_KEY", "key of the environment")
    if "credential" in sources:
        (tmp_path / "credentials" / "connectwise.private_key").write_text("key of the credential\n")
    if "file" in sources:
        text = text.replace("[connectwise]", '[connectwise]\nprivate_key = "key of the file"')
    assert load(text).connectwise.private_key.get_secret_value() == f"key of the {sources[0]}"
    assert load(text).connectwise.company == "acme"


def test_key_that_no_source_gives_is_missing(faults, monkeypatch, tmp_path):
    """Without a private key in any place its fault says where it may be put."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "no-such-folder"))
    (fault,) = faults(WHOLE.replace('private_key = "secret-private-key"', "")).values()
    assert (fault.key, fault.problem) == ("connectwise.private_key", "is missing")
    assert "PAYMENT_WATCHER_CONNECTWISE__PRIVATE_KEY" in fault.mend


def test_credentials_of_others_are_left_alone(load, monkeypatch, tmp_path):
    """A credential of the unit that is none of these settings is no fault."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "mail.password").write_text("not ours")
    (tmp_path / "credentials" / "tls-key").write_text("not ours")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert load(WHOLE).connectwise.company == "acme"


def test_all_settings_may_come_from_the_environment(monkeypatch):
    """Without any file the environment alone is enough, defaults derived from it included."""
    for key in ("site", "company", "client_id", "public_key", "private_key"):
        monkeypatch.setenv(f"PAYMENT_WATCHER_CONNECTWISE__{key.upper()}", f"{key}.example")
    for key in ("inbox", "success", "fail"):
        monkeypatch.setenv(f"PAYMENT_WATCHER_FOLDERS__{key.upper()}", f"/srv/{key}")
    monkeypatch.setenv("PAYMENT_WATCHER_INBOX__SETTLE_SECONDS", "2.5")
    loaded = config.load(None, folders=True)
    assert loaded.connectwise.site == "https://site.example"
    assert loaded.folders.work == Path("/srv/.work")
    assert loaded.inbox.settle_seconds == 2.5


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("PAYMENT_WATCHER_CONNECTWISE__PRIVATEKEY", "x", "connectwise.privatekey"),
        ("PAYMENT_WATCHER_INBOX__SETTLE_SECONDS", "soon", "inbox.settle_seconds"),
        ("PAYMENT_WATCHER_INBOX", "/srv/inbox", "inbox"),
    ],
    ids=["unknown", "not a number", "a section's name for one of its keys"],
)
def test_faults_of_the_environment_are_said_like_those_of_the_file(faults, monkeypatch, name, value, key):
    """An unknown or unusable value of the environment is a fault under the setting's key."""
    monkeypatch.setenv(name, value)
    (found,) = faults(WHOLE)
    assert found.casefold() == key


@pytest.mark.parametrize(
    ("given", "named", "here", "found"),
    [
        (True, True, True, "given.toml"),
        (False, True, True, "named.toml"),
        (False, False, True, "payment-watcher.toml"),
        (False, False, False, None),
    ],
)
def test_file_is_looked_for_in_order(monkeypatch, tmp_path, given, named, here, found):
    """--config counts before $PAYMENT_WATCHER_CONFIG before the working directory before /etc."""
    if named:
        monkeypatch.setenv("PAYMENT_WATCHER_CONFIG", "named.toml")
    if here:
        (tmp_path / "payment-watcher.toml").touch()
    monkeypatch.setattr(config, "PLACES", (config.PLACES[0], tmp_path / "etc.toml"))
    place = config.find(Path("given.toml") if given else None)
    assert place == (Path(found) if found else None)
    (tmp_path / "etc.toml").touch()
    assert config.find(Path(found) if given else None) == (Path(found) if found else tmp_path / "etc.toml")


OTHER, CALLER = 2_000_000_001, 2_000_000_002
HERE = {
    "root's own": (0, 0o644, 0, 0o755, True),
    "the caller's own": (CALLER, 0o600, CALLER, 0o755, True),
    "root's in the caller's folder": (0, 0o644, CALLER, 0o700, True),
    "root's in a folder like /tmp": (0, 0o644, 0, 0o1777, True),
    "another user's": (OTHER, 0o644, 0, 0o755, False),
    "another user's in a folder like /tmp": (OTHER, 0o644, 0, 0o1777, False),
    "root's in another user's folder": (0, 0o644, OTHER, 0o755, False),
    "writable for a group": (0, 0o664, 0, 0o755, False),
    "writable for all": (0, 0o646, 0, 0o755, False),
    "in a folder that a group can write to": (0, 0o644, 0, 0o775, False),
}


@pytest.mark.parametrize(("owner", "mode", "folder_owner", "folder_mode", "counts"), HERE.values(), ids=HERE.keys())
def test_a_file_of_the_working_directory_counts_for_root_if_nobody_else_put_it_there(
    monkeypatch, tmp_path, owner, mode, folder_owner, folder_mode, counts
):
    """Root takes its own and that of whoever calls sudo; a named file is root's choice."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    monkeypatch.setattr(config, "PLACES", (config.PLACES[0], tmp_path / "etc.toml"))
    monkeypatch.setenv("SUDO_UID", str(CALLER))
    place = tmp_path / "payment-watcher.toml"
    place.touch()
    place.chmod(mode)
    os.chown(place, owner, owner)
    tmp_path.chmod(folder_mode)
    os.chown(tmp_path, folder_owner, folder_owner)
    assert config.find(None) == (config.PLACES[0] if counts else None)
    assert bool(config.distrust(config.PLACES[0])) is not counts
    assert config.find(config.PLACES[0]) == config.PLACES[0]


def test_a_link_in_the_working_directory_counts_for_root_as_what_it_leads_to(monkeypatch, tmp_path):
    """Neither a link of another user's counts, nor one to another user's file."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    monkeypatch.setattr(config, "PLACES", config.PLACES[:1])
    target = tmp_path / "real.toml"
    target.touch(mode=0o600)
    link = tmp_path / "payment-watcher.toml"
    link.symlink_to(target)
    assert config.find(None) is not None
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    assert config.find(None) is None
    os.chown(link, 0, 0, follow_symlinks=False)
    os.chown(target, OTHER, OTHER)
    assert config.find(None) is None


def test_places_of_a_file_are_those_documented():
    """The working directory comes before the machine's own folder for settings."""
    assert [str(place) for place in config.PLACES] == [
        "payment-watcher.toml",
        "/etc/payment-watcher/payment-watcher.toml",
    ]


# --- folders ---------------------------------------------------------------------------------------------------


def test_relative_folders_lie_beside_the_file(tmp_path, monkeypatch):
    """Folders that are not written from the root are taken from the file's folder, wherever the program is started."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "settings.toml").write_text(
        KEYS + '[folders]\ninbox = "in"\nsuccess = "../success"\nfail = "~/fail"\narchive = "/srv/archive"'
    )
    loaded = config.load(Path("etc/settings.toml"), folders=True).folders
    assert loaded.inbox == tmp_path / "etc" / "in"
    assert loaded.work == tmp_path / "etc" / ".work"
    assert loaded.success.resolve() == tmp_path / "success"
    assert loaded.fail == tmp_path / "fail"
    assert loaded.archive == Path("/srv/archive")


def test_relative_stylesheet_lies_beside_the_file(tmp_path, load):
    """A stylesheet is named as the folders are."""
    (tmp_path / "sage.xsl").touch()
    text = KEYS + '[folders]\ninbox = "in"\nsuccess = "success"\nfail = "fail"\n[inbox]\ntransform = "sage.xsl"'
    assert load(text).inbox.transform == tmp_path / "sage.xsl"


def test_work_and_archive_lie_beside_the_inbox_unless_told(load):
    """Where the file does not name them, work is .work and archive is archive beside the inbox."""
    loaded = load(WHOLE).folders
    assert (loaded.work, loaded.archive) == (Path("/srv/payments/.work"), Path("/srv/payments/archive"))
    loaded = load(WHOLE + 'work = "/srv/w"').folders
    assert (loaded.work, loaded.archive) == (Path("/srv/w"), Path("/srv/payments/archive"))


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_each_folder_is_a_folder_of_its_own(faults, one, other):
    """The same folder for two purposes is a fault that names both, whichever they are."""
    paths = {key: f"/srv/{key}" for key in FOLDER_KEYS} | {other: f"/srv/{one}/"}
    (fault,) = faults(KEYS + "[folders]\n" + "".join(f'{key} = "{path}"\n' for key, path in paths.items())).values()
    assert fault.key == f"folders.{other}"
    assert f"same folder as {one}" in fault.problem


@pytest.mark.parametrize("spelt", ["{}/out/./good", "{}/out/bad/../good", "out/good", "~/out/good"])
def test_folder_is_the_same_however_it_is_spelt(faults, tmp_path, spelt):
    """Dots, a relative path or the home folder do not hide that two folders are one."""
    (tmp_path / "out" / "good").mkdir(parents=True)
    (tmp_path / "out" / "bad").mkdir()
    text = WHOLE.replace("/srv/payments/success", f"{tmp_path}/out/good")
    assert set(faults(text.replace("/srv/payments/fail", spelt.format(tmp_path)))) == {"folders.fail"}


# --- journal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "path"),
    [
        ("/var/lib/payment-watcher/acme", "/var/lib/payment-watcher/acme/journal.db"),
        ("/var/lib/first:/var/lib/second", "/var/lib/first/journal.db"),
        (None, "~/.local/state/payment-watcher/journal.db"),
        ("", "~/.local/state/payment-watcher/journal.db"),
    ],
)
def test_journal_is_in_the_state_folder_unless_told(load, monkeypatch, state, path):
    """By default the journal lies in systemd's state folder, else in the user's."""
    if state is not None:
        monkeypatch.setenv("STATE_DIRECTORY", state)
    assert load(WHOLE).journal.path == Path(path).expanduser()
    told = load(WHOLE + '[journal]\nurl = "sqlite:////srv/j.db"').journal
    assert (told.path, told.url) == (Path("/srv/j.db"), "sqlite:////srv/j.db")


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///journal.db", "/srv/journal.db", "postgresql://db/x"])
def test_journal_is_an_sqlite_file_with_its_whole_path(faults, url):
    """A journal in memory, of an unclear place, or in another database is refused."""
    assert set(faults(f'{WHOLE}[journal]\nurl = "{url}"')) == {"journal.url"}


# --- template and README ---------------------------------------------------------------------------------------


def test_template_loads_and_changes_no_default(load):
    """The file that init writes is usable as it is, with every optional setting at its default."""
    loaded = load(writing.template(Path("/srv/payments")))
    plain = load(
        WHOLE.replace("cw.example.com", "api-na.myconnectwise.net").replace(
            "[folders]", '[folders]\nwork = "/srv/payments/.work"\narchive = "/srv/payments/archive"'
        )
    )
    assert loaded.connectwise.model_dump(exclude={"client_id", "public_key", "private_key"}) == (
        plain.connectwise.model_dump(exclude={"client_id", "public_key", "private_key"})
    )
    for section in ("folders", "inbox", "payments", "journal", "logging"):
        assert getattr(loaded, section) == getattr(plain, section)


def test_every_line_of_the_template_may_be_used(load):
    """Each key of each section stands in the template once, explained, and loads with the value it shows."""
    text = writing.template(Path("/srv/payments"))
    given = re.sub(r"^# (\w+ = |\[csv\])", r"\1", text, flags=re.MULTILINE)
    assert {name: set(keys) for name, keys in tomllib.loads(given).items()} == {
        name: set(model.model_fields) for name, model in all_sections().items()
    }
    given = given.replace("period_cells = [15, 16]\n", "")
    # Tables take no parameters, and a format of XML has no columns.
    table, sheet = re.sub(r"\w*prefix = .*\n", "", given), re.sub(r"(?ms)^\[csv\].*(?=^\[transform\])", "", given)
    for one in (table.replace('"xero"', '"csv"'), sheet):
        assert load(one).inbox.model_copy(update={"transform": None}) == load(text).inbox
    lines = text.splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"(# )?\w+ = ", line):
            assert re.match(r"# \S.*\.$", before), line


@given(st.text("ab XY.-_~#=,;:[]{}\"'\\$%&ä€漢🔑", min_size=1, max_size=30).filter(lambda text: text.strip(".")))
@settings(deadline=None, max_examples=50)
def test_template_names_any_folder(name):
    """Whatever the folder is called, quotes and backslashes included, the template gives it back unchanged."""
    folder = Path("/srv") / name
    assert tomllib.loads(writing.template(folder))["folders"]["inbox"] == str(folder / "inbox")


def test_readme_names_every_setting_with_its_default(load):
    """The README's table has each key once, and shows the defaults that the program has."""
    text = README.read_text(encoding="utf-8").partition("## Configuration")[2].partition("\n## ")[0]
    shown = []
    for row in re.findall(r"^\| `\w+\..*\|$", text, re.MULTILINE):
        keys, default, _ = (cell.strip().replace("`", "") for cell in row.strip("|").split("|"))
        section, _, first = keys.partition(".")
        names, defaults = first.replace(f"{section}.", "").split(", "), default.split(", ")
        pairs = zip(names, defaults if len(defaults) == len(names) else [default] * len(names), strict=True)
        shown += [(section, key, default) for key, default in pairs]
    assert sorted((section, key) for section, key, _ in shown) == sorted(
        (name, key) for name, model in all_sections().items() for key in model.model_fields
    )
    loaded = load(WHOLE)
    for section, key, default in shown:
        field = all_sections()[section].model_fields[key]
        if section not in ("folders", "journal") and not field.is_required():
            value = field.default if section == "csv" else getattr(getattr(loaded, section), key)
            assert default == ("" if value in (None, (), {}) else str(value).lower().removesuffix(".0")), key


def test_shortest_configuration_of_the_readme_works(load):
    """The example of the README loads as it stands."""
    shortest, table = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert load(shortest).folders.inbox == Path("/srv/payments/inbox")
    assert load(shortest + table).table.thousands == ","


# --- tables ----------------------------------------------------------------------------------------------------

CSV = WHOLE + '[inbox]\ntransform = "csv"\n[csv]\nnumber = "Nr"\namount = "Paid"\ndate = "Day"\n'


def test_tables_are_taken_by_another_name_unless_told(load):
    """With transform = "csv" the pattern is *.csv; "csv" is no stylesheet beside the file."""
    assert load(CSV).inbox.pattern == "*.csv"
    assert load(CSV).inbox.takes_tables
    assert load(CSV.replace("[csv]", 'pattern = "*.txt"\n[csv]')).inbox.pattern == "*.txt"
    assert load(WHOLE + '[inbox]\ntransform = "csv.xsl"\n').inbox.takes_tables is False


def test_tables_need_their_section_and_it_needs_them(faults):
    """A section that nothing uses would be a surprise."""
    assert set(faults(WHOLE + '[inbox]\ntransform = "csv"\n')) == {"csv"}
    assert set(faults(CSV.replace('transform = "csv"\n', ""))) == {"csv"}
    found = faults(WHOLE + '[inbox]\ntransform = "csv"\n[csv]\n')
    assert set(found) == {"csv.number", "csv.amount", "csv.date"}
    assert 'For example: number = "InvoiceNumber"' in found["csv.number"].mend


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("decimal = ';'", "csv.decimal"),
        ("thousands = '.'", "csv.thousands"),
        ("thousands = '_'", "csv.thousands"),
        ("date_format = '%d %b %Y'", "csv.date_format"),
        ("date_format = '%d%m'", "csv.period_cells"),
        ("period_cells = [15, 16]", "csv.period_cells"),
        ("date_format = '%d%m'\nperiod_cells = [0, 16]", "csv.period_cells"),
        ("encoding = 'utf-7'", "csv.encoding"),
        ("encoding = 'rot13'", "csv.encoding"),
        ("encoding = 'utf-16'", "csv.encoding"),
        ("delimiter = ':'", "csv.delimiter"),
        ("sign = 'minus'", "csv.sign"),
        ("external_id = true", "csv.external_id"),
        ("external_id = ['']", "csv.external_id"),
        ("currency = 0", "csv.currency"),
        ("currency = 201", "csv.currency"),
        ("only = ['a']", "csv.only"),
        ("only = { Type = [] }", "csv.only"),
        ("only = { Type = [1.5] }", "csv.only"),
        ("negative = 'x'", "csv.negative"),
        ("first_row = 0", "csv.first_row"),
        ("surprise = 1", "csv.surprise"),
    ],
)
def test_each_fault_of_a_table_names_its_key(faults, line, key):
    """With what is wrong and an example."""
    assert set(faults(CSV + line)) == {key}


def test_two_values_cannot_have_one_column(faults):
    """The amount is not the date."""
    assert set(faults(CSV.replace('date = "Day"', 'date = "Paid"'))) == {"csv.date"}


def test_section_of_tables_becomes_terms(load):
    """Values and headings as they are written; a key of digits is a position; a blank may stand between thousands."""
    text = 'thousands = " "\ndelimiter = "tab"\nsign = "reverse"\n'
    text += 'only = { 3 = [7, "a"], "T x" = "b" }\nexternal_id = "R"\n'
    terms = load(CSV + text).table.terms(negative_amounts=False)
    assert terms.columns.only == {3: ("7", "a"), "T x": ("b",)}
    assert terms.columns.external_id == ("R",)
    assert (terms.notation.thousands, terms.notation.reverse, terms.form.delimiter) == (" ", True, "\t")


# --- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "key", "problem", "mend"),
    [
        ('[inbox]\ntransform = "camt"', "payments.amounts", 'is "total", but each amount of camt is one', '"each"'),
        ('[inbox]\ntransform = "sage50"', "payments.amounts", 'is "total", but each amount of sage50', '"each"'),
        (
            '[inbox]\ntransform = "intacct"\n[payments]\namounts = "each"',
            "payments.amounts",
            'is "each", but each amount of intacct is all that is paid',
            '"total"',
        ),
        (
            '[inbox]\ntransform = "xero"\n[transform]\nprefx = "CW-"',
            "transform.prefx",
            "is no parameter of xero",
            "It accepts add_prefix, prefix, remove_prefix.",
        ),
        ('[inbox]\ntransform = "xero"\n[transform]\nprefix = 5', "transform.prefix", "valid string", "CW-"),
        ('[transform]\nprefix = "CW-"', "transform", "is set, but nothing uses it", "Name a format"),
    ],
)
def test_format_that_would_make_wrong_books_is_a_fault(load, sections, key, problem, mend):
    """What would be wrong with every file is found before the first one."""
    with pytest.raises(ConfigurationError) as caught:
        load(f"{WHOLE}\n{sections}")

    (fault,) = caught.value.faults
    assert fault.key == key
    assert problem in fault.problem
    assert mend in fault.mend


@pytest.mark.parametrize("amounts", ["total", "each"])
def test_name_of_a_format_is_no_path(load, amounts):
    """And a format that has both kinds of documents takes either setting."""
    loaded = load(
        f'{WHOLE}\n[inbox]\ntransform = "xero"\n[payments]\namounts = "{amounts}"\n[transform]\nprefix = "CW-"'
    )

    assert loaded.inbox.transform == Path("xero")
    assert loaded.transform.given == {"prefix": "CW-"}
