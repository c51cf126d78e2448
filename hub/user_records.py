"""What the directory says of a user: organisation, groups, region, contract, language, VIP. Rules and services ask it.

An operation, told who acts; an import calls it for each user of a directory.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from context_store import directory
from context_store.text import canonical
from hub.acting import leave
from hub.rooms import Rooms

COLUMNS = ("language", "vip", "organisation")
TYPED = ("groups", "region", "contract")
MOST = 100
"""Fields of one user."""


async def set_user(hub: Rooms, actor: str, user: int | str, changes: Mapping[str, Any]) -> dict[str, str]:
    """Set what is known of a user; "" or an empty list takes it away. Other names go into `user.fields`."""
    if not changes:
        raise ValueError(f"nothing to set; there are: {', '.join((*COLUMNS, *TYPED))}, and fields of your own")
    await hub.store.write(_set, hub, actor, int(user), changes)
    hub.fabric.wake("events")
    return {"user": str(user)}


def _set(conn: Connection, hub: Rooms, actor: str, user: int, changes: Mapping[str, Any]) -> None:
    record = directory.record_of(conn, user)
    if record is None:
        raise LookupError(f"there is no user {user}")
    set_: dict[str, Any] = {canonical(name, 100): _value(name, value) for name, value in changes.items()}
    was = {name: record.get(name, "") for name in set_}
    record |= set_
    columns: dict[str, Any] = {"language": record.pop("language"), "vip": record.pop("vip")}
    columns["organisation_id"] = _organisation(conn, record.pop("organisation"))
    record = {name: value for name, value in record.items() if value} | {"as_of": hub.clock.now().isoformat()}
    if len(record) > MOST:
        raise ValueError(f"a user has at most {MOST} fields")
    directory.set_record(conn, user, columns | {"fields": msgspec.json.encode(record).decode()})
    leave(conn, hub, "user.set", user, actor, {"was": was, "is": set_})


def _value(name: str, value: Any) -> Any:
    if name == "vip":
        return value is True
    if name == "language":
        return canonical(str(value), 35)
    if name == "groups":
        several = value.split(",") if isinstance(value, str) else value
        return [canonical(str(one).strip(), 100) for one in several if str(one).strip()]
    return canonical(str(value), 500)


def _organisation(conn: Connection, slug: str) -> int | None:
    if not slug:
        return None
    found = directory.organisation_id(conn, slug)
    if found is None:
        raise ValueError(f"there is no organisation {slug}: add it to plugins.toml")
    return found
