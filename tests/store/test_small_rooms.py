"""Tokens, references, secrets, timers, alarms, cursors."""

import resource
import signal
import stat
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from context_store import Store, StoreRefused
from context_store.alarms import clear, raise_
from context_store.cursors import read_cursor
from context_store.key_files import keys_of, read_keys
from context_store.references import ALPHABET, canonical_reference, envelope_of, proves, receipt_of, reference_of
from context_store.secrets import Vault
from context_store.tables import alarms, instance_state
from context_store.timers import Timer, add_timers, cancel_timers, due_timers, next_due, settle_timers
from context_store.tokens import issue, redeem, revoke

# ---- tokens


async def test_secret_works_once_and_only_for_its_kind(store: Store):
    secret = await store.write(issue, "password", 7, 0, 1000)
    assert await store.write(redeem, "portal", secret, 10) is None
    assert await store.write(redeem, "password", secret + "x", 10) is None
    assert await store.write(redeem, "password", secret, 10) == 7
    assert await store.write(redeem, "password", secret, 11) is None


async def test_secret_ends_with_its_life(store: Store):
    secret = await store.write(issue, "password", 7, 0, 1000)
    assert await store.write(redeem, "password", secret, 1000) is None


async def test_revoked_secret_is_dead(store: Store):
    secret = await store.write(issue, "password", 7, 0, 1000)
    await store.write(revoke, "password", 7, 5)
    assert await store.write(redeem, "password", secret, 10) is None


@pytest.mark.parametrize(("wrong", "answer"), [(2, 7), (3, None)])
async def test_pin_dies_of_wrong_guesses(store: Store, wrong: int, answer: int | None):
    pin = await store.write(lambda conn: issue(conn, "pin", 7, 0, 1000, tries=3, digits=6))
    assert len(pin) == 6
    assert pin.isdigit()
    other = "000000" if pin != "000000" else "111111"
    for _ in range(wrong):
        assert await store.write(lambda conn: redeem(conn, "pin", other, 1, subject_id=7)) is None
    assert await store.write(lambda conn: redeem(conn, "pin", pin, 2, subject_id=7)) == answer


async def test_pin_opens_nothing_without_its_subject(store: Store):
    pin = await store.write(lambda conn: issue(conn, "pin", 7, 0, 1000, tries=3, digits=6))
    assert await store.write(redeem, "pin", pin, 1) is None
    assert await store.write(lambda conn: redeem(conn, "pin", pin, 1, subject_id=8)) is None


# ---- references


@given(st.integers(0, (1 << 63) - 1))
def test_receipt_gives_the_id_back(number: int):
    receipt = receipt_of(number, b"key")
    assert envelope_of(receipt) == number
    assert envelope_of(f" {receipt.lower().replace('-', ' ')} ") == number
    assert proves(receipt.lower(), number, b"key")
    assert not proves(receipt, number, b"another key")


@given(st.integers(0, (1 << 63) - 1), st.data())
def test_receipt_with_one_wrong_character_is_none(number: int, data: st.DataObject):
    receipt = receipt_of(number, b"key")
    place = data.draw(st.sampled_from([at for at, c in enumerate(receipt) if c in ALPHABET and at > 1]))
    other = data.draw(st.sampled_from([c for c in ALPHABET if c != receipt[place]]))
    assert envelope_of(receipt[:place] + other + receipt[place + 1 :]) is None


@given(st.integers(0, (1 << 63) - 1), st.data())
def test_reference_with_two_characters_exchanged_is_none(number: int, data: st.DataObject):
    reference = reference_of(number)
    place = data.draw(st.integers(3, len(reference) - 2))
    changed = reference[:place] + reference[place + 1] + reference[place] + reference[place + 2 :]
    assert canonical_reference(changed) == (reference if changed == reference else None)


@given(st.integers(0, (1 << 63) - 1))
def test_reference_forgives_how_people_type(number: int):
    reference = reference_of(number)
    typed = reference.lower().replace("0", "o").replace("1", "l")
    for text in (reference, typed, typed[3:], reference.replace("-", " "), f" {reference[:6]} {reference[6:]}"):
        assert canonical_reference(text) == reference


@given(st.text())
def test_any_text_is_a_reference_or_none(text: str):
    assert canonical_reference(text) is None or len(canonical_reference(text)) == 11
    assert envelope_of(text) is None or envelope_of(text) >= 0


def test_references_are_short_and_spread():
    made = {reference_of(number) for number in range(20_000)}
    assert len(made) == 20_000
    assert {len(reference) for reference in made} == {11}


# ---- secrets


async def test_credential_comes_back_and_is_not_readable_in_the_database(store: Store, tmp_path: Path):
    vault = Vault(tmp_path / "state.key")
    await store.write(vault.put, "mail", "oauth", b"very secret", 5)
    await store.write(vault.put, "mail", "oauth", b"newer secret", 6)
    assert await store.read(vault.get, "mail", "oauth") == (b"newer secret", 6)
    assert await store.read(vault.get, "mail", "other") is None
    raw = await store.read(lambda conn: conn.scalar(select(instance_state.c.ciphertext)))
    assert b"secret" not in raw


async def test_row_that_was_moved_to_another_instance_does_not_open(store: Store, tmp_path: Path):
    vault = Vault(tmp_path / "state.key")
    await store.write(vault.put, "mail", "oauth", b"x", 5)
    await store.write(lambda conn: conn.execute(update(instance_state).values(instance="chat")) and None)
    assert await store.read(vault.get, "chat", "oauth") is None


async def test_key_rotates_by_a_new_first_line(store: Store, tmp_path: Path):
    path = tmp_path / "state.key"
    await store.write(Vault(path).put, "mail", "oauth", b"x", 5)
    path.write_bytes(Fernet.generate_key() + b"\n" + path.read_bytes())
    rotated = Vault(path)
    assert await store.read(rotated.get, "mail", "oauth") == (b"x", 5)
    path.write_bytes(path.read_bytes().split()[0])
    assert await store.read(Vault(path).get, "mail", "oauth") is None


def test_key_file_is_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "deep" / "state.key"
    Vault(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["state.key"]
    path.chmod(0o644)
    with pytest.raises(StoreRefused, match="chmod 600"):
        Vault(path)


def test_key_file_with_nonsense_is_refused(tmp_path: Path):
    path = tmp_path / "state.key"
    path.touch(0o600)
    good = b64encode(bytes(32)).decode()
    for text in ("", "nonsense\n", "%%%", "é", good[:-4], f"{good}\nAAAA\n", f"{good}*"):
        path.write_text(text)
        with pytest.raises(StoreRefused, match="key file"):
            Vault(path)


def test_key_file_that_is_a_folder_is_refused(tmp_path: Path):
    tmp_path.chmod(0o700)
    with pytest.raises(StoreRefused, match="can't be read"):
        Vault(tmp_path)


def test_keys_of_both_alphabets_are_read(tmp_path: Path):
    path = tmp_path / "state.key"
    path.touch(0o600)
    path.write_bytes(b64encode(b"\xff" * 32) + b"\n" + urlsafe_b64encode(b"\xff" * 32))
    assert read_keys(path) == [b"\xff" * 32] * 2


def test_full_disk_at_the_first_start_leaves_no_key_file(tmp_path: Path):
    size = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, size[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            keys_of(tmp_path / "state.key")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


# ---- timers, alarms, cursors


async def test_timers_fire_once_in_order(store: Store):
    made = [Timer(n, "sla", 7, due) for n, due in ((1, 30), (2, 10), (3, 20), (4, 99))]
    await store.write(add_timers, made)
    assert await store.read(next_due, ["sla"]) == 10
    due = await store.write(due_timers, 30, ["sla"])
    assert [timer.id for timer in due] == [2, 3, 1]
    assert await store.write(settle_timers, [2, 3, 1]) == 3
    assert await store.write(settle_timers, [2, 3, 1]) == 0
    assert await store.write(cancel_timers, [7], ["sla"]) == 1
    assert await store.read(next_due, ["sla"]) is None
    assert await store.write(due_timers, 99, ["other"]) == ()


async def test_alarm_counts_up_until_it_is_cleared_and_then_begins_anew(store: Store):
    async def standing() -> list[tuple[object, ...]]:
        columns = (alarms.c.what, alarms.c.raised_at, alarms.c.last_at, alarms.c.times, alarms.c.cleared_at)
        return [tuple(row) for row in await store.read(lambda conn: conn.execute(select(*columns)).all())]

    await store.write(raise_, "mail", "no answer", 1)
    await store.write(raise_, "mail", "refused", 2)
    assert await standing() == [("refused", 1, 2, 2, None)]
    assert await store.write(clear, "mail", 3)
    assert not await store.write(clear, "mail", 4)
    await store.write(raise_, "mail", "again", 5)
    assert await standing() == [("again", 5, 5, 1, None)]


async def test_unknown_cursor_is_none(store: Store):
    assert await store.read(read_cursor, "mail", "") is None
