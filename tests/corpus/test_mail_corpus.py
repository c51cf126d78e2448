"""How well the mail parser agrees with the expected results of other projects."""

import pytest
from msgspec import json
from msgspec.structs import replace

from bench.corpus import manifest
from bench.corpus.score import Score, score
from bench.corpus.second import compare
from bench.parse_corpus import parse
from connectors.channels.email.keys import delivery_key
from plugins import Fold, Item, Message

DATA = manifest.folder()
assert DATA is not None
MAILS = manifest.mails(DATA)
CASES = MAILS + manifest.replies(DATA)


@pytest.fixture(scope="module")
def parsed() -> dict[str, list[Item]]:
    return {case.name: parse(case.raw) for case in CASES}


@pytest.fixture(scope="module")
def scored(parsed: dict[str, list[Item]]) -> Score:
    return score(CASES, parsed)


def percent(scored: Score, name: str) -> float:
    field = scored.fields[name]
    return 100 * field.agreed / field.n


def test_manifest_finds_the_mails_of_every_corpus():
    assert len(MAILS) > 650
    assert len({case.name.partition("/")[0] for case in MAILS}) == 8


def test_every_mail_becomes_items_that_the_contract_accepts(parsed):
    for name, items in parsed.items():
        assert json.decode(json.encode(items), type=list[Item]), name


def test_nothing_is_parked(parsed):
    assert all(isinstance(items[0], Message) or not items[0].park for items in parsed.values())


@pytest.mark.parametrize("name", ["sender", "subject", "attachments"])
def test_at_most_one_unexplained_miss(scored, name):
    assert len(scored.fields[name].missed) <= 1, scored.fields[name].missed


def test_visible_text_agrees_by_words(scored):
    assert 100 * scored.words_common / scored.words_all >= 95


def test_replies_are_exact(scored):
    assert percent(scored, "replies") >= 75


def test_no_word_of_a_reply_is_hidden(scored):
    assert scored.hidden == {}


def test_bounces_and_automatic_mail_are_recognised(scored):
    assert percent(scored, "bounce_or_auto") >= 97


def test_a_fold_over_everything_would_be_noticed(parsed):
    """The measure itself: hiding one reply turns it red."""
    case = next(case for case in CASES if case.expected.reply)
    message = parsed[case.name][0]
    hidden = replace(message, folds=[Fold(start=0, end=len(message.text), kind="quote")])
    assert case.name in score([case], {case.name: [hidden]}).hidden


def test_same_mail_with_other_line_ends_has_the_same_kind(parsed):
    kinds: dict[str, set[str]] = {}
    for name, items in parsed.items():
        if name.startswith("sisimai/maildir/") and name.split("/")[2] in {"bsd", "dos", "mac"}:
            kinds.setdefault(name.rpartition("/")[2], set()).add(items[0].automatic)
    assert all(len(found) == 1 for found in kinds.values())


def test_mails_that_share_a_message_id_are_told_apart_by_their_fingerprint():
    keys = [delivery_key(case.raw) for case in MAILS]
    contents = {(key, fingerprint) for key, fingerprint in keys}
    assert len({key for key, _ in keys}) < len(contents)


@pytest.mark.parametrize("name", ["sender_stdlib", "subject_stdlib", "files_stdlib"])
def test_the_standard_library_agrees_where_it_reads_anything(parsed, name):
    result = Score()
    for case in MAILS:
        compare(result, case, next((item for item in parsed[case.name] if isinstance(item, Message)), None))
    assert result.fields[name].n > 80
    assert len(result.fields[name].missed) <= 1, result.fields[name].missed
