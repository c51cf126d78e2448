"""The `[[example]]` tables: messages with what should become of them, run as the file's tests at every load."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from plugins import canonical_email
from plugins.settings import choices, in_words
from routing.decide import decide
from routing.explain import check_in_words, explain
from routing.facts import Attachment, Facts, History, Person, Sender
from routing.fields import FIELDS
from routing.matrix import Impact, Priority, Urgency
from routing.model import Decision, QueryType, RuleSet
from routing.places import Report

_SHOWN = 40


class ExampleMessage(Struct, frozen=True, kw_only=True):
    """What an example may say of a message; the rest is missing."""

    channel: str | None = None
    instance: str | None = None
    direction: str = "in"
    kind: str | None = None
    subject: str | None = None
    text: str | None = None
    """The new part of the body (`Facts.body`)."""
    quoted: str | None = None
    sender: str | Sender | None = None
    """A string is the address."""
    assurance: int | None = None
    attachments: tuple[Attachment, ...] | None = None
    automatic: str | None = None
    language: str | None = None
    fields: Mapping[str, str] = {}
    tags: tuple[str, ...] | None = None
    at: datetime | None = None
    recipients: tuple[str, ...] | None = None
    service: str | None = None
    history: History | None = None
    announced: tuple[str, ...] | None = None
    major_incidents: tuple[str, ...] | None = None


class Expected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What should become of it; what is not named is not compared."""

    rule: str | None = None
    """The first rule that set the type, or `default`."""
    type: QueryType | None = None
    service: str | None = None
    impact: Impact | None = None
    urgency: Urgency | None = None
    priority: Priority | None = None
    value_stream: str | None = None
    team: str | None = None
    target: str | None = None
    tags: tuple[str, ...] | None = None
    """At least these."""
    language: str | None = None
    hold: str | None = None
    acknowledgement: str | None = None
    article: str | None = None
    park: str | None = None
    spam: bool | None = None


class Example(Struct, frozen=True, kw_only=True):
    """One `[[example]]`."""

    facts: Facts
    expect: Expected


_WORDS: Mapping[str, tuple[str, ...]] = {
    **{name: FIELDS[name].allowed for name in ("channel", "direction", "kind")},
    "automatic": ("", *FIELDS["automatic_kind"].allowed),  # "": a person wrote it
}
"""What no message can be but one of: an example of another would hold, and say nothing of what comes."""
_PARTS: Mapping[str, type[Struct]] = {"message": ExampleMessage, "user": Person, "expect": Expected}


def read_example(table: Any, report: Report) -> Example | None:
    """None where something is wrong with it, which is reported."""
    if not isinstance(table, dict):
        report("", "expected a table", "write [[example]]")
        return None
    sound = True
    for key in table.keys() - {*_PARTS, "note"}:
        report(key, "unknown key", f"allowed: {', '.join((*_PARTS, 'note'))}")
        sound = False
    for key in ("message", "expect"):
        if not table.get(key):
            report(key, "missing", f"allowed in it: {', '.join(_PARTS[key].__struct_fields__)}")
            sound = False
    for key, kind in _PARTS.items():
        sound = _check(table.get(key, {}), kind, key, report) and sound
    return _example(table) if sound else None


def _check(table: Any, kind: type[Struct], path: str, report: Report) -> bool:
    """Key by key, because msgspec stops at the first error of a table."""
    if not isinstance(table, dict):
        report(path, "expected a table", f"allowed in it: {', '.join(kind.__struct_fields__)}")
        return False
    sound = True
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in table.items():
        if key not in types:
            report(f"{path}.{key}", "unknown key", f"allowed: {', '.join(types)}")
            sound = False
            continue
        try:
            msgspec.convert(value, types[key])
        except msgspec.ValidationError as error:
            inside = str(error).partition(" - at `$")[2].rstrip("`")
            report(f"{path}.{key}{inside}", *_wrong(types[key], value, error, inside))
            sound = False
            continue
        words = _WORDS.get(key) if kind is ExampleMessage else None
        if words and value is not None and value not in words:
            report(f"{path}.{key}", f"unknown value {value!r}", f"allowed: {', '.join(filter(None, words))}")
            sound = False
    return sound


def _wrong(kind: Any, value: Any, error: msgspec.ValidationError, inside: str) -> tuple[str, str]:
    """What is wrong and what is allowed; of something inside a table or list, msgspec's words alone know what."""
    if inside:
        return str(error).partition(" - at")[0], ""
    shown = f", not {value!r}" if isinstance(value, str | int) and len(str(value)) <= _SHOWN else ""
    return f"expected {in_words(kind)}{shown}", choices(kind, value)


def _example(table: Mapping[str, Any]) -> Example:
    message = msgspec.convert(table["message"], ExampleMessage)
    said = {field: getattr(message, field) for field in message.__struct_fields__ if field not in {"text", "sender"}}
    sender = Sender(address=message.sender) if isinstance(message.sender, str) else message.sender
    if sender and sender.address:
        sender = msgspec.structs.replace(sender, address=canonical_email(sender.address))
    if message.recipients:
        said["recipients"] = tuple(map(canonical_email, message.recipients))
    user = msgspec.convert(table["user"], Person) if "user" in table else None
    facts = Facts(**said, body=message.text, sender=sender, user=user)
    return Example(facts=facts, expect=msgspec.convert(table["expect"], Expected))


def run_example(rules: RuleSet, example: Example, report: Report) -> None:
    """Reports each expectation that is not met, with the rules that did it instead."""
    decision = decide(rules, example.facts)
    for field, wanted in msgspec.structs.asdict(example.expect).items():
        got = _result(decision, field)
        met = set(wanted or ()) <= set(got or ()) if field == "tags" else wanted == got
        if wanted is not None and not met:
            by = decision.set_by.get(field)
            report(f"expect.{field}", f"expected {_show(wanted)}, got {_show(got)}" + (f" (set by {by})" if by else ""),
                   _hint(rules, example, field, wanted))  # fmt: skip


def _result(decision: Decision, field: str) -> Any:
    return decision.set_by["type"] if field == "rule" else getattr(decision.outcome, field)


def _hint(rules: RuleSet, example: Example, field: str, wanted: Any) -> str:
    """Why the rule that was named did not match: the administrator's next question."""
    if field != "rule" or wanted == rules.default.name:
        return ""
    trace = explain(rules, example.facts, only=wanted).rules[0]
    failed = [check for check in trace.conditions if check.outcome != "true"]
    if not failed:
        return f"{trace.stopped_by} stopped before it" if trace.stopped_by else "it matched, but an earlier rule set it"
    return "; ".join(check_in_words(check) for check in failed)


def _show(value: Any) -> str:
    return "nothing" if value is None else ", ".join(value) or "none" if isinstance(value, tuple) else repr(value)
