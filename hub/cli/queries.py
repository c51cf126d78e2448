"""`trunkline query …`: read, answer and change queries."""

import errno
import mimetypes
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from sqlalchemy import Connection

from context_store import views
from context_store.references import canonical_reference
from context_store.shapes import ClockView, QueryFilter, QueryView
from hub.cli import lists
from hub.cli.access import perform, reading
from hub.cli.common import DEFAULT, ID, WELL, Absent, CommandError, Common, Limit, Usage
from hub.cli.output import as_json, out, say, size, table, visible, when
from hub.plain import read_plain
from plugins import Media

Channel = Literal["email", "chat", "phone", "social", "portal", "walk-in"]
State = Literal["new", "open", "pending", "on_hold", "resolved", "closed"]
Standing = Literal["active", "any", "new", "open", "pending", "on_hold", "resolved", "closed"]
Type = Literal["incident", "request", "consultation", "complaint", "compliment", "feedback", "unknown"]


def list_(
    *,
    state: Annotated[Standing, Parameter(help="active: not resolved or closed.")] = "active",
    channel: Annotated[Channel | None, Parameter(help="Of this channel only.")] = None,
    team: Annotated[str, Parameter(help="Of this team only, by its slug.")] = "",
    text: Annotated[str, Parameter(help="Subject, user's name or address begins with this.")] = "",
    limit: Limit = 50,
    common: Common = DEFAULT,
) -> int:
    """Queries, the last touched first.

    trunkline query list --team network
    trunkline query list --state any --text "vpn" --json
    """
    wanted = QueryFilter(state="" if state == "any" else state, channel=channel or "", team=team, text=text)
    with reading(common) as conn:
        rows = views.list_queries(conn, wanted, limit=limit)
    if common.json:
        as_json(rows)
    elif rows:
        lists.queries(rows)
    else:
        say("No such queries.")
    return WELL


def show(reference: str, *, common: Common = DEFAULT) -> int:
    """One query: its messages, decisions, tickets and what was sent.

    trunkline query show TL-4F7K2Q
    A reference forgives case, spaces, and O, I, L for 0 and 1.
    """
    with reading(common) as conn:
        found = _view(conn, reference)
    if common.json:
        as_json(found)
        return WELL
    _head(found)
    if found.earlier:
        say("… earlier messages are left out here", style="dim")
    lists.messages(found.messages)
    for offer in lists.offers(found.opinions):
        say(visible(offer), style="dim")
    if found.outbox:
        lists.outbox(found.outbox)
    if found.tickets:
        table(
            ("target", "ticket", "state", "touched"),
            ((row.target, row.ticket or row.ext_id, row.state, when(row.updated_at)) for row in found.tickets),
        )
    for join in found.joins:
        ended = f", ended {when(join.revoked_at)}" if join.revoked_at else ""
        say(visible(f"joined: {join.reference} by {join.via} ({join.author}, {when(join.created_at)}{ended})"))
    return WELL


def reply(
    reference: str,
    text: Annotated[str, Parameter(help='The answer; "-" reads it from standard input.', allow_leading_hyphen=True)],
    *,
    to_message: Annotated[
        int | None, Parameter(help="Answer this message, by its id in --json; else the newest.", validator=ID)
    ] = None,
    internal: Annotated[bool, Parameter(help="A note that only agents see.", negative="")] = False,
    attach: Annotated[
        tuple[Path, ...],
        Parameter(help="A file that goes with it; may be given several times.", negative="", show_default=False),
    ] = (),
    yes: Annotated[
        bool, Parameter(help="Send without asking; needed where there is no terminal.", negative="")
    ] = False,
    common: Common = DEFAULT,
) -> int:
    """Answer the user; says first who would get it.

    trunkline query reply TL-4F7K2Q "It works again. Please try." --yes
    trunkline query reply TL-4F7K2Q - --yes < answer.txt
    trunkline query reply TL-4F7K2Q "The form that you need." --attach form.pdf
    """
    if internal and attach:
        raise Usage("a note takes no files")
    words = sys.stdin.read() if text == "-" else text
    if not words.strip():
        raise CommandError("the answer is empty")
    name, files = _canonical(reference), _files(attach)
    with reading(common) as conn:
        _view(conn, name)
    if internal:
        done = perform(common, "note", reference=name, text=words)
        who = None
    else:
        who = perform(common, "recipient", reference=name, to_message=to_message)
        if not common.json:
            say(visible(f"To {_recipient(who)}"))
            for file in files:
                say(visible(f"   + {file.name} ({file.type}, {size(len(file.data or b''))})"))
        if not yes and not _agreed():
            raise CommandError("nothing was sent: add --yes")
        done = perform(common, "reply", query=name, text=words, to_message=to_message, files=files)
    if common.json:
        as_json({"recipient": who, "result": done})
    else:
        say("Noted." if internal else "Queued. `trunkline query show` tells what became of it.", style="green")
    return WELL


def set_(
    reference: str,
    *,
    state: State | None = None,
    type_: Annotated[Type | None, Parameter(name="type", help="A correction of what the rules said.")] = None,
    service: str | None = None,
    impact: Literal["person", "team", "department", "organisation"] | None = None,
    urgency: Literal["low", "medium", "high", "critical"] | None = None,
    priority: Annotated[str | None, Parameter(help="P1 to P5, and it stays; else the matrix gives it.")] = None,
    value_stream: str | None = None,
    team: Annotated[str | None, Parameter(help='A team\'s slug; "" for none.')] = None,
    assignee: Annotated[str | None, Parameter(help='An agent\'s login; "" for nobody.')] = None,
    tags: Annotated[str | None, Parameter(help='All its tags from now on, between commas; "" for none.')] = None,
    note: Annotated[str, Parameter(help="Why: an internal note beside the change.")] = "",
    common: Common = DEFAULT,
) -> int:
    """Change state, triage, tags, team or assignee.

    trunkline query set TL-4F7K2Q --state resolved
    trunkline query set TL-4F7K2Q --type incident --impact team --note "three people by now"
    trunkline query set TL-4F7K2Q --tags network,vpn

    What stood there before is in the event `query.set`.
    """
    given = {
        "state": state, "type": type_, "service": service, "impact": impact, "urgency": urgency,
        "priority": priority, "value_stream": value_stream, "team": team, "assignee": assignee, "tags": tags,
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes and not note:
        raise Usage("nothing to change: see trunkline query set --help")
    name = _canonical(reference)
    with reading(common) as conn:
        _view(conn, name)
    if changes:
        perform(common, "set_query", reference=name, changes=changes)
    if note:
        perform(common, "note", reference=name, text=note)
    with reading(common) as conn:
        found = _view(conn, name)
    if common.json:
        as_json(found.query)
    else:
        _head(found)
    return WELL


def _files(paths: Sequence[Path]) -> list[Media]:
    """What the socket would not take is not even read; the hub decides about the rest."""
    from hub.files import TOGETHER  # noqa: PLC0415  # whoever only reads must not load the whole hub

    files, left = list[Media](), TOGETHER
    for path in paths:
        try:
            data = read_plain(path, left)
        except OSError as error:
            more = f" ({size(TOGETHER)} go with a reply)" if error.errno == errno.EFBIG else ""
            raise CommandError(f"nothing was sent: {path} can't be attached: {error.strerror}{more}") from error
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        files.append(Media(name=path.name, type=kind, data=data))
        left -= len(data)
    return files


def _canonical(reference: str) -> str:
    name = canonical_reference(reference)
    if name is None:
        raise Absent(f"{visible(reference)} is no reference: one looks like TL-4F7K2Q; its last sign checks the others")
    return name


def _view(conn: Connection, reference: str) -> QueryView:
    root = views.find_query(conn, _canonical(reference))
    found = views.show_query(conn, root) if root is not None else None
    if found is None:
        raise Absent(f"there is no query {visible(reference)}")
    return found


def _head(found: QueryView) -> None:
    row = found.query
    say(visible(f"{row.reference}  {row.subject}"), style="bold")
    rows = (
        ("state", row.state), ("type", row.type), ("priority", row.priority), ("impact", row.impact),
        ("urgency", row.urgency), ("service", row.service), ("value stream", row.value_stream), ("team", row.team),
        ("assignee", row.assignee), ("target", row.target), ("tags", ", ".join(row.tags)),
        ("from", f"{row.person.label} <{row.person.scheme}:{row.person.value}> A{row.person.assurance}"),
        ("came by", f"{row.channel}, {row.instance}"), ("opened", when(row.opened_at)),
        ("touched", when(row.updated_at)), ("not acknowledged", _why_silent(found)),
    )  # fmt: skip
    if found.hold:
        say(visible(f"held as {found.hold.kind}: {found.hold.reason} (`trunkline query let-go {row.reference}`)"),
            style="yellow")  # fmt: skip
    clocks = [(one.promise.replace("_", " "), _clock(one)) for one in found.clocks]
    table(("", ""), [pair for pair in (*rows, *clocks) if pair[1]])


def _why_silent(found: QueryView) -> str:
    """Of its events the newest are here; what is erased says nothing."""
    said = (str(one.body.get("why", "")) for one in found.events if one.kind == "query.not_acknowledged")
    return next(said, "")


def _clock(one: ClockView) -> str:
    if one.ended_at is not None:
        return f"{'late' if one.breached_at else 'in time'}, {when(one.ended_at)}"
    if one.due_at is None:
        return "paused: waits for the user" if one.paused else ""
    return f"{'missed' if one.breached_at else 'due'} {when(one.due_at)}"


def _recipient(who: object) -> str:
    """An identity and an instance, as `recipient` returns them over the socket."""
    if isinstance(who, list | tuple) and len(who) == 2 and isinstance(who[0], dict):
        return f"{who[0].get('scheme')}:{who[0].get('value')} over {who[1]}"
    return str(who)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    return out.input("Send? [y/N] ").strip().lower() in {"y", "yes"}
