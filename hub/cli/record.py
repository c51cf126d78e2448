"""`trunkline record`: what an agent writes down of somebody who came or rang."""

import sys
import time
from typing import Annotated, Literal

from cyclopts import Parameter

from context_store import evidence, views
from hub.cli.access import answers, perform, place, reading
from hub.cli.common import DEFAULT, UNWELL, WELL, Common
from hub.cli.output import as_json, err, say, visible

PATIENCE, LOOK = 20.0, 0.05
"""Seconds in which a running hub has a query of it, and between two looks."""


def record(
    who: Annotated[str, Parameter(help="A name, a mail address, a telephone number, or a known user as scheme:value.")],
    about: Annotated[str, Parameter(help="What it is about, in a line.")],
    *,
    text: Annotated[
        str, Parameter(help='What was said; "-" reads it from standard input.', allow_leading_hyphen=True)
    ] = "",
    through: Annotated[str, Parameter(help="The desk: an instance, or walk-in or phone.")] = "walk-in",
    outcome: Annotated[Literal["open", "answered"], Parameter(help="answered: settled on the spot.")] = "open",
    at: Annotated[str, Parameter(help="When it was, with its zone, if not now.")] = "",
    common: Common = DEFAULT,
) -> int:
    """Write down who came or rang, about what, and how it ended.

    Waits, and says which query it became.

    trunkline record "Ann Kern <ann@acme.test>" "VPN down"
    trunkline record +41441234567 "New badge" --through phone --outcome answered
    """
    words = sys.stdin.read() if text == "-" else text
    done = perform(common, "record_contact", instance=through, who=who, about=about, text=words, outcome=outcome, at=at)
    receipt = done["receipt"]
    served = answers(place(common).data / "trunkline.sock")
    state, reference = _wait(common, receipt) if served else ("pending", "")
    with reading(common) as conn:
        root = views.find_query(conn, reference) if reference else None
        found = views.show_query(conn, root) if root is not None else None
    if common.json:
        as_json({"receipt": receipt, "state": state, "reference": reference, "query": found.query if found else None})
    elif found:
        row = found.query
        triage = " ".join(word for word in (row.priority, row.type, row.service, row.team, row.state) if word)
        say(visible(f"{row.reference}  {row.subject}"), style="bold")
        say(visible(triage))
    else:
        why = {"parked": "it is parked: see trunkline parked list"}.get(state, "it becomes a query when the hub runs")
        say(f"Recorded as {receipt}; {why}.")
    return UNWELL if state == "parked" else WELL


def _wait(common: Common, receipt: str) -> tuple[str, str]:
    """(state, reference) once it is processed, or as it stands when patience ends."""
    ends = time.monotonic() + PATIENCE
    with err.status("Waiting for its query"):
        while True:
            with reading(common) as conn:
                found = evidence.receipt(conn, receipt) or ("pending", "")
            if found[0] != "pending" or time.monotonic() > ends:
                return found
            time.sleep(LOOK)
