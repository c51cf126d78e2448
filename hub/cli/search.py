"""`trunkline search`: messages by their words."""

from typing import Annotated

from cyclopts import Parameter

from context_store import search as found_in
from hub.cli.access import reading
from hub.cli.common import DEFAULT, ID, WELL, Common, Limit
from hub.cli.output import as_json, minute, say, table


def search(
    *words: Annotated[str, Parameter(help='All must be in the message; "prin*" last: a beginning.')],
    before: Annotated[int | None, Parameter(help="Older than this message, by its id in --json.", validator=ID)] = None,
    limit: Limit = 50,
    common: Common = DEFAULT,
) -> int:
    """Messages that have all the words, the newest first.

    trunkline search vpn drops
    trunkline search "invoice prin*" --json
    Case, accents and width don't matter. Names of attachments, names and addresses are searched too.
    """
    with reading(common) as conn:
        hits = found_in.search(conn, " ".join(words), before, limit)
    if common.json:
        as_json(hits)
    elif hits:
        table(
            ("query", "when", "channel", "who", "subject", "text"),
            (
                (hit.reference, minute(hit.recorded_at), hit.channel, hit.writer, hit.subject, hit.excerpt)
                for hit in hits
            ),
            wide="text",
            less={"channel"},
        )
        if len(hits) == limit:
            say("… older ones are left out here: --limit", style="dim")
    else:
        say("No such messages.")
    return WELL
