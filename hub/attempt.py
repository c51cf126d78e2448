"""One try of one step, as the plugin sees it, and the hub's own view of what became of its effect.

Authors write `except → Retry`, and believed they open every lost reply a second time (48 extra tickets in
`contract.md`, none when overruled). So the attempt watches the effect itself, and `verdict` decides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Literal

from hub.egress import Client, has_effect, judge
from plugins import Answer, Busy, Call, Clock, Done, LeaseLost, Pause, Refuse, Retry, TrunklineError, Uncertain

Renew = Callable[[bytes | None], Awaitable[tuple[bytes, datetime]]]
Blobs = Callable[[str], Awaitable[bytes]]
Tokens = Callable[[str, Renew], Awaitable[bytes]]

Effect = Literal["none", "lost", "answered", "unseen"]
"""none: nothing went out, or a 4xx refused it · lost: it went out and no answer came (or 5xx) · answered: 2xx, 3xx or
an expected status · unseen: no HTTP, so that only the plugin sees the answer."""


class SecondEffectError(RuntimeError):
    """The plugin began a second effect in one attempt, so that a retry would repeat the first: plan a step for each."""


class HubEgress:
    """The way out without an attempt: checks, fetches, `read`, `renew_keys`."""

    def __init__(self, client: Client, clock: Clock, *, blobs: Blobs, tokens: Tokens) -> None:
        """`blobs` reads attachments by hash; `tokens` keeps this instance's rotating credentials."""
        self.clock = clock
        self._client = client
        self._blobs = blobs
        self._tokens = tokens

    async def call(self, call: Call, *, expect: Collection[int] = ()) -> Answer:
        """As the protocol says."""
        return await self._client.request(call, expect=expect)

    async def token(self, name: str, renew: Renew) -> bytes:
        """As the protocol says."""
        return await self._tokens(name, renew)

    async def blob(self, sha256: str) -> bytes:
        """As the protocol says."""
        return await self._blobs(sha256)


class StepAttempt(HubEgress):
    """The `Attempt` that `perform` and `find` get; made anew for every try."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        key: str,
        number: int,
        ticket: str,
        made: Sequence[Done],
        blobs: Blobs,
        tokens: Tokens,
        may: Callable[[], None] = lambda: None,
    ) -> None:
        """`number` counts tries from 1. `may` is asked at the last moment before an effect; LeaseLost forbids it."""
        super().__init__(client, clock, blobs=blobs, tokens=tokens)
        self.key = key
        self.number = number
        self.ticket = ticket
        self.made = made
        self.state: Effect = "none"
        self._may = may
        self.stumbled = False
        """A call after the effect failed: what escapes the plugin then says nothing of the effect."""

    @property
    def effect_begun(self) -> bool:
        """May something have been changed out there?"""
        return self.state != "none"

    @property
    def answered(self) -> bool:
        """Did the hub see the far side's word on the effect?"""
        return self.state == "answered"

    async def call(self, call: Call, *, expect: Collection[int] = ()) -> Answer:
        """As the protocol says. Raises SecondEffectError for an effect after another one.

        An effect that was not sent, or was refused by a 4xx, may be called again: a 401 (expected) → new token → once
        more is one effect.
        """
        if not has_effect(call):
            return await self._aside(call, expect)
        self._begin("lost")
        try:
            answer = await self._client.exchange(call, self._may)
        except (Retry, Refuse, LeaseLost):  # before a connection stood
            self.state = "none"
            raise
        if 400 <= answer.status < 500:
            self.state = "none"
        elif 200 <= answer.status < 400 or answer.status in expect:
            self.state = "answered"
        return judge(call, answer, expect, self.clock.now())

    def effect(self) -> None:
        """As the protocol says. Raises SecondEffectError."""
        self._begin("unseen")

    def _begin(self, state: Effect) -> None:
        if self.effect_begun:
            raise SecondEffectError("a second effect in one step")
        self._may()
        self.state = state

    async def _aside(self, call: Call, expect: Collection[int]) -> Answer:
        try:
            return await self._client.request(call, expect=expect)
        except TrunklineError:
            self.stumbled = self.stumbled or self.effect_begun
            raise


def verdict(attempt: StepAttempt, error: BaseException) -> TrunklineError:
    """What the hub makes of an error that escaped `perform`; the original is its `__cause__`.

    | effect                          | the author raised Retry, Refuse, Pause | anything else         |
    |---------------------------------|----------------------------------------|-----------------------|
    | lost                            | Uncertain: nobody can know             | Uncertain             |
    | answered, a later call failed   | Uncertain: it speaks of the later call | Uncertain             |
    | answered                        | believed (`ok: false` in a 200)        | Uncertain             |
    | unseen (SMTP)                   | believed: only the author saw          | Uncertain             |
    | none                            | believed                               | Retry, or Refuse(*)   |

    An Uncertain is believed everywhere. (*) Before any effect the world's failures (OSError with time-outs, broken
    streams, no memory, the hub's own cancellation) are Retry; all others are the code's, which another try won't
    mend: Refuse("plugin_error"). Even a bug after an effect is Uncertain and no Refuse, since `find` may settle it.
    """
    if isinstance(error, Uncertain) or (isinstance(error, Retry | Refuse | Pause) and _believed(attempt)):
        return error
    words = f"{type(error).__name__}: {error}"[:500]
    if attempt.effect_begun:
        found: TrunklineError = Uncertain(f"the effect went out, then: {words}")
    elif isinstance(error, Busy):
        found = Retry(words, after=error.after)
    elif isinstance(error, OSError | EOFError | MemoryError | asyncio.CancelledError):
        found = Retry(words)
    else:
        found = Refuse("plugin_error", words)
    found.__cause__ = error
    return found


def _believed(attempt: StepAttempt) -> bool:
    return attempt.state != "lost" and not attempt.stumbled
