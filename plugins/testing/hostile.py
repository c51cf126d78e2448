"""What arrives in the worst case: every connector is held against all of it."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from plugins.model import Envelope, Request

_ODD_PLACES = (
    ("../../etc/passwd", ""),
    ("\0", "%00=%00"),
    ("\udcff/\u2028", "%FF%FE=%C3%28&a[]=1;b"),
    ("a" * 10_000, "a" * 10_000),
    ("/" * 1000, "&" * 3000 + "a=1&" * 3000),
)
"""Tails with their queries: longer, odder and more of them than any source has."""
ODD_TEXTS = (
    "<p>&#" + "9" * 5_000 + ";</p>",
    "9" * 5_000,
    "\u0663",
    "1e400",
    "https://[",
    "@[x]:9\u0663",
    "9999-12-31T23:59:59-14:00",
    "\0\u202e",
)
"""What reads well as text and trips those who make a number, a time, an address or markup of it."""
_HUGE = 1 << 20  # bytes: enough to show a loop that is not linear, small enough for a quick suite


def bodies(sample: bytes = b"") -> Iterator[tuple[str, bytes]]:
    """Named bodies: generic ones, then `sample` cut, doubled, mis-encoded and with wrong types inside."""
    yield "empty", b""
    yield "one NUL", b"\0"
    yield "NULs", b"\0" * 4096
    yield "bad UTF-8", b"\xff\xfe\xc3\x28\xed\xa0\x80"
    yield "UTF-16", '{"text": "a"}'.encode("utf-16")
    yield "huge text", b"a" * _HUGE
    yield "huge JSON string", b'"' + b"a" * _HUGE + b'"'
    yield "nested lists", b"[" * 100_000
    yield "nested objects", b'{"a":' * 100_000
    yield "closed nesting", b"[" * 5_000 + b"]" * 5_000
    yield "wide list", b"[" + b"0," * 100_000 + b"0]"
    yield "huge number", b'{"id": 1' + b"0" * 5_000 + b"}"
    yield "no number", b'{"id": NaN, "at": Infinity}'
    yield "lone surrogate", b'{"text": "\\ud800", "id": "\\udfff"}'
    for scalar in (b"null", b"true", b"0", b"-1", b'""', b"[]", b"{}", b"[[]]", b"[{}]", b"[null]"):
        yield f"JSON {scalar.decode()}", scalar
    if sample:
        yield "half", sample[: len(sample) // 2]
        yield "all but the last byte", sample[:-1]
        yield "twice", sample * 2
        yield "NUL inside", sample[: len(sample) // 2] + b"\0" + sample[len(sample) // 2 :]
        yield "bad byte inside", sample[: len(sample) // 2] + b"\xff" + sample[len(sample) // 2 :]
        yield from _wrong_types(sample)
        yield from _odd_texts(sample)


def _wrong_types(sample: bytes) -> Iterator[tuple[str, bytes]]:
    """Each top-level value of a JSON object replaced by each other type and by odd text, or left out."""
    try:
        told = json.loads(sample)
    except ValueError:
        return
    if not isinstance(told, dict):
        return
    odd: list[object] = [
        None,
        True,
        0,
        -1,
        2**70,
        1.5,
        "",
        "\0",
        "\ud800",
        "a" * 20_000,
        "9999-12-31T23:59:59-14:00",
        [],
        {},
        [None],
    ]
    for name in told:
        yield f"without {name}", json.dumps({key: value for key, value in told.items() if key != name}).encode()
        for number, value in enumerate(odd):
            yield f"{name} as odd value {number}", json.dumps({**told, name: value}).encode()


def _odd_texts(sample: bytes) -> Iterator[tuple[str, bytes]]:
    """Each text of a JSON document or a form, however deep it stands, replaced by what a stranger may write there."""
    packed: Callable[[Any], str] = json.dumps
    try:
        told = json.loads(sample)
    except ValueError:
        told, packed = dict(parse_qsl(sample.decode("utf-8", "replace"), keep_blank_values=True)), urlencode
    for place in list(_texts(told)):
        for number, odd in enumerate(ODD_TEXTS):
            yield f"odd text {number} at {'.'.join(map(str, place))}", packed(_with(told, place, odd)).encode()


def _texts(told: Any) -> Iterator[tuple[Any, ...]]:
    """Where texts stand."""
    if isinstance(told, str):
        yield ()
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for name, value in inner:
        yield from ((name, *rest) for rest in _texts(value))


def _with(told: Any, place: tuple[Any, ...], odd: str) -> Any:
    if not place:
        return odd
    changed = told.copy()
    changed[place[0]] = _with(told[place[0]], place[1:], odd)
    return changed


def envelopes(sample: Envelope) -> Iterator[tuple[str, Envelope]]:
    """The sample with every hostile body, and with facts missing, odd and huge."""
    for name, body in bodies(sample.raw):
        yield name, msgspec.structs.replace(sample, raw=body)
    yield "no facts", msgspec.structs.replace(sample, facts={})
    for fact in sample.facts:
        for number, value in enumerate(("", "\0", "a" * 100_000)):
            yield f"fact {fact} odd {number}", msgspec.structs.replace(sample, facts={**sample.facts, fact: value})


def requests(sample: Request) -> Iterator[tuple[str, Request]]:
    """The sample with every hostile body, header by header broken, with other methods, and asked for elsewhere."""
    for name, body in bodies(sample.body):
        yield name, msgspec.structs.replace(sample, body=body)
    yield "no headers", msgspec.structs.replace(sample, headers={})
    for method in ("GET", "PUT", "\0", ""):
        yield f"method {method!r}", msgspec.structs.replace(sample, method=method)
    for header, value in sample.headers.items():
        for number, odd in enumerate(_odd_headers(value)):
            yield f"{header} odd {number}", msgspec.structs.replace(sample, headers={**sample.headers, header: odd})
    base = sample.url.partition("?")[0]
    for number, (tail, query) in enumerate(_ODD_PLACES):
        url = f"{base}{quote(tail, errors='replace')}?{query}"
        for method in (sample.method, "GET"):
            yield f"place {number}", msgspec.structs.replace(sample, method=method, url=url, tail=tail)


def forged(sample: Request, signature: str, *, timed: bool, whole: bool = True) -> Iterator[tuple[str, Request]]:
    """Requests that a genuine one turns into when it is forged; `signature` names the signing header.

    `timed`: the scheme signs a timestamp, so the same bytes an hour away are refused too. `whole`: it signs the body.
    """

    def other(name: str, **changes: object) -> tuple[str, Request]:
        return name, msgspec.structs.replace(sample, **changes)

    value = sample.headers[signature]
    rest = {name: each for name, each in sample.headers.items() if name != signature}
    yield other("missing signature", headers=rest)
    wrong = value[:-4] + ("AAA=" if value[-4:] != "AAA=" else "BBB=")
    for number, odd in enumerate((*_odd_headers(value), wrong, value.swapcase())):
        yield other(f"wrong signature {number}", headers={**rest, signature: odd})
    if whole:
        yield from _altered(sample)
    if timed:
        yield other("stale", at=sample.at + timedelta(hours=1))
        yield other("from the future", at=sample.at - timedelta(hours=1))


def _altered(sample: Request) -> Iterator[tuple[str, Request]]:
    def other(name: str, body: bytes) -> tuple[str, Request]:
        return name, msgspec.structs.replace(sample, body=body)

    yield other("flipped byte", body=bytes([sample.body[0] ^ 1]) + sample.body[1:] if sample.body else b"x")
    yield other("longer body", body=sample.body + b" ")
    yield other("empty body", body=b"" if sample.body else b"x")
    try:
        again = json.dumps(json.loads(sample.body), indent=1).encode()
    except ValueError:
        again = sample.body + b"\n"
    yield other("re-serialised body", body=again)


def _odd_headers(value: str) -> tuple[str, ...]:
    """Empty, cut, not ASCII, undecodable, with a NUL, huge, and repeated as the hub joins repetitions."""
    return ("", value[: len(value) // 2], "\u00e9\u20ac", "\udcff", f"{value}\0", "a" * 100_000, f"{value}, {value}")
