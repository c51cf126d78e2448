"""The checks of a connector whose vendor has a stand-in: subclass `VendorConformance` and give it `far`.

    class TestAcmeChat(VendorConformance):
        cls = AcmeChat
        table = {"token": "env:TOKEN"}                       # without the address; `far().table` is laid over it
        signature_header = "x-acme-signature"

        def far(self):
            return AcmeStandIn(token=self.secret("TOKEN"))   # not started

        def measure(self, text):                             # as the platform counts; default: characters
            return utf16_units(text)

What the connector has no part in (no webhook, no runner, no limit) is skipped with its reason and stands on the card.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from plugins.errors import CAUSES, Pause, Refuse, Retry, TrunklineError, Uncertain
from plugins.fit import roles
from plugins.model import Done, Edited, Envelope, Message, Outgoing, Step
from plugins.testing.conformance import ConnectorConformance, references
from plugins.testing.fetching import FetchingChecks
from plugins.testing.hostile import ODD_TEXTS
from plugins.testing.lines import LiveAttempt
from plugins.testing.purity import no_io
from plugins.testing.secrecy import SecrecyChecks, words
from plugins.testing.standins import Fault, StandIn

WIDE = "\U0001f600"
"""A sign that platforms count in different ways: 1 character, 2 UTF-16 units, 4 bytes."""


class VendorConformance(FetchingChecks, SecrecyChecks, ConnectorConformance, ABC):
    """Everything of `ConnectorConformance`, and the protocol itself against a strict stand-in."""

    @abstractmethod
    def far(self) -> StandIn:
        """A stand-in that knows the secrets of `table`, not started."""

    def measure(self, text: str) -> int:
        """The platform's own counting."""
        return len(text)

    def works(self) -> Sequence[Any]:
        """Those of every sender, to somebody who can be reached."""
        person = self.far().person
        return [msgspec.structs.replace(work, to=person) for work in super().works()]

    def polling(self) -> Mapping[str, Any]:
        """Settings with which the runner fetches, where those of `table` make it rest."""
        return self.table

    # ---- in ------------------------------------------------------------------------------------------------

    async def test_event_of_the_stand_in_becomes_a_message(self) -> None:
        async with self._live() as (far, made):
            [message] = self._read(made, far, far.says("Does it work?"))
            assert isinstance(message, Message)
            assert "Does it work?" in message.text
            assert message.private
            assert message.sender.identity == far.person

    async def test_whatever_people_write_is_read(self) -> None:
        async with self._live() as (far, made):
            for odd in ODD_TEXTS:
                [message] = self._read(made, far, far.says(f"VPN {odd} down"))
                assert isinstance(message, Message), f"{odd[:50]!r}: {message!r}"
                assert "VPN" in message.text
                assert "down" in message.text

    async def test_public_message_is_marked_public(self) -> None:
        async with self._live() as (far, made):
            event = far.says("Hello all", private=False)
            if event is None:
                self.cannot("has no public messages")
            [message] = self._read(made, far, event)
            assert not message.private

    async def test_edit_names_its_original(self) -> None:
        async with self._live() as (far, made):
            said = far.says("Firts")
            changed = far.edits(said, "First")
            if changed is None:
                self.cannot("hears of no edits")
            [message], [edit] = self._read(made, far, said), self._read(made, far, changed)
            assert isinstance(edit, Edited)
            assert edit.of == message.key
            assert edit.by in (None, message.sender.identity)
            assert "First" in (edit.text or "")

    async def test_edit_before_its_original_is_the_same_edit(self) -> None:
        async with self._live() as (far, made):
            said = far.says("Firts")
            changed = far.edits(said, "First")
            if changed is None:
                self.cannot("hears of no edits")
            early, original = self._read(made, far, changed), self._read(made, far, said)
            other = self._new(far, self.table)
            assert (self._read(other, far, said), self._read(other, far, changed)) == (original, early)

    async def test_late_event_is_the_same_event(self) -> None:
        async with self._live() as (far, made):
            envelope = self._envelope(made, far, far.says("Late"))
            later = msgspec.structs.replace(envelope, at=envelope.at + timedelta(hours=20))
            assert list(made.parse(envelope)) == list(made.parse(later))

    async def test_events_keep_their_keys_in_any_order_and_number(self) -> None:
        async with self._live() as (far, made):
            events = [far.says(text) for text in ("one", "two", "three")]
            forth = [self._read(made, far, event)[0].key for event in events]
            back = [self._read(made, far, event)[0].key for event in reversed(events * 2)]
            assert len(set(forth)) == 3
            assert set(back) == set(forth)

    # ---- out -----------------------------------------------------------------------------------------------

    async def test_step_has_one_effect_at_most(self) -> None:
        async with self._live() as (far, made):
            for work in self.works():
                for step in made.plan(msgspec.structs.replace(work, thread="")):
                    attempt, before = LiveAttempt(key=f"attempt-{len(far.heard)}"), len(far.heard)
                    with suppress(Retry):  # too fast for the stand-in
                        await self._perform(made, step, attempt)
                    assert max(attempt.effects, len(far.heard) - before) <= 1

    async def test_long_text_arrives_whole_and_in_order(self) -> None:
        limit = self.make().capabilities.max_text or 5000
        word = f"w\u00f6rd {WIDE} https://desk.acme.test/a "
        for size in (1, limit // 2, limit, 3 * limit):
            async with self._live() as (far, made):
                text = (word * (size // len(word) + 1)).strip()
                await self._send(made, self._work(far, text))
                assert "".join("".join(each.text.split()) for each in far.heard).count("".join(text.split())) == 1
                assert far.refused == []

    async def test_longest_text_is_one_part_by_the_platforms_counting(self) -> None:
        limit = self.make().capabilities.max_text
        if not limit:
            self.cannot("declares no limit of length")
        longest = "x" * (limit - self.measure(WIDE)) + WIDE
        assert self.measure(longest) == limit
        for text, parts in ((longest, 1), ("x" + longest, 2)):
            async with self._live() as (far, made):
                await self._send(made, self._work(far, text))
                assert (len(far.heard), far.refused) == (parts, [])

    async def test_too_many_requests_wait_as_the_platform_says(self) -> None:
        async with self._live() as (far, made):
            [step] = made.plan(self._work(far))
            far.fail(Fault(status=429, after=7))
            error = await self._fails(made, step)
            assert isinstance(error, Retry)
            assert (error.after or 0) >= 7
            assert far.heard == []
            await self._perform(made, step)
            assert len(far.heard) == 1

    async def test_declared_rates_are_no_higher_than_the_platforms(self) -> None:
        documented, declared = self.far().rates, self.make().capabilities.rates
        if not documented:
            self.cannot("knows no rate of its platform")
        for scope, most, seconds in documented:
            held = [n * math.ceil(seconds / span) for s, n, span in declared if s in (scope, "instance")]
            assert min(held, default=most + 1) <= most, f"declare no more than {most} in {seconds:g} s ({scope})"

    async def test_one_too_many_is_refused_by_the_platform_and_comes_again(self) -> None:
        most = min((n for _, n, _ in self.far().rates), default=0)
        if not most:
            self.cannot("knows no rate of its platform")
        async with self._live() as (far, made):
            far.burst = 1
            [step] = made.plan(self._work(far))
            if any(scope == "lane" for scope, _, _ in made.capabilities.rates):
                with no_io():
                    assert isinstance(made.place(step), str), "name the place by which the platform counts"
            for number in range(most):
                await self._perform(made, step, LiveAttempt(key=f"attempt-{number}"))
            assert far.refused == []
            assert isinstance(await self._fails(made, step, LiveAttempt(key="one-too-many")), Retry)
            assert far.refused == ["too fast"]

    @pytest.mark.parametrize("kind", ["lost", "half_open", "status"])
    async def test_unknown_outcome_is_never_called_certain(self, kind: Any) -> None:
        async with self._live() as (far, made):
            [step] = made.plan(self._work(far))
            far.fail(Fault(kind=kind, status=503))
            error = await self._fails(made, step)
            safe = step.harmless or step.key_life > 0
            assert isinstance(error, (Uncertain, Retry) if safe else Uncertain), repr(error)

    async def test_lost_answer_is_settled_as_the_step_declares(self) -> None:
        async with self._live() as (far, made):
            [step] = made.plan(self._work(far))
            far.fail(Fault(kind="lost"))
            await self._fails(made, step)
            assert len(far.heard) == 1
            if step.find_lag is not None:
                found = await made.find(step, LiveAttempt())
                self._hides(repr(found))
                assert [done.ref for done in found] == [far.heard[0].ref]
            elif step.harmless or step.key_life:
                await self._perform(made, step)
                assert len(far.heard) == 1
            else:
                self.cannot("can't tell a second try from a first: a possible duplicate is flagged")

    async def test_every_refusal_has_its_name(self) -> None:
        named = {}
        for trouble in self.far().troubles:
            async with self._live() as (far, made):
                [step] = made.plan(self._work(far))
                far.trouble = trouble
                error = await self._fails(made, step)
                assert far.heard == []
                named[trouble] = error.code if isinstance(error, Refuse) else type(error).__name__
        assert named == {name: "Pause" if name == "token_revoked" else name for name in named}
        assert named.keys() - {"token_revoked"} <= CAUSES.keys(), "name it as others do, or add it to CAUSES"

    # ---- tools ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _live(self, table: Mapping[str, Any] | None = None) -> AsyncIterator[tuple[StandIn, Any]]:
        """A running stand-in and a connector that talks to it."""
        async with self.far() as far:
            yield far, self._new(far, self.table if table is None else table)

    def _secrets(self) -> set[str]:
        return references(self.table) | references(self.polling())

    def _new(self, far: StandIn, table: Mapping[str, Any], secret: Any = None) -> Any:
        """A connector that talks to it, with secrets by `secret` where they shall be others."""
        table = {**table, **{k: v for k, v in far.table.items() if not _secret(v)}}
        settings, problems = self._load(table, secret=secret)
        assert problems == []
        return self.cls("sample", settings)

    def _envelope(self, made: Any, far: StandIn, event: Any) -> Envelope:
        if "webhook" not in roles(self.cls):
            self.cannot("has no webhook")
        envelope = made.verify(far.request(event))
        assert isinstance(envelope, Envelope)
        return envelope

    def _read(self, made: Any, far: StandIn, event: Any) -> list[Any]:
        return self._parsed(made, self._envelope(made, far, event))

    def _work(self, far: StandIn, text: str = "Hello") -> Outgoing:
        return Outgoing(key="key-1", to=far.person, text=text, thread="", reference="Q1")

    async def _send(self, made: Any, work: Outgoing) -> Sequence[Done]:
        done: list[Done] = []
        for number, step in enumerate(made.plan(work)):
            done.append(await self._perform(made, step, LiveAttempt(key=f"attempt-{number}", made=done)))
        return done

    async def _perform(self, made: Any, step: Step, attempt: LiveAttempt | None = None) -> Done:
        attempt = attempt or LiveAttempt()
        try:
            result = await made.perform(step, attempt)
        finally:
            self._hides(*(repr((call.url, call.headers)) for call in attempt.calls))
        self._hides(repr(result))
        assert isinstance(result, Done)
        return result

    async def _fails(self, made: Any, step: Step, attempt: LiveAttempt | None = None) -> TrunklineError:
        try:
            result = await self._perform(made, step, attempt)
        except (Retry, Refuse, Uncertain, Pause) as error:
            self._hides(*words(error))
            return error
        raise AssertionError(f"it said {result!r}")


def _secret(value: Any) -> bool:
    """The kit's own secrets stand in `table`: the stand-in was given them."""
    return isinstance(value, str) and value.startswith("env:")
