"""The log of `serve`: one event a line on standard error, for people at a terminal and as JSON for collectors.

What comes from outside can't forge a line or steer a terminal: control characters are spelt out, in JSON by JSON
itself. Secrets are masked in the finished line, so that it doesn't matter which library said them, or in which field.
"""

import base64
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hub.cli.output import visible
from hub.config import Config
from plugins import Secret

MASK = "***"
SHORTEST = 4
"""A shorter secret is not looked for: it would black out ordinary words, and protects nothing."""
_LONG = ("exception", "stack", "stack_info")
"""Fields of several lines; each line is marked, so that none can be taken for an event of its own."""


def configure(config: Config, *, as_json: bool) -> None:
    """For the whole process; called once, by `serve`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # format_exc_info: rich's tracebacks would print local variables, and so mails and passwords
    last: list[Processor] = [structlog.processors.format_exc_info]
    if as_json:
        last.append(structlog.processors.JSONRenderer())
    else:
        last += [_harmless, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, Mask(secrets_of(config))],
        )
    )
    for chatty in ("alembic", "mail"):  # aiosmtpd logs every command to "mail.log", addresses and all
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For a terminal: what is no text is shown by its repr there, which spells control characters out itself."""
    for name, value in event.items():
        if not isinstance(value, str):
            continue
        if name in _LONG:
            event[name] = "\n".join(f"  | {visible(line)}" for line in value.split("\n"))
        else:
            event[name] = visible(value)
    return event


class Mask:
    """Every form in which a secret may stand in a finished line becomes ***."""

    def __init__(self, secrets: set[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, logger: WrappedLogger, method: str, line: Any) -> str:
        """A processor after the renderer."""
        return str(line) if self._pattern is None else self._pattern.sub(MASK, str(line))


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
