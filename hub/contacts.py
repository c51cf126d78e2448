"""A contact that an agent writes down: on disk before anything else, then on the same path as all others."""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime

from context_store import directory
from context_store.text import canonical
from hub.acting import moment
from hub.instances import Instance
from hub.rooms import Rooms
from plugins import Busy, Contact, Envelope, Identity, Malformed, Received

OUTCOMES = ("open", "answered")
PICKED = re.compile(r"(?:[^<>]*<)?(?P<scheme>[a-z][a-z0-9_]{0,31}):(?P<value>[^\s<>][^<>]{0,1000})>?")
"""`Ann Kern <email:ann@acme.test>`, as the console's list and `trunkline user list` write a known user."""


async def record_contact(
    hub: Rooms, actor: str, instance: str, who: str, about: str, text: str = "", outcome: str = "open",
    at: str | datetime | None = None, once: str = "",
) -> dict[str, str]:  # fmt: skip
    """Journal it; when this returns it is on disk, and the query it becomes is named by the receipt.

    `instance` is that of a desk, or a channel which one desk has. `once`: a word of the form that was filled in; the
    same words that come again under it are the same contact.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"the outcome can't be {outcome!r}; there are: {', '.join(OUTCOMES)}")
    desk = _desk(hub.instances, instance)
    contact = Contact(
        key=f"{canonical(actor, 200)} {canonical(once, 100) or secrets.token_urlsafe(18)}",
        agent=canonical(actor, 200), who=canonical(who, 1000), user=await _picked(hub, who), about=canonical(about),
        text=canonical(text), settled=outcome == "answered", at=moment(at),
    )  # fmt: skip
    try:
        envelope: Envelope = desk.connector.contact(contact, hub.clock.now())
    except Malformed as error:
        raise ValueError(str(error)) from error
    received = await _keep(hub, desk.id, envelope)
    return {"receipt": received.receipt, "envelope": str(received.id), "instance": desk.id}


async def _keep(hub: Rooms, instance: str, envelope: Envelope) -> Received:
    """A command without `serve` journals alone; a hub takes it on when it runs."""
    alone = not hub.intake.started
    if alone:
        hub.intake.start()
    try:
        (received,) = await hub.ports[instance].receive(envelope, wait=False)
    except Busy as error:
        raise ValueError(f"nothing was recorded: {error}; try again in a moment") from error
    finally:
        if alone:
            await hub.intake.stop()
    return received


def _desk(instances: Mapping[str, Instance], name: str) -> Instance:
    """The desk of that id, else the first of that channel."""
    desks = [one for one in instances.values() if one.has("counter")]
    for one in sorted(desks, key=lambda each: each.id != name):
        if name in {one.id, one.channel}:
            return one
    if any(one.owes("counter") and name in {one.id, one.kind} for one in instances.values()):
        raise ValueError(f"nothing was recorded: {name} can't run now; try again when its plugin is mended")
    there = ", ".join(f"{one.id} ({one.channel})" for one in desks) or "none"
    raise ValueError(f"there is no desk {name}; there are: {there}")


async def _picked(hub: Rooms, who: str) -> Identity | None:
    """Somebody known, named by scheme and value; None if it is a name or an address. Raises LookupError."""
    named = PICKED.fullmatch(who.strip())
    if named is None:
        return None
    scheme, value = named["scheme"], named["value"].strip()
    if await hub.store.read(directory.find_user, scheme, value) is None:
        raise LookupError(f"nobody is known as {scheme}:{value}: write a name, a mail address or a telephone number")
    return Identity(scheme=scheme, value=value)
