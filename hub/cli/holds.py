"""`trunkline query held|hold|let-go|send`: queries that rules or agents have stopped, and what becomes of them."""

from typing import Annotated, Literal

from cyclopts import Parameter

from context_store import holds
from hub.cli.access import perform, reading
from hub.cli.common import DEFAULT, WELL, Common
from hub.cli.output import as_json, say, table, visible, when


def held(*, common: Common = DEFAULT) -> int:
    """Queries that wait for a person before they go on, the oldest first.

    trunkline query held
    """
    with reading(common) as conn:
        rows = holds.held(conn)
    if common.json:
        as_json(rows)
    elif rows:
        table(
            ("query", "subject", "held as", "why", "by", "since"),
            ((row.reference, row.subject, row.kind, row.reason, row.author, when(row.at)) for row in rows),
            wide="why",
        )
    else:
        say("Nothing is held.")
    return WELL


def let_go(
    reference: str,
    *,
    target: Annotated[str, Parameter(help="To this target instead of the one that the rules named.")] = "",
    common: Common = DEFAULT,
) -> int:
    """A held query goes on: dispatched, and acknowledged if it was not.

    trunkline query let-go TL-4F7K2Q
    """
    done = perform(common, "let_go", reference=reference, target=target)
    return _told(common, done, f"{done['reference']} goes on to {done['target']}.")


def hold(
    reference: str,
    kind: Annotated[
        Literal["hold", "park", "spam"],
        Parameter(help="hold: needs validation; park: needs a look; spam: closed as well."),
    ],
    *,
    why: Annotated[str, Parameter(help="What the next agent should know.")] = "",
    common: Common = DEFAULT,
) -> int:
    """Stop a query; `let-go` undoes it.

    trunkline query hold TL-4F7K2Q spam
    """
    done = perform(common, "hold_back", reference=reference, kind=kind, why=why)
    return _told(common, done, f"{done['reference']} is held as {kind}.")


def send(reference: str, target: str, *, common: Common = DEFAULT) -> int:
    """Another target works on it from now on.

    trunkline query send TL-4F7K2Q zammad
    """
    done = perform(common, "send_to", reference=reference, target=target)
    return _told(common, done, f"{done['reference']} goes to {done['target']}.")


def _told(common: Common, done: object, words: str) -> int:
    if common.json:
        as_json(done)
    else:
        say(visible(words), style="green")
    return WELL
