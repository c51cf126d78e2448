"""A second evaluator, naive on purpose: it reads the TOML document itself and shares no code with `routing`.

Its domain is what `strategies` generates: ASCII words separated by single spaces, or Han without spaces.
"""

import re

LISTS = {"one": ["vpn", "acme", "g1"], "two": ["down", "other.test", "g2"]}


def value_of(message, path):
    subject, body = message.get("subject"), message.get("body")
    simple = {
        "text": "\n".join(filter(None, [subject, body])) or None,
        "sender.domain": (message.get("sender") or "").partition("@")[2] or None,
        "sender.address": message.get("sender"),
        "user.organisation": message.get("organisation"),
        "user.groups": message.get("groups"),
        "history.open_queries": message.get("open_queries"),
        "history.contacts": message.get("contacts"),
    }
    if path in simple:
        return simple[path]
    if path.startswith("fields."):
        return message.get("fields", {}).get(path[len("fields.") :])
    return message.get(path)


def word_in(word, text):
    if not word.isascii():
        return word in text
    return re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}(?![a-z0-9])", text.lower()) is not None


def leaf(message, path, operator, wanted):
    value = value_of(message, path)
    if value is None or value == "":
        return False
    if path == "history.contacts":
        days, low, high = (wanted.get(key) for key in ("days", "min", "max"))
        count = sum(value[:days])
        return len(value) >= days and (low is None or count >= low) and (high is None or count <= high)
    if operator == "min":
        return value >= wanted
    if operator == "max":
        return value <= wanted
    if operator == "matches":
        return re.search(wanted, value) is not None
    if isinstance(wanted, bool):
        return value is wanted
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if operator == "is":
        return value.lower() in [each.lower() for each in wanted]
    if operator == "in":
        operator, wanted = "any", [each for name in wanted for each in LISTS[name]]
        if isinstance(value, str) and path not in {"text", "subject"}:
            return value.lower() in wanted
    hits = [each in value if isinstance(value, list) else word_in(each, value) for each in wanted]
    return {"any": any(hits), "all": all(hits), "none": not any(hits)}[operator]


def field(message, path, value):
    if path == "history.contacts":
        return leaf(message, path, "", value)
    if path in {"sender", "user", "fields", "history"}:
        return all(field(message, f"{path}.{key}", inner) for key, inner in value.items())
    if not isinstance(value, dict):
        value = {"any" if path in {"user.groups", "tags"} else "is": value}
    return all(leaf(message, path, operator, wanted) for operator, wanted in value.items())


def table(message, conditions):
    def holds(key, value):
        if key == "not":
            return not table(message, value)
        if key == "any":
            return any(table(message, inner) for inner in value)
        if key == "all":
            return all(table(message, inner) for inner in value)
        if key == "missing":
            return all(value_of(message, path) in (None, "") for path in value)
        return field(message, key, value)

    return all(holds(key, value) for key, value in conditions.items())


def judge(document, message):
    """(names of the rules that matched, field → (value, setter))."""
    matched, outcome = [], {}
    for rule in document["rule"]:
        asks_direction = "direction" in str(rule["when"])
        if table(message, rule["when"]) and (asks_direction or message.get("direction", "in") == "in"):
            matched.append(rule["name"])
            take(outcome, rule["set"], rule["name"])
            if rule.get("stop"):
                break
    take(outcome, document["default"]["set"], "default")
    if "priority" not in outcome:
        outcome["priority"] = (document["matrix"][outcome["impact"][0]][outcome["urgency"][0]], "matrix")
    return matched, outcome


def take(outcome, sets, setter):
    for name, value in sets.items():
        if name == "tags":
            for tag in value:
                outcome.setdefault(f"tags.{tag}", (tag, setter))
        else:
            outcome.setdefault(name, (value, setter))
