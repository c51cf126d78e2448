"""Tables and blocks that several commands print."""

from collections.abc import Iterable

from context_store.opinions import Opinion
from context_store.shapes import MessageView, OutboxView, QueryRow
from hub.cli.output import minute, say, size, table, visible, when

STANDING = {"": "", "claimed": "claimed", "third_party": "unverified third party"}


def queries(rows: Iterable[QueryRow]) -> None:
    """One line a query."""
    table(
        ("reference", "state", "prio", "type", "channel", "who", "subject", "team", "touched"),
        (
            (
                row.reference,
                row.state,
                row.priority,
                row.type,
                row.channel,
                row.person.label,
                row.subject,
                row.team,
                minute(row.updated_at),
            )
            for row in rows
        ),
        wide="subject",
        less={"type", "channel", "team"},
    )


def messages(rows: Iterable[MessageView]) -> None:
    """Each with its head, its text indented and its attachments; folds are marked, never left out."""
    for row in rows:
        arrow = "<-" if row.direction == "in" else "->"
        marks = [f"A{row.assurance}", STANDING.get(row.standing, row.standing), row.automatic, row.delivery]
        marks += [] if not row.deleted_at else ["deleted at its source"]
        head = f"{arrow} {when(row.at)}  {row.channel}/{row.instance}  {row.author or row.person.label}"
        say(visible(f"{head}  {row.reference}  [{', '.join(mark for mark in marks if mark)}]"), style="bold")
        if row.subject:
            say(visible(f"   {row.subject}"), style="italic")
        for line in visible(_marked(row), lines=True).splitlines():
            say(f"   {line}")
        for each in row.attachments:
            say(visible(f"   + {each.name or 'attachment'} ({each.type}, {size(each.size)})"), style="dim")
        say("")


def _marked(row: MessageView) -> str:
    """The text with a line before and after each part that the console would fold."""
    pieces, at = list[str](), 0
    for fold in sorted(row.folds, key=lambda each: each.start):
        if at <= fold.start < fold.end <= len(row.text):
            pieces += [row.text[at : fold.start], f"\n[{fold.kind}]\n", row.text[fold.start : fold.end], "\n[end]\n"]
            at = fold.end
    pieces.append(row.text[at:])
    return "".join(pieces).strip("\n")


def outbox(rows: Iterable[OutboxView]) -> None:
    """What was sent or changed, or waits."""
    table(
        ("id", "kind", "destination", "state", "tries", "cause", "made", "next or settled"),
        (
            (
                row.id,
                row.kind,
                row.destination,
                row.state + (" (maybe twice)" if row.maybe_duplicate else ""),
                row.attempts,
                row.cause,
                minute(row.created_at),
                minute(row.settled_at or row.due_at),
            )
            for row in rows
        ),
        wide="cause",
        less={"tries", "made"},
    )


def offers(opinions: Iterable[Opinion]) -> list[str]:
    """What the classifier suggested beside the newest decision that it has seen: it sets nothing."""
    newest = next((opinion.offers for opinion in opinions if opinion.offers), {})
    return [
        f"earlier ones like it: {field} {offer.label}, {offer.confidence:.0%} sure"
        + (f" ({', '.join(offer.because)})" if offer.because else "")
        for field, offer in newest.items()
    ]
