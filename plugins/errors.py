"""Errors, named by what the hub does next.

    TrunklineError
    ├── inbound, before the journal: nothing is kept
    │   ├── NotAuthentic     401; the body of the answer is constant (WrongTime: it is counted apart)
    │   ├── StaleKeys        renew_keys() once, then verify again; else 503
    │   ├── Malformed        400: broken HTTP only, never an odd payload (that is stored and parked)
    │   └── Busy(after)      503 + Retry-After; raised by the hub's receive()
    ├── outbound, about one step
    │   ├── Retry(after)     certainly had no effect: later, with the same key
    │   ├── Uncertain        may have had its effect: find() first, else a person
    │   ├── Refuse(code)     this one never will: park it, go on with the next lane
    │   └── Pause(after)     none will (credentials, quota): keep all work, raise an alarm
    └── life
        ├── BadConfig        not started; every problem named at once
        └── LeaseLost        another node runs this instance: stop, don't retry

A plugin raises nothing else on purpose. Whatever else escapes it is a bug: the hub parks the
envelope or the work with the trace, and believes its own record of whether an effect went out.
"""

from collections.abc import Mapping, Sequence

import msgspec


class TrunklineError(Exception):
    """Root of everything that the contract raises."""


class NotAuthentic(TrunklineError):
    """The signature, token or secret of an incoming request is missing or wrong."""


class WrongTime(NotAuthentic):
    """The request's signed time is too far from our clock: a replay, or one of the clocks is wrong (it is counted)."""


class StaleKeys(TrunklineError):
    """The request names a signing key that is not known yet; `renew_keys()` may fetch it."""


class Malformed(TrunklineError):
    """The transport itself is broken (HTTP that can't be read). Odd payloads are not malformed.

    Of a `Counter`: what the agent must write differently.
    """


class _Timed(TrunklineError):
    def __init__(self, why: str = "", *, after: float | None = None) -> None:
        """`after`: seconds until a next try makes sense, where the far side said so."""
        super().__init__(why)
        self.after = after


class Busy(_Timed):
    """The hub can take no more now; the source keeps what it has and comes again."""


class Retry(_Timed):
    """The step had certainly no effect: try again later, with the same key."""


class Uncertain(TrunklineError):
    """The step may have had its effect: ask the far side before any second try."""


class Refuse(TrunklineError):
    """This step will never succeed. `code` is a stable cause (`recipient_unknown`), for people and rules."""

    def __init__(self, code: str, why: str = "", *, field: str = "") -> None:
        """`field` names the native field that was refused, if the far side said so."""
        super().__init__(f"{code}: {why}" if why else code)
        self.code = code
        self.field = field


CAUSES: Mapping[str, str] = {
    "recipient_unknown": "The address, number, account or chat does not exist (any more). Ask on another channel.",
    "recipient_blocked": "The person has blocked us or opted out. Use another channel that they chose.",
    "must_write_first": "On this channel the person must write to us first. Use another channel, or wait.",
    "window_closed": "The channel takes no free text so long after the person's last message. Send a template, "
    "or use another channel.",
    "not_allowed": "Our account may not write there: it was removed, or lacks a right. The administrator can mend it.",
    "too_long": "The text is longer than the channel takes. Shorten it, or send it as a file.",
    "media_unsupported": "The channel does not take this kind of file. Send another form of it, or a link.",
    "media_too_large": "The file is larger than the channel takes. Send a smaller one, or a link.",
    "content_refused": "The channel refuses the content. Its words stand beside this.",
    "original_gone": "The message that this one answers or changes is not there any more.",
    "no_way_back": "This instance can't answer here. Use another channel.",
}
"""Common codes of `Refuse` for deliveries, with what an agent can do. A connector takes one of these where it fits, so
that one word means one thing on every channel; others are its own to name, in `lower_case`."""


class Pause(_Timed):
    """Nothing will succeed at this instance until a person acts (credentials, quota)."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in a configuration, in the words that its author needs."""

    file: str
    key: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        """`plugins.toml: instance.mail.port: expected an integer (write a number, e.g. 993)`."""
        place = ": ".join(part for part in (self.file, self.key) if part)
        return f"{place}: {self.what}" + (f" ({self.fix})" if self.fix else "")


class BadConfig(TrunklineError):
    """The configuration can't be used; `problems` lists everything that is wrong, not the first alone."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """At least one problem."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class LeaseLost(TrunklineError):
    """Another node holds this instance now: the runner stops and does not try again."""
