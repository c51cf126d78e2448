"""`trunkline announce …`: what users are told of services while it holds, on the portal, on the phone and in rules."""

from typing import Annotated

from cyclopts import Parameter

from context_store.announcements import announcements
from context_store.times import to_millis
from hub.cli.access import perform, reading
from hub.cli.common import DEFAULT, ID, WELL, Common
from hub.cli.output import as_json, say, table, when
from hub.clock import SystemClock


def add(
    text: Annotated[str, Parameter(help="What users are told.")],
    *,
    service: Annotated[tuple[str, ...], Parameter(help="A service that it is about; may be given again.")] = (),
    major: Annotated[bool, Parameter(help="A major incident stands behind it.", negative="")] = False,
    from_: Annotated[str, Parameter(name="from", help="From when, e.g. 2026-11-21T08:00; else now.")] = "",
    until: Annotated[str, Parameter(help="Until when; else until it is ended.")] = "",
    common: Common = DEFAULT,
) -> int:
    """Tell users something.

    trunkline announce add "The VPN is down. We are on it." --service remote-access --major
    trunkline announce add "Mail will be away." --service mail --from 2026-11-21T20:00 --until 2026-11-21T22:00
    """
    done = perform(
        common, "announce", text=text, services=list(service), major=major, from_at=from_, until_at=until
    )  # fmt: skip
    if common.json:
        as_json(done)
    else:
        say(f"Announced. `trunkline announce end {done['id']}` ends it.", style="green")
    return WELL


def list_(
    *,
    past: Annotated[bool, Parameter(name="all", help="Also those that are over or to come.", negative="")] = False,
    common: Common = DEFAULT,
) -> int:
    """Announcements in force.

    trunkline announce list --all
    """
    with reading(common) as conn:
        found = announcements(conn, to_millis(SystemClock().now()), past=past)
    if common.json:
        as_json(found)
    elif found:
        table(
            ("id", "text", "services", "", "from", "until"),
            (
                (
                    one.id, one.text, ", ".join(one.services), "major incident" if one.major else "",
                    when(one.from_at), when(one.until_at) if one.until_at else "",
                )
                for one in found
            ),
            wide="text",
        )  # fmt: skip
    else:
        say("No announcement is in force.")
    return WELL


def end(
    number: Annotated[int, Parameter(help="Its id in `announce list`.", validator=ID)], *, common: Common = DEFAULT
) -> int:
    """It is over now.

    trunkline announce end 123456789
    """
    done = perform(common, "end_announcement", number=number)
    if common.json:
        as_json(done)
    else:
        say("Ended.", style="green")
    return WELL
