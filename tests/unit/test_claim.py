"""The ids of claims, and every name that bears one."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.claims import EARLIER, ID, LONGEST, NAMES

from watcher.claim import Claim, claim_in, claims_in, is_claim_id, next_id, without_claim

NOW = datetime(2025, 6, 1, 12, 30, 15, 250000, tzinfo=UTC)
NO_TIMES = ["99999999T999999Z_00000000", "20250230T120000Z_00000000", "20250601T126000Z_0123abcd"]
NEARLY_IDS = ["", "pay", ID[:-1], f"{ID}0", f"{ID}\n", f" {ID}", ID.upper(), ID.replace("_", "-"), ID.replace("Z", "")]


# --- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=11, minutes=30))], ids=str
)
def test_id_is_the_utc_second_and_eight_hex_digits(zone):
    """Whatever the clock's zone, the id is ``yyyymmddThhmmssZ_`` in UTC, the microseconds, and the chance in hex."""
    fresh = next_id(NOW.astimezone(zone), "", 0xABC)
    assert fresh == "20250601T123015Z_3d090abc"
    assert is_claim_id(fresh)
    assert Claim(fresh, "pay.xml").claimed_at == NOW.replace(microsecond=0)


moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(st.tuples(moments, st.integers(0, 4095)), min_size=1, max_size=20))
def test_ids_rise_however_the_clock_runs(moments_and_chances):
    """Each id sorts after the one before, even if the clock stands still or is set back by years."""
    ids = [""]
    for now, chance in moments_and_chances:
        ids.append(next_id(now, ids[-1], chance))
    assert ids == sorted(set(ids))
    assert all(map(is_claim_id, ids[1:]))


def test_clock_that_runs_on_gives_an_id_its_own_second_again():
    """A clock that was set back does not leave later claims in the past once it has caught up."""
    first = next_id(NOW, "", 0)
    second = next_id(NOW - timedelta(hours=1), first, 0)
    third = next_id(NOW + timedelta(seconds=1), second, 0)
    assert first < second < third
    assert Claim(second, "pay.xml").claimed_at == NOW.replace(microsecond=0)
    assert Claim(third, "pay.xml").claimed_at == (NOW + timedelta(seconds=1)).replace(microsecond=0)


def test_after_the_last_id_of_a_second_comes_an_id():
    """A forged or damaged id in the future that no other id of its second follows makes no name that is no id."""
    fresh = next_id(NOW, "99991231T235959Z_ffffffff", 0)
    assert is_claim_id(fresh)
    assert Claim(fresh, "pay.xml").claimed_at == NOW.replace(microsecond=0)


@given(st.tuples(moments, moments).filter(lambda pair: pair[0] != pair[1]), st.tuples(*[st.integers(0, 4095)] * 2))
def test_ids_sort_by_time(times, chances):
    """An id that is made later sorts later, if only by a microsecond; chance does not count."""
    earlier, later = sorted(times)
    assert next_id(earlier, "", chances[0]) < next_id(later, "", chances[1])


@pytest.mark.parametrize("text", NO_TIMES)
def test_id_of_no_time_is_none(text):
    """Every id that is taken for one has a time."""
    assert not is_claim_id(text)
    assert claim_in(f"pay__{text}.xml") is None


@pytest.mark.parametrize("text", NEARLY_IDS, ids=repr)
def test_text_that_is_nearly_an_id_is_none(text):
    """Only the very form is an id."""
    assert is_claim_id(ID)
    assert not is_claim_id(text)


# --- names with a claim ----------------------------------------------------------------------------------------------


def stem_and_suffix(name: str) -> tuple[str, str]:
    """Return a name's parts: what a claim is put between. A suffix of more than 20 bytes belongs to the stem."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  (Path would lose a trailing dot)
    return (name, "") if len(os.fsencode(suffix)) > 20 else (stem, suffix)


def check_rule(name: str, with_claim: str, ending: str) -> None:
    """Check the one rule of names: the stem, as far as there is room, then ``__<claim>``, then the ending."""
    tail = f"__{ID}{ending}"
    assert with_claim.endswith(tail)
    kept = with_claim.removesuffix(tail)
    stem = re.sub(r"__\d{8}T\d{6}Z_[0-9a-f]{8}\Z", "", stem_and_suffix(name)[0])
    assert stem.startswith(kept)
    assert len(os.fsencode(with_claim)) <= LONGEST
    if kept != stem:
        one_letter_more = stem[: len(kept) + 1] + tail
        assert len(os.fsencode(one_letter_more)) > LONGEST, "there was room for more of it"


@pytest.mark.parametrize(("name", "published"), NAMES.values(), ids=NAMES)
def test_published_name_is_that_of_the_original_with_its_claim(name, published):
    """``name.xml`` becomes ``name__<claim>.xml``: cut where it is too long, an earlier claim replaced."""
    claim = Claim(ID, name)
    assert claim.published_name == published
    assert len(os.fsencode(published)) <= LONGEST
    stem = os.path.splitext(name)[0].removesuffix(f"__{EARLIER}")  # noqa: PTH122
    for beside, ending in ((claim.note_name, ".error.txt"), (claim.receipt_name, ".receipt.json")):
        kept = beside.removesuffix(f"__{ID}{ending}")
        assert stem.startswith(kept)
        assert kept == stem or len(os.fsencode(beside)) > LONGEST - 4


@pytest.mark.parametrize("name", [f"a.{'x' * 253}", f"pay.{'x' * 226}"], ids=["255 bytes", "just beyond"])
def test_name_that_is_nearly_all_suffix_is_cut_at_its_end(name):
    """What follows a dot that comes early in a long name is no suffix, so the claim stands last."""
    published = Claim(ID, name).published_name
    assert len(os.fsencode(published)) <= LONGEST
    assert published.endswith(f"__{ID}")


letters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
raw_names = st.binary(min_size=1, max_size=LONGEST).map(lambda raw: os.fsdecode(raw.translate(None, b"/\0")))
names = st.one_of(
    st.text(letters, min_size=1, max_size=LONGEST),
    raw_names,
    st.text(st.sampled_from("n.円💷_"), min_size=1, max_size=LONGEST),
    st.tuples(st.text("n_.0", max_size=240), st.sampled_from([".xml", "", ".", ".円", ".v2.xml"])).map(
        lambda parts: f"{parts[0]}__{EARLIER}{parts[1]}"
    ),
).filter(lambda name: name not in ("", ".", "..") and len(os.fsencode(name)) <= LONGEST)


@settings(deadline=None, max_examples=400)
@given(names)
def test_every_name_follows_one_rule(name):
    """Whatever the name, its claim, suffix and endings are whole, and its stem loses no letter more than it must."""
    claim = Claim(ID, name)
    check_rule(name, claim.published_name, stem_and_suffix(name)[1])
    check_rule(name, claim.receipt_name, ".receipt.json")
    check_rule(name, claim.note_name, ".error.txt")


@settings(deadline=None, max_examples=200)
@given(names)
def test_claim_can_be_read_from_every_published_name(name):
    """Whatever the first name, even one that bears claims itself, the claim is the last one in the published name."""
    claim = Claim(ID, name)
    for published in (claim.receipt_name, claim.note_name):
        assert ID in claims_in(published)
    assert claims_in(claim.published_name)[-1] == ID


@pytest.mark.parametrize(("name", "published"), NAMES.values(), ids=NAMES)
def test_claim_and_first_name_can_be_read_back(name, published):
    """A published name tells its claim; without it, it is the first name, if that was not cut and bore no claim."""
    assert claim_in(published) == claims_in(published)[-1] == ID
    first = without_claim(published)
    cut = len(os.fsencode(f"{name}__{ID}")) > LONGEST
    assert first == name.replace(f"__{EARLIER}.", ".") or cut


def test_claim_is_found_where_it_stands_and_nowhere_else():
    """It stands before an ending, or last; a name without one bears none."""
    assert claim_in(f"pay__{ID}.xml") == claim_in(f"pay__{ID}.receipt.json") == claim_in(f"pay__{ID}") == ID
    assert claim_in("pay.xml") is None
    assert claim_in(f"{ID}.xml") is None
    assert claim_in(f"pay__{ID}0.xml") is None
    assert claims_in(f"pay__{ID}0.xml and pay__{EARLIER}") == [ID, EARLIER]
    assert claims_in("pay.xml") == []
    assert without_claim("pay.xml") == "pay.xml"
    assert without_claim(f"pay__{ID}.xml") == "pay.xml"
    assert without_claim(f"pay__{ID}") == "pay"


stems = st.one_of(
    st.text(letters, max_size=250),
    st.binary(max_size=251).map(lambda raw: os.fsdecode(raw.replace(b"/", b"").replace(b"\0", b""))),
    st.text("n_0", max_size=60).map(lambda text: f"{text}__{EARLIER}"),
)


@settings(deadline=None, max_examples=200)
@given(stems.filter(lambda stem: 0 < len(os.fsencode(stem)) <= LONGEST - 4 and not stem.endswith(".")))
def test_file_dropped_in_again_bears_only_its_new_claim(stem):
    """Whatever its first name, a published file published again is named as if it had never been published before."""
    old, new = "20250101T000000Z_00000001", "20250102T000000Z_00000002"
    once = Claim(old, f"{stem}.xml").published_name
    again = Claim(new, once).published_name
    assert again == Claim(new, f"{stem}.xml").published_name
    assert old not in again
    assert again.endswith(f"__{new}.xml")
    assert len(os.fsencode(again)) <= LONGEST
