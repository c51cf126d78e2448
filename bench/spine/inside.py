"""A hub in the bench's own process, its pipeline turned by hand: what one batch costs can be counted."""

import logging
from pathlib import Path
from typing import Self

import structlog

from hub.app import Hub, build
from hub.cli.serve import collect_less
from hub.config import load_config
from hub.pipeline import Pipeline


class Inside:
    """A hub whose store and journal run, and nothing else by itself."""

    def __init__(self, file: Path, *, workers: bool = False) -> None:
        self.hub: Hub = build(load_config(file))
        self._workers = workers

    async def __aenter__(self) -> Self:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        await self.hub.open()
        self.hub.intake.start()
        if self._workers:
            self.hub.parsers.start()
        collect_less()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hub.intake.stop()
        await self.hub.close()

    async def drain(self, pipeline: Pipeline) -> None:
        """Until nothing is pending."""
        while await pipeline.batch():
            pass
