"""`trunkline rules edit`: change a rule where it stands; comments and layout stay, and a bad result changes nothing."""

import tomllib
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hub.cli.access import perform, place
from hub.cli.common import DEFAULT, WELL, CommandError, Common, Usage
from hub.cli.output import as_json, say, visible
from hub.plain import read_plain
from routing.source import MAX_BYTES


def edit(
    rule: Annotated[str, Parameter(help="The rule's name.")],
    changes: Annotated[
        tuple[str, ...],
        Parameter(help="KEY=VALUE sets, KEY= takes away. VALUE is TOML; what is none is a string.", negative=""),
    ] = (),
    /,
    *,
    add: Annotated[bool, Parameter(help="It is a new rule, made of the changes.", negative="")] = False,
    remove: Annotated[bool, Parameter(help="Take the rule out.", negative="")] = False,
    before: Annotated[str | None, Parameter(help='Put it before this rule; "" is the end.')] = None,
    common: Common = DEFAULT,
) -> int:
    """Change a rule and put it in force; shows what has changed.

    trunkline rules edit vpn-outage set.urgency=critical 'when.text.any=["vpn", "anyconnect"]'
    trunkline rules edit vpn-outage set.team=
    trunkline rules edit modem when.text.any=modem set.type=incident --add --before vpn-outage
    trunkline rules edit modem --remove

    Comments and layout stay. A result that the hub would refuse changes nothing, and everything that is wrong with it
    is shown.
    """
    edits = _edits(rule, dict(map(_change, changes)), before, add=add, remove=remove)
    file = place(common).rules
    was = _lines(file)
    done = perform(common, "rules_edit", edits=edits)
    now = _lines(file)
    diff = [line for line in unified_diff(was, now, n=1, lineterm="") if not line.startswith(("---", "+++", "@@"))]
    if common.json:
        as_json({**done, "diff": diff})
        return WELL
    for line in diff:
        say(visible(line), style={"+": "green", "-": "red"}.get(line[0], "dim"))
    say(f"In force: rules {done['rule_set'][:12]}." if diff else "Nothing has changed.", style="bold")
    return WELL


def _edits(rule: str, changes: dict[str, Any], before: str | None, *, add: bool, remove: bool) -> list[dict[str, Any]]:
    if remove:
        if changes or add or before is not None:
            raise Usage("--remove goes alone")
        return [{"do": "remove", "rule": rule}]
    if add:
        table: dict[str, Any] = {"name": rule}
        for key, value in changes.items():
            _put(table, key.split("."), value)
        return [{"do": "add", "table": table, "before": before or ""}]
    edits = [
        {"do": "unset", "rule": rule, "key": key}
        if value is None
        else {"do": "set", "rule": rule, "key": key, "value": value}
        for key, value in changes.items()
    ]
    if before is not None:
        edits.insert(0, {"do": "move", "rule": rule, "before": before})
    if not edits:
        raise Usage("nothing to change: see trunkline rules edit --help")
    return edits


def _change(text: str) -> tuple[str, Any]:
    """None takes the key away."""
    key, equals, written = text.partition("=")
    if not equals or not key:
        raise Usage(f"{visible(text)} is no KEY=VALUE, e.g. set.urgency=high")
    if not written:
        return key, None
    try:
        document = tomllib.loads(f"value = {written}")
    except (ValueError, RecursionError):
        return key, written
    return key, document["value"] if len(document) == 1 else written


def _put(table: dict[str, Any], path: list[str], value: Any) -> None:
    """Into the tables that the dotted key names."""
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise Usage(f"{visible('.'.join(path))}: {visible(part)} has a value already")
    table[path[-1]] = value


def _lines(file: Path) -> list[str]:
    try:
        return read_plain(file, MAX_BYTES).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} can't be read: {error}") from error
