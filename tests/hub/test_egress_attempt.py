"""The hub, not the author, decides whether a step may have had its effect."""

import asyncio
import contextlib
import socket
from datetime import UTC, datetime

import pytest

from hub.attempt import HubEgress, SecondEffectError, StepAttempt, verdict
from hub.egress import Client
from plugins import Attempt, Busy, Call, Done, Egress, Malformed, Pause, Refuse, Retry, TrunklineError, Uncertain
from tests.hub.far_side import FarSide, TurnedClock, answer, client, raw, silence

LOCAL = "127.0.0.0/8"
LOST = raw(b"")


async def blobs(sha256: str) -> bytes:
    return f"bytes of {sha256}".encode()


async def tokens(name, renew) -> bytes:
    value, _ = await renew(None)
    return name.encode() + b":" + value


def attempt_over(egress: Client) -> StepAttempt:
    return StepAttempt(
        egress,
        TurnedClock(),
        key="k1",
        number=1,
        ticket="T7",
        made=(Done(ref="r1"),),
        blobs=blobs,
        tokens=tokens,
    )


async def perform(*scripts, calls=("POST",), expect=(), then: BaseException | None = None):
    """What becomes of an attempt whose plugin makes these calls and then raises `then`, or lets the last error out."""
    async with FarSide(*scripts) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        try:
            for method in calls:
                await attempt.call(Call(method=method, url=far.url), expect=expect)
        except TrunklineError as error:
            return attempt, verdict(attempt, then or error)
        return attempt, verdict(attempt, then) if then else None


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_answered_effect_is_begun_and_answered(status: int):
    attempt, error = await perform(answer(status))
    assert (attempt.effect_begun, attempt.answered, error) == (True, True, None)


@pytest.mark.parametrize("script", [LOST, answer(500), answer(503)])
async def test_lost_effect_is_begun_and_not_answered(script):
    attempt, error = await perform(script)
    assert (attempt.effect_begun, attempt.answered, type(error)) == (True, False, Uncertain)


@pytest.mark.parametrize(("status", "error"), [(400, Refuse), (401, Pause), (404, Refuse), (429, Retry)])
async def test_effect_that_was_refused_is_none(status: int, error: type):
    attempt, found = await perform(answer(status))
    assert (attempt.effect_begun, type(found)) == (False, error)


@pytest.mark.parametrize(
    "raised",
    [
        Retry("x"),
        Pause("x"),
        Refuse("x"),
        ValueError("x"),
        TimeoutError(),
        asyncio.CancelledError(),
        SecondEffectError(),
        MemoryError(),
    ],
)
async def test_whatever_the_author_says_after_a_lost_effect_it_is_uncertain(raised: BaseException):
    _, found = await perform(LOST, then=raised)
    assert isinstance(found, Uncertain)
    assert found.__cause__ is raised


@pytest.mark.parametrize("raised", [Retry("ratelimited", after=3), Refuse("no_channel"), Pause("x"), Uncertain("x")])
async def test_author_is_believed_after_an_answer(raised: Exception):
    _, found = await perform(answer(200, b'{"ok":false}'), then=raised)
    assert found is raised


@pytest.mark.parametrize("raised", [KeyError("id"), TimeoutError(), asyncio.CancelledError(), Busy(), Malformed()])
async def test_unknown_error_after_an_answered_effect_is_uncertain(raised: BaseException):
    _, found = await perform(answer(200), then=raised)
    assert isinstance(found, Uncertain)
    assert found.__cause__ is raised


@pytest.mark.parametrize("later", [LOST, answer(404), answer(401), answer(429), answer(503)])
@pytest.mark.parametrize("then", [None, Retry("by except")])
async def test_failure_of_a_later_call_says_nothing_of_the_effect(later, then):
    """POST was answered, then a GET for details fails: its Retry would post again."""
    _, found = await perform(answer(200), later, calls=("POST", "GET"), then=then)
    assert isinstance(found, Uncertain)


async def test_failure_of_an_earlier_call_leaves_the_author_believed():
    async with FarSide(answer(404), answer(200)) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        with pytest.raises(Refuse):
            await attempt.call(Call(method="GET", url=far.url))
        await attempt.call(Call(method="POST", url=far.url))
        raised = Retry("ok: false")
        assert verdict(attempt, raised) is raised


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (TimeoutError(), Retry),
        (ConnectionResetError(), Retry),
        (OSError(113, "no route to host"), Retry),
        (socket.gaierror(-2, "no such name"), Retry),
        (asyncio.IncompleteReadError(b"", 3), Retry),
        (asyncio.CancelledError(), Retry),
        (MemoryError(), Retry),
        (Busy(after=9), Retry),
        (KeyError("id"), Refuse),
        (TypeError("x"), Refuse),
        (RecursionError(), Refuse),
        (AssertionError(), Refuse),
        (Malformed("x"), Refuse),
        (SystemExit(1), Refuse),
    ],
)
async def test_unknown_error_before_any_effect_is_the_worlds_or_the_codes(raised: BaseException, expected: type):
    _, found = await perform(answer(200), calls=("GET",), then=raised)
    assert type(found) is expected
    assert found.__cause__ is raised
    assert expected is Retry or found.code == "plugin_error"
    assert getattr(found, "after", None) == getattr(raised, "after", None)


@pytest.mark.parametrize("raised", [Retry("x"), Refuse("x"), Pause("x"), Uncertain("x")])
async def test_author_is_believed_before_any_effect(raised: Exception):
    _, found = await perform(answer(200), calls=(), then=raised)
    assert found is raised


@pytest.mark.parametrize(
    ("raised", "expected"), [(Retry("421"), Retry), (Refuse("550"), Refuse), (OSError(), Uncertain)]
)
async def test_effect_without_http_is_known_by_the_author_alone(raised: Exception, expected: type):
    async with client(LOCAL) as egress:
        attempt = attempt_over(egress)
        attempt.effect()
        assert (attempt.effect_begun, attempt.answered) == (True, False)
        assert type(verdict(attempt, raised)) is expected


async def test_effect_that_was_not_sent_is_none_and_may_be_called_again():
    async with FarSide(answer()) as far:
        gone = far.url
    async with FarSide(answer()) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        for url, error in ((gone, Retry), ("http://10.0.0.1/", Refuse)):
            with pytest.raises(error):
                await attempt.call(Call(method="POST", url=url))
            assert not attempt.effect_begun
        await attempt.call(Call(method="POST", url=far.url))
        assert attempt.answered


async def test_effect_goes_out_again_after_an_expected_401():
    async with FarSide(answer(401), answer(201)) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        call = Call(method="POST", url=far.url)
        assert (await attempt.call(call, expect={401})).status == 401
        assert (await attempt.call(call)).status == 201


@pytest.mark.parametrize("first", [answer(200), answer(303), LOST, answer(500)])
async def test_second_effect_in_one_attempt_raises_and_is_not_sent(first):
    async with FarSide(first) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        with contextlib.suppress(Uncertain, Refuse):
            await attempt.call(Call(method="POST", url=far.url))
        with pytest.raises(SecondEffectError):
            await attempt.call(Call(method="POST", url=far.url))
        with pytest.raises(SecondEffectError):
            attempt.effect()
        assert len(far.requests) == 1


async def test_two_effects_at_once_are_one_too_many():
    async with FarSide(answer(200)) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        calls = [attempt.call(Call(method="POST", url=far.url)) for _ in range(2)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Answer", "SecondEffectError"]
        assert len(far.requests) == 1


async def test_calls_without_effect_are_not_counted():
    async with FarSide(answer(200)) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        for method, effect in (("GET", None), ("HEAD", None), ("POST", False), ("GET", False)):
            await attempt.call(Call(method=method, url=far.url, effect=effect))
        assert not attempt.effect_begun
        await attempt.call(Call(method="GET", url=far.url, effect=True))
        assert attempt.answered


async def test_effect_of_a_cancelled_attempt_is_lost():
    arrived = asyncio.Event()

    async def hang(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await silence(writer)

    async with FarSide(hang) as far, client(LOCAL) as egress:
        attempt = attempt_over(egress)
        task = asyncio.create_task(attempt.call(Call(method="POST", url=far.url)))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        assert isinstance(verdict(attempt, raised.value), Uncertain)


async def test_blobs_and_tokens_come_from_the_hub():
    async def renew(last: bytes | None) -> tuple[bytes, datetime]:
        assert last is None
        return b"new", datetime(2027, 1, 1, tzinfo=UTC)

    async with client(LOCAL) as egress:
        attempt: Attempt = attempt_over(egress)
        plain: Egress = HubEgress(egress, TurnedClock(), blobs=blobs, tokens=tokens)
        for way in (attempt, plain):
            assert await way.blob("ab") == b"bytes of ab"
            assert await way.token("oauth", renew) == b"oauth:new"
        assert (attempt.key, attempt.number, attempt.ticket, attempt.made[0].ref) == ("k1", 1, "T7", "r1")


async def test_egress_without_an_attempt_calls_as_often_as_it_likes():
    async with FarSide(answer(200)) as far, client(LOCAL) as egress:
        plain = HubEgress(egress, TurnedClock(), blobs=blobs, tokens=tokens)
        for _ in range(2):
            assert (await plain.call(Call(method="POST", url=far.url))).status == 200
