"""The log of `serve`: one event a line on standard error, for people at a terminal and as JSON for collectors.

What comes from outside can't forge a line or steer a terminal: control characters are spelt out, in JSON by JSON
itself. Secrets are masked in the finished line, so that it doesn't matter which library said them, or in which field.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hub.cli.output import visible
from hub.config import Config
from hub.mask import Mask, secrets_of

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
    mask = Mask(secrets_of(config))

    def masked(_logger: WrappedLogger, _method: str, line: Any) -> str:
        return mask(str(line))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, masked],
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
