"""Edits of rules.toml by program: comments and layout stay, and what comes out is checked before it is written.

A remark belongs into a rule's `note`: a comment above a rule is the end of the rule before, and goes where that goes.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hub.acting import leave
from hub.config import Config
from hub.rooms import Rooms
from hub.rules import checked, source_of
from routing import RuleSet

MOST = 100
"""Edits at once."""


async def rules_edit(hub: Rooms, actor: str, edits: Sequence[Mapping[str, Any]], expected: str = "") -> dict[str, str]:
    """Change the rules and put them in force on all nodes; nothing changes if the file would be refused.

    `expected` is the hash of the rule set that the editor has seen: another one is refused. Raises BadConfig with all
    problems, ValueError for an edit that makes no sense.
    """
    from hub.rules_text import edited  # noqa: PLC0415  its library is loaded when somebody edits

    rules = hub.rules
    if expected and expected != rules.current.hash:
        raise ValueError("the rules have changed meanwhile: look again")
    if not 0 < len(edits) <= MOST:
        raise ValueError(f"expected 1 to {MOST} edits")
    path = hub.config.rules
    before = rules.current
    if await asyncio.to_thread(source_of, path) != before.source:
        raise ValueError(f"{path.name} is not what is in force here: mend it first")
    text = await asyncio.to_thread(edited, before.source.decode(), edits)
    await asyncio.to_thread(_write, path, text, hub.config, before)
    taken = await rules.publish(text, f"agent:{actor}")
    body = {"was": before.hash, "is": taken.hash, "edits": [dict(one) for one in edits]}
    await hub.store.write(leave, hub, "rules.edited", 0, actor, body)
    hub.fabric.wake("events")
    return {"rule_set": taken.hash}


def _write(path: Path, text: str, config: Config, before: RuleSet) -> None:
    """Checked first, and written beside the file that a link leads to: it is the old one or the new one, whole."""
    checked(text.encode(), path.name, config, before)
    path = path.resolve()
    beside = path.with_name(f".{path.name}.new")
    try:
        try:
            beside.write_text(text, encoding="utf-8", newline="")
            os.chmod(beside, path.stat().st_mode & 0o777)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        what = f"{path.name} can't be written: {error.strerror}"
        fix = f"let the hub write in {path.parent} (ReadWritePaths= in its unit), or edit the file yourself"
        raise ValueError(f"{what}; {fix}") from error
