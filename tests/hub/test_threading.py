"""Who is it, and where does it belong: joins are decisions about access (design §5; S4-S6, S10-S11)."""

import string
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_store.directory import find_user, list_users
from hub.draft import own_thread_hash
from hub.keys import Keys, query_named_by
from plugins import Claim, Identity
from tests.hub.desk import Desk, edit, mail, message


async def conversations(desk: Desk) -> list[tuple]:
    """(is its own root, sender) of every conversation, oldest first."""
    return await desk.rows(
        "SELECT q.id = q.root_id, i.value FROM queries q JOIN identities i ON i.id = q.identity_id ORDER BY q.id"
    )


async def standings(desk: Desk) -> list[str]:
    return await desk.column("SELECT standing FROM messages WHERE direction = 'in' ORDER BY id")


async def one_matter(desk: Desk) -> bool:
    return await desk.number("SELECT count(DISTINCT root_id) FROM queries") == 1


async def test_two_messages_of_one_new_sender_in_one_batch_make_one_identity_and_user(desk: Desk):
    await desk.say(mail("m1"), mail("m2"), mail("m3", sender="ann@ACME.TEST"))
    assert await desk.rows("SELECT scheme, value FROM identities") == [("email", "ann@acme.test")]
    assert await desk.number("SELECT count(*) FROM users") == 1
    assert await desk.number("SELECT count(*) FROM links") == 1


async def test_lines_of_one_person_in_one_batch_are_one_matter_as_they_are_in_two(desk: Desk):
    await desk.say(message("m1"), message("m2"))
    await desk.say(message("m3"))
    assert await one_matter(desk)
    assert len(desk.far("chat").ledger) == 1


async def test_token_joins_for_its_own_participant_even_unverified(desk: Desk):
    await desk.say(mail("m1"), to="mail")
    await desk.say(mail("m2", tokens=[await desk.token()]), to="mail")
    assert await one_matter(desk)
    assert await standings(desk) == ["claimed", "claimed"]
    assert len(desk.far("mail").ledger) == 1


async def test_right_token_from_a_stranger_is_a_third_party_seen_by_agents_and_answered_with_nothing(desk: Desk):
    await desk.say(mail("m1"), to="mail")
    token = await desk.token()
    await desk.say(mail("evil", sender="mallory@evil.test", assurance=1, tokens=[token]), to="mail")
    assert await standings(desk) == ["claimed", "third_party"]
    assert await one_matter(desk)
    assert len(desk.far("mail").ledger) == 1
    (reference,) = await desk.references()
    to, _ = await desk.operate("recipient", "eve", reference)
    assert to.value == "ann@acme.test"
    stranger = await desk.number("SELECT id FROM messages WHERE standing = 'third_party'")
    with pytest.raises(LookupError):
        await desk.operate("reply", "eve", reference, "secret", to_message=stranger)


async def test_stranger_can_not_climb_in_by_naming_its_own_third_party_message_or_its_thread(desk: Desk):
    await desk.say(message("m1", thread="t1"))
    token = await desk.token()
    await desk.say(message("evil-1", sender="mallory", tokens=[token], thread="t-evil"))
    await desk.say(message("evil-2", sender="mallory", replies_to=["evil-1"]))
    await desk.say(message("evil-3", sender="mallory", thread="t-evil"))
    reference = (await desk.references())[0]
    assert await desk.column(
        "SELECT m.key FROM messages m JOIN queries q ON q.id = m.query_id JOIN queries r ON r.id = q.root_id "
        "WHERE r.reference = :ref AND m.direction = 'in' ORDER BY m.id", ref=reference,
    ) == ["m1", "evil-1"]  # fmt: skip
    to, _ = await desk.operate("recipient", "eve", reference)
    assert to.value == "ann"


async def test_token_of_another_conversation_does_not_make_its_bearer_a_participant(desk: Desk):
    await desk.say(mail("m1"), mail("n1", sender="bob@acme.test"), to="mail")
    bobs = await desk.token(1)
    await desk.say(mail("m2", tokens=[bobs]), to="mail")
    assert await standings(desk) == ["claimed", "claimed", "third_party"]


@given(st.integers(0, 231), st.integers(1, 1 << 62))
def test_changed_tokens_prove_nothing(bit: int, number: int):
    keys = Keys([b"k" * 32])
    token = keys.reply_token(number, 7)
    at, mask = bit % 29 + 1, bit // 29 + 1
    alphabet = string.ascii_lowercase + "234567"
    other = alphabet[(alphabet.index(token[at]) + mask) % 32]
    changed = token[:at] + other + token[at + 1 :]
    assert keys.proves(token, number, 7)
    assert not any(keys.proves(changed, n, i) for n in {number, query_named_by(changed) or 0} for i in (7, 8))


@given(st.text(alphabet=string.ascii_letters + string.digits + "@-+. ", max_size=40))
def test_guessed_tokens_prove_nothing(guess: str):
    keys = Keys([b"k" * 32])
    number = query_named_by(guess)
    assert number is None or (number < 1 << 63 and not keys.proves(guess, number, 7))
    assert keys.message_of(guess) is None


async def test_guessed_tokens_are_recorded_as_new_queries(desk: Desk):
    guesses = ["q" + "7" * 29, "q" + "a" * 29, "Q" + "Z" * 29, "m" + "2" * 29, "", "q", "x" * 5000, "0000"]
    await desk.say(*(mail(f"m{n}", sender=f"u{n}@a.test", tokens=[g]) for n, g in enumerate(guesses)), to="mail")
    assert await desk.column("SELECT state FROM envelopes") == ["done"]
    assert await desk.number("SELECT count(*) FROM queries WHERE id = root_id") == len(guesses)


async def test_our_signed_key_joins_its_proved_recipient_only(desk: Desk):
    await desk.say(mail("m1", assurance=1), to="mail")
    ours = (await desk.sent())[0]["key"]
    await desk.say(mail("m2", assurance=1, replies_to=[ours]), to="mail")
    assert await one_matter(desk)
    await desk.say(mail("m3", assurance=0, replies_to=[ours]), to="mail")
    await desk.say(mail("m4", sender="mallory@evil.test", assurance=1, replies_to=[ours]), to="mail")
    assert len(await desk.references()) == 3
    assert (await desk.events("query.hint")) == ["query.hint"] * 2


async def test_forged_references_begin_a_new_query_with_a_hint_for_agents(desk: Desk):
    await desk.say(mail("m1"), to="mail")
    await desk.say(mail("x", sender="mallory@evil.test", assurance=1, replies_to=["m1"], subject="Re"), to="mail")
    assert await conversations(desk) == [(True, "ann@acme.test"), (True, "mallory@evil.test")]
    first = (await desk.references())[0]
    (hint,) = await desk.column("SELECT body FROM events WHERE kind = 'query.hint'")
    assert first in hint
    assert not any(first in str(body) for body in (await desk.sent())[1:])


async def test_thread_that_the_channel_proves_joins_whoever_speaks_in_it(desk: Desk):
    await desk.say(message("m1", thread="t"))
    await desk.say(message("m2", sender="bob", thread="t"))
    assert await conversations(desk) == [(True, "ann"), (False, "bob")]
    assert await desk.column("SELECT via FROM query_joins") == ["thread"]


async def test_window_joins_lines_of_the_same_proved_person_and_no_mail(desk: Desk):
    await desk.say(message("m1"))
    await desk.say(message("m2"))
    await desk.say(message("m3", assurance=0))
    await desk.say(message("m4", kind="mail"))
    assert await desk.number("SELECT count(*) FROM queries WHERE id = root_id") == 3
    desk.clock.by += timedelta(days=8)
    await desk.say(message("m5"))
    assert await desk.number("SELECT count(*) FROM queries WHERE id = root_id") == 4


@pytest.mark.parametrize("proof", ["token", "thread", "window", "reply"])
async def test_closed_query_is_not_reopened_and_a_resolved_one_is(desk: Desk, proof: str):
    await desk.say(message("m1", thread="t" if proof == "thread" else ""))
    sent = (await desk.sent())[0]
    by = {
        "token": {"tokens": [sent["token"]]}, "thread": {"thread": "t"}, "window": {},
        "reply": {"replies_to": [sent["key"]]},
    }[proof]  # fmt: skip
    (reference,) = await desk.references()
    await desk.operate("set_query", "eve", reference, {"state": "resolved"})
    joins = proof != "window"
    await desk.say(message("m2", **by))
    first = await desk.rows("SELECT state, resolved_at FROM queries WHERE reference = :ref", ref=reference)
    assert first == ([("open", None)] if joins else first)
    await desk.operate("set_query", "eve", reference, {"state": "closed"})
    before = len(await desk.references())
    await desk.say(message("m3", sender="ann" if joins else "bob", **by))
    assert len(await desk.references()) == before + 1
    assert await desk.column("SELECT state FROM queries WHERE reference = :ref", ref=reference) == ["closed"]


async def test_merge_shows_one_person_and_unmerge_splits_what_it_alone_had_joined(desk: Desk):
    await desk.say(message("a1", sender="ann"), to="chat")
    await desk.say(mail("b1", sender="ann@acme.test", assurance=1), to="mail")
    ann, by_mail = await desk.column("SELECT user_id FROM identities ORDER BY id")
    link = await desk.operate("merge", "eve", ann, by_mail, "same desk")
    assert len(set(await desk.column("SELECT user_id FROM identities"))) == 1
    await desk.say(mail("b2", sender="ann@acme.test", assurance=1, tokens=[await desk.token(0)]), to="mail")
    joined = await desk.rows("SELECT id, root_id FROM queries WHERE id <> root_id")
    assert len(joined) == 1
    assert await desk.operate("unmerge", "eve", int(link["link"]), "not the same") == {
        "link": link["link"],
        "split": "1",
    }
    assert len(set(await desk.column("SELECT user_id FROM identities"))) == 2
    assert await desk.rows("SELECT id FROM queries WHERE id <> root_id") == []
    assert await desk.number("SELECT count(*) FROM messages WHERE query_id = :q", q=joined[0][0]) == 1


async def test_link_is_automatic_only_where_a_trusted_issuer_vouches_on_both_sides(desk: Desk):
    await desk.say(mail("m1", assurance=1), to="mail")
    ann = Identity(scheme="email", value="ann@acme.test")
    weak = [
        Claim(identity=ann, assurance=0, issuer="idp.acme.test"),
        Claim(identity=ann, assurance=1, issuer="idp.evil.test"),
        Claim(identity=Identity(scheme="email", value="ann@other.test"), assurance=1, issuer="idp.acme.test"),
    ]
    for n, claim in enumerate(weak):
        await desk.say(message(f"w{n}", sender=f"w{n}", claims=[claim]))
    good = Claim(identity=ann, assurance=1, issuer="idp.acme.test")
    await desk.say(message("a0", sender="a0", assurance=0, claims=[good]))
    users = await desk.column("SELECT user_id FROM identities ORDER BY id")
    assert len(set(users)) == len(users)
    await desk.say(message("good", sender="good", claims=[good]))
    rows = dict(await desk.rows("SELECT value, user_id FROM identities"))
    assert rows["good"] == rows["ann@acme.test"]
    assert (await desk.events("user.suggested")) == ["user.suggested"] * 3
    subject = await desk.number("SELECT subject_id FROM events WHERE kind = 'user.linked'")
    assert subject == rows["good"]


@pytest.mark.parametrize("name", ["ann@acme.test", "ANN@ACME.TEST ", "Ann <ann@acme.test>", "ａnn@acme.test"])
async def test_equal_text_of_an_address_links_nothing(desk: Desk, name: str):
    await desk.say(mail("m1", assurance=1), to="mail")
    await desk.say(message("m2", sender="slack-7", name=name))
    await desk.say(mail("m3", sender="ann+a@acme.test"), mail("m4", sender="a.nn@acme.test"), to="mail")
    users = await desk.column("SELECT user_id FROM identities")
    assert len(set(users)) == len(users) == 4


SPELLINGS = ["ANN@ACME.TEST", "\uff41nn@acme.test", '"ann"@acme.test', "ann@acme.test.", "ann@\uff41cme.test"]


async def test_token_joins_however_its_participant_s_address_is_spelled(desk: Desk):
    await desk.say(mail("m0", sender="Ann@acme.test"), to="mail")
    token = await desk.token()
    for n, sender in enumerate(SPELLINGS):
        await desk.say(mail(f"r{n}", sender=sender, tokens=[token]), to="mail")
    await desk.say(mail("other", sender="ann+a@acme.test", tokens=[token]), to="mail")
    assert await desk.number("SELECT count(*) FROM queries") == 1
    assert await standings(desk) == ["claimed"] * 6 + ["third_party"]


async def test_address_is_kept_as_its_owner_spells_it_and_found_however_it_is_spelled(desk: Desk):
    await desk.say(mail("m0", sender="Ann.Lee@ACME.test", assurance=1), to="mail")
    assert await desk.column("SELECT value FROM identities") == ["Ann.Lee@acme.test"]
    for spelled in ("ann.lee@acme.test", "ANN.LEE@acme.test."):
        assert await desk.hub.store.read(find_user, "email", spelled)
        assert await desk.hub.store.read(list_users, spelled)
    assert await desk.hub.store.read(find_user, "email", "annlee@acme.test") is None


async def test_stranger_who_spells_an_address_first_does_not_spoil_it(desk: Desk):
    await desk.say(mail("m0", sender="\uff41nn@acme.test"), mail("m1", assurance=1), to="mail")
    assert {body["to"]["value"] for body in await desk.sent()} == {"ann@acme.test"}


async def test_sharp_s_and_two_of_them_are_two_mailboxes(desk: Desk):
    await desk.say(mail("m0", sender="vane\u00dfa@acme.test"), mail("m1", sender="Vanessa@acme.test"), to="mail")
    assert {body["to"]["value"] for body in await desk.sent()} == {"vane\u00dfa@acme.test", "Vanessa@acme.test"}


async def test_own_echo_drops_out_with_a_reason(desk: Desk):
    await desk.say(message("m1"))
    ours, ref = (await desk.sent())[0]["key"], desk.far("chat").ledger[0].ref
    await desk.say(message(ours), message(f"{ours}@desk.test"), message(ref, sender="the-bot"))
    assert (
        await desk.rows("SELECT outcome, reason FROM items WHERE outcome <> 'recorded'")
        == [("echo", "our own message came back")] * 3
    )
    assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 1


async def test_reply_goes_to_the_newest_message_at_the_matters_assurance_or_to_the_picked_one(desk: Desk):
    await desk.say(mail("m1", assurance=1), to="mail")
    token = await desk.token()
    await desk.say(mail("m2", assurance=0, tokens=[token]), to="mail")
    (reference,) = await desk.references()
    ids = await desk.column("SELECT id FROM messages WHERE direction = 'in' ORDER BY id")
    await desk.operate("reply", "eve", reference, "to the proved one")
    await desk.operate("reply", "eve", reference, "to the picked one", to_message=ids[1])
    await desk.settle()
    assert [body["replies_to"] for body in (await desk.sent())[1:]] == [["m1"], ["m2"]]


async def test_recipient_that_is_shown_is_the_one_that_is_used(desk: Desk):
    await desk.say(message("m1", thread="t"))
    await desk.say(message("m2", sender="bob", thread="t"))
    await desk.say(message("m3", sender="bob", thread="t", automatic="bulk"))
    reference = (await desk.references())[0]
    to, instance = await desk.operate("recipient", "eve", reference)
    said = await desk.operate("reply", "eve", reference, "hello both")
    await desk.settle()
    assert (f"{to.scheme}:{to.value}", instance) == (said["to"], said["through"]) == ("chat:bob", "chat")
    assert b"bob: hello both" in desk.far("chat").bodies()


async def test_answer_to_a_form_falls_back_to_an_instance_that_reaches_the_address(desk: Desk):
    await desk.say(mail("m1", thread="form-session"), to="form")
    assert desk.far("mail").bodies()[0].startswith(b"ann@acme.test: ")
    (body,) = await desk.sent()
    assert (body["replies_to"], body["thread"]) == ([], "")


async def test_replies_of_one_conversation_go_out_in_order(desk: Desk):
    await desk.say(message("m1"))
    (reference,) = await desk.references()
    desk.far("chat").script = ["retry", "lost", "ok", "retry"]
    for n in range(5):
        await desk.operate("reply", "eve", reference, f"n{n}")
    await desk.settle()
    assert desk.far("chat").bodies()[1:] == [b"ann: n%d" % n for n in range(5)]


@pytest.mark.parametrize("together", [True, False])
async def test_edit_before_its_original_waits_and_then_applies(desk: Desk, together: bool):
    items = [edit("m1", "better"), message("m1", text="worse"), edit("m1", "best")]
    if together:
        await desk.say(*items)
    else:
        for item in items:
            await desk.say(item)
    assert await desk.column("SELECT text FROM messages WHERE direction = 'in'") == ["best"]
    assert set(await desk.column("SELECT outcome FROM items")) == {"recorded"}
    assert await desk.events("message.edited") == ["message.edited"] * 2


async def test_deleted_message_keeps_its_old_words_in_its_event_only(desk: Desk):
    await desk.say(message("m1", text="secret"), edit("m1", None))
    assert await desk.rows("SELECT text, deleted_at IS NULL FROM messages WHERE direction = 'in'") == [("", False)]


def test_own_threads_stand_in_the_index_as_their_queries_do():
    """A batch writes one page of it then; keys in no order are a page each."""
    queries = [number << 40 for number in range(1, 200)]
    assert sorted(queries, key=lambda number: own_thread_hash("mail", number)) == queries
    assert len({own_thread_hash(instance, queries[0]) for instance in ("mail", "form")}) == 2
