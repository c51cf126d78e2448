"""The corpora through a real Dovecot and a real hub: what its store holds afterwards."""

import asyncio
from typing import Any

import pytest
from rich.progress import Progress

from bench.corpus import manifest
from bench.corpus.account import Delivered, Kept, account
from bench.mail_corpus import measure
from bench.parse_corpus import parse
from plugins import Skipped

DATA = manifest.folder()
assert DATA is not None
CASES = manifest.mails(DATA) + manifest.replies(DATA)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return asyncio.run(measure(CASES, Progress(disable=True)))


@pytest.fixture(scope="module")
def agreement(report) -> dict[str, Any]:
    return report["agreement"]


def test_every_mail_was_delivered_and_accounted_for(report):
    assert report["delivered"] == len(CASES) > 780
    assert report["envelopes"] + report["redelivered"] == report["delivered"]
    assert report["done"] + report["parked"] == report["envelopes"]


def test_nothing_is_lost_and_nothing_doubled(report):
    assert (report["lost_names"], report["doubled_names"]) == ([], [])
    assert report["letters"] == report["envelopes"]


def test_mails_that_share_a_message_id_are_all_kept(report):
    assert report["sharing_letters"] > report["shared_ids"] > 50


def test_few_are_parked_and_each_says_why(report):
    assert report["parked"] < report["delivered"] / 100
    assert all(report["parked_causes"].values())


def test_every_acknowledgement_and_dispatch_is_done(report):
    assert set(report["outbox"]) == {"delivery done", "dispatch done"}


@pytest.mark.parametrize("name", ["sender", "subject", "attachments"])
def test_the_store_misses_at_most_one_without_a_reason(agreement, name):
    assert len(agreement[name]["unexplained"]) <= 1


def test_the_store_shows_the_text(agreement):
    assert agreement["visible_text_words_percent"] >= 95


def test_the_store_shows_replies_and_hides_no_word_of_them(agreement):
    assert agreement["replies"]["percent"] >= 75
    assert agreement["reply_words_hidden"] == {}


def test_the_store_knows_bounces_and_automatic_mail(agreement):
    assert agreement["bounce_or_auto"]["percent"] >= 97


@pytest.mark.parametrize("way", ["second_folder", "uidvalidity"])
def test_the_same_mails_again_bring_nothing_new(report, way):
    assert report["again"][way] == {"redelivered": report["delivered"], "new_envelopes": 0, "new_messages": 0}


# ---- the measure itself --------------------------------------------------------------------------------

ONE = Delivered("one", 1, CASES[0].raw)
OTHER = Delivered("other", 2, CASES[1].raw)


def kept(mail: Delivered, **more: Any) -> Kept:
    given = {"id": mail.uid, "uid": mail.uid, "sha": mail.sha, "state": "done", "cause": "", "outcomes": ()}
    return Kept(**{**given, "messages": parse(mail.raw)[:1], **more})


def test_missing_envelope_counts_as_lost():
    assert account([ONE, OTHER], [kept(ONE)]).lost == ["other"]


@pytest.mark.parametrize(
    "more", [{"state": "pending"}, {"messages": ()}, {"messages": (), "outcomes": [("duplicate", "seen before")]}]
)
def test_envelope_that_came_to_nothing_counts_as_lost(more):
    assert account([ONE], [kept(ONE, **more)]).lost == ["one"]


def test_skipped_or_parked_mail_is_not_lost():
    skipped = kept(ONE, messages=(), outcomes=[("skipped", Skipped(reason="mail_empty").reason)])
    parked = kept(OTHER, messages=(), state="parked")
    assert account([ONE, OTHER], [skipped, parked]).lost == []


def test_second_envelope_or_message_counts_as_doubled():
    twice = kept(OTHER, messages=parse(OTHER.raw)[:1] * 2)
    assert account([ONE, OTHER], [kept(ONE), kept(ONE, id=9), twice]).doubled == ["one", "other"]


def test_copies_that_took_other_ways_are_one_letter():
    first = Delivered("first", 1, b"Message-ID: <a@b>\r\nDelivered-To: a@c\r\n\r\nhello\r\n")
    second = Delivered("second", 2, first.raw.replace(b"a@c", b"b@c"))
    found = account([first, second], [kept(first)])
    assert (found.letters, found.lost, found.other_ways) == (1, [], [["first", "second"]])


def test_other_words_under_the_same_message_id_are_another_letter():
    first = Delivered("first", 1, b"Message-ID: <a@b>\r\n\r\nhello\r\n")
    second = Delivered("second", 2, first.raw.replace(b"hello", b"hallo"))
    found = account([first, second], [kept(first)])
    assert (found.shared_ids, found.lost) == ((1, 2), ["second"])
