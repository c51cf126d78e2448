"""Secrets of the configuration stay out of what is written for people: the log, stored traces, alarms, evidence.

A plugin's error may quote them wherever it likes, Telegram's addresses hold the token, and what is stored is seen by
every agent, and kept. So they are looked for in the finished words, before these are cut: half a secret is not found.
"""

import base64
import json
import re
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import msgspec

from context_store.text import canonical
from hub.config import Config
from plugins import Secret

MASK = "***"
SHORTEST = 4
"""A shorter secret is not looked for: it would black out ordinary words, and protects nothing."""
TRACE = 4000
"""Characters of a stored trace: its end, which tells most."""
LONGEST = 64 << 10
"""Characters that are looked through, on the event loop: an error that quotes a body may be as long as that."""
WORDS = 500
"""Characters of what an instance shows of its last error."""


class Mask:
    """Every form in which a secret may stand in a text becomes ***."""

    def __init__(self, secrets: set[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """Whole texts only."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def trace(self, error: BaseException) -> str:
        """As the stores keep it. It may quote what was sent."""
        return canonical(self("".join(traceback.format_exception(error))[-LONGEST:])[-TRACE:])

    def words(self, error: BaseException) -> str:
        """In one line, for an instance's evidence."""
        return canonical(self(f"{type(error).__name__}: {error}"[:LONGEST]), WORDS)


def _forms(secret: str) -> set[str]:
    """As it is, and as JSON, repr, URLs, base64 and a Standard Webhooks key write it."""
    plain = {secret, secret.strip(), secret.removeprefix("whsec_")}
    once = {
        write(text)
        for text in plain
        for write in (lambda x: x, lambda x: json.dumps(x)[1:-1], lambda x: repr(x)[1:-1], quote, quote_plus, _base64)
    }
    twice = {json.dumps(text)[1:-1] for text in once}  # a repr inside of JSON
    return {form for form in once | twice if len(form) >= SHORTEST}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode().rstrip("=")


def secrets_of(config: Config) -> set[str]:
    """All that the configuration revealed: of the hub, of every instance, and in the store's address."""
    found = {secret.reveal() for secret in _within((config.metrics_token, config.fabric_password))}
    for configured in config.instances:
        found |= {secret.reveal() for secret in _within(configured.settings)}
    password = urlsplit(config.store).password
    return found | ({password} if password else set())


def _within(value: Any) -> Iterator[Secret]:
    """Secrets anywhere in settings."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _within(getattr(value, name))
    elif isinstance(value, dict):
        for each in value.values():
            yield from _within(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _within(each)
