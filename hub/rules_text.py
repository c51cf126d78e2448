"""A rules file as text that is edited: comments and layout stay. Loaded when somebody edits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

DOES = {
    "add": ("table", "before"),
    "set": ("rule", "key", "value"),
    "unset": ("rule", "key"),
    "move": ("rule", "before"),
    "remove": ("rule",),
    "example": ("table",),
}
"""What an edit does → what it needs. `before` "" is the end."""
DOTTED = ("when", "set")


def edited(source: str, edits: Sequence[Mapping[str, Any]]) -> str:
    """The file with the edits in their order. Raises ValueError."""
    try:
        document = tomlkit.parse(source)
        for number, one in enumerate(edits, 1):
            _edit(document, one, number)
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ValueError(f"the edit can't be written as TOML: {error}") from error


def _edit(document: tomlkit.TOMLDocument, one: Mapping[str, Any], number: int) -> None:
    does = one.get("do")
    if does not in DOES:
        raise ValueError(f"edit {number}: there is no {does!r} to do; there are: {', '.join(DOES)}")
    if strange := one.keys() - {"do", *DOES[does]}:
        raise ValueError(f"edit {number}: unknown {', '.join(sorted(strange))}; {does} takes {', '.join(DOES[does])}")
    if does == "example":
        _tables(document, "example").append(_table(one.get("table"), number))
        return
    rules = _tables(document, "rule")
    if does == "add":
        _insert(rules, _table(one.get("table"), number), one.get("before", ""), number)
        return
    at = _find(rules, one.get("rule"), number)
    if does == "remove":
        del rules[at]
    elif does == "move":
        moved = rules[at]
        del rules[at]
        _insert(rules, moved, one.get("before", ""), number)
    else:
        _set(rules[at], str(one.get("key", "")), one.get("value"), number, unset=does == "unset")


def _tables(document: tomlkit.TOMLDocument, name: str) -> AoT:
    if name not in document:
        document.append(name, tomlkit.aot())
    found = document[name]
    if not isinstance(found, AoT):
        raise ValueError(f"{name} is no list of tables")  # noqa: TRY004  words for the agent
    return found


def _table(given: Any, number: int) -> Table:
    """Written as people write it, with dotted keys for `when` and `set`, and read again."""
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"edit {number}: table is missing")
    lines = [f"{key} = {tomlkit.item(value).as_string()}" for key, value in _flat(given)]
    found: Any = tomlkit.parse("\n".join(("[[one]]", *lines, "", "")))["one"]
    return cast("Table", found[0])


def _flat(given: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        key = prefix + tomlkit.key(name).as_string()
        if isinstance(value, Mapping) and value and (depth or name in DOTTED):
            yield from _flat(value, f"{key}.", depth + 1)
        else:
            yield key, _inline(value)


def _inline(value: Any) -> Any:
    """Tables in lists stand in a line."""
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({name: _inline(each) for name, each in value.items()})
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(map(_inline, value))
        return array
    return value


def _insert(rules: AoT, table: Table, before: Any, number: int) -> None:
    if before:
        rules.insert(_find(rules, before, number), table)
    else:
        rules.append(table)


def _find(rules: AoT, name: Any, number: int) -> int:
    for at, rule in enumerate(rules):
        if rule.get("name") == name:
            return at
    raise ValueError(f"edit {number}: there is no rule {name!r}")


def _set(rule: Table, key: str, value: Any, number: int, *, unset: bool) -> None:
    parts = key.split(".")
    if not all(parts):
        raise ValueError(f"edit {number}: {key!r} is no key")
    table: Any = rule
    for part in parts[:-1]:
        if part not in table:
            if unset:
                return
            table[part] = tomlkit.inline_table() if table is not rule else tomlkit.table(is_super_table=True)
        table = table[part]
        if not isinstance(table, Mapping):
            raise ValueError(f"edit {number}: {part} is no table")  # noqa: TRY004  as above
    if unset:
        table.pop(parts[-1], None)
    else:
        table[parts[-1]] = value
