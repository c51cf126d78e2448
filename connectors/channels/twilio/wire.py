"""What Twilio's products share: signed forms in, the REST API out, and the names of its errors."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Struct

from plugins import (
    Answer,
    Call,
    Claim,
    Egress,
    Envelope,
    Fits,
    Identity,
    NotAuthentic,
    Pause,
    Refuse,
    Request,
    Retry,
    Secret,
    one_line,
)

MOST_PARAMETERS = 500
MAX_FILE = 100 << 20  # bytes: a recording of an hour and a half, as WAV
ANSWERED = (400, 401, 403, 404, 429)
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_PORTS = {"https": 443, "http": 80}
_CAUSES: Mapping[int, str] = {
    20404: "recipient_unknown",
    21211: "recipient_unknown",
    21214: "recipient_unknown",
    21217: "recipient_unknown",
    21610: "recipient_blocked",
    21614: "recipient_unknown",
    21408: "not_allowed",
    21606: "not_allowed",
    21608: "not_allowed",
    21612: "not_allowed",
    21617: "too_long",
    21620: "media_unsupported",
    30003: "recipient_unknown",
    30004: "recipient_blocked",
    30005: "recipient_unknown",
    30006: "recipient_unknown",
    30007: "content_refused",
    30034: "not_allowed",
}
"""Twilio's codes (https://www.twilio.com/docs/api/errors) of refused requests and of failed messages → CAUSES."""

E164 = Annotated[
    str, Fits('a number in E.164, such as "+15550002222"', lambda text: _NUMBER.fullmatch(text) is not None)
]
Account = Annotated[
    str, Meta(description="The account's SID, as the console's first page says (AC…).", pattern="^AC[0-9a-fA-F]{32}$")
]
Tokens = Annotated[
    tuple[Secret, ...],
    Meta(
        min_length=1,
        max_length=2,
        description="The account's auth token, and the second one while they rotate. Each verifies what comes in; the "
        "first is used for what goes out.",
    ),
]
ApiUrl = Annotated[str, Meta(description="Where Twilio's API is.", pattern="^https?://")]


class Problem(Struct, frozen=True):
    """Twilio's word on a refused request."""

    code: int = 0
    message: str = ""


def sign(token: str, url: str, form: Mapping[str, Sequence[str]] | None) -> str:
    """X-Twilio-Signature over the URL as Twilio called it, and a form's parameters; None: the body is no form.

    https://www.twilio.com/docs/usage/security: names in order, of a repeated one each value once, in order.
    """
    said = url + "".join(name + value for name in sorted(form or ()) for value in sorted(set((form or {})[name])))
    digest = hmac.digest(token.encode(), said.encode("utf-8", "surrogatepass"), hashlib.sha1)
    return base64.b64encode(digest).decode()


def verify(request: Request, tokens: Sequence[Secret]) -> dict[str, str]:
    """The parameters of a genuine request, the first of each name. Raises NotAuthentic."""
    form = _form(request)
    given = request.header("x-twilio-signature").encode("utf-8", "replace")
    genuine = False
    for token in tokens:
        for url in _spellings(request.url) if token.reveal() else ():
            genuine |= hmac.compare_digest(sign(token.reveal(), url, form).encode(), given)
    if not genuine:
        raise NotAuthentic("X-Twilio-Signature is missing or wrong")
    if form is None:
        _body_is_whole(request)
    return {name: values[0] for name, values in (form or {}).items()}


def read(raw: bytes) -> dict[str, str]:
    """The parameters of a form, the first of each name. Raises ValueError."""
    return {name: values[0] for name, values in _pairs(raw.decode()).items()}


def query_of(url: str) -> dict[str, str]:
    """The parameters in a URL: ours, because Twilio calls only what we gave it, and signs it."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS))


def base_of(request: Request) -> str:
    """The instance's own URL, with its slash: where further callbacks go."""
    plain = request.url.partition("?")[0]
    return plain.removesuffix(request.tail).rstrip("/") + "/"


def odd(request: Request) -> Envelope:
    """Signed by Twilio, and none of its forms: kept, and parked by parse."""
    return Envelope(key=f"odd {hashlib.sha256(request.body).hexdigest()}", raw=request.body, at=request.at)


def claim(given: Mapping[str, str], other: str) -> Claim:
    """Who calls or writes, by a number that anybody can forge (A0); a hidden one is known by `other` alone."""
    number, name = given.get("From", ""), one_line(given.get("CallerName", ""))[:1000]
    if not _NUMBER.fullmatch(number):
        return Claim(identity=Identity(scheme="twilio", value=other), name=name, evidence="the number is hidden")
    evidence = given.get("StirVerstat", "")[:200]
    return Claim(identity=Identity(scheme="tel", value=number), name=name, evidence=evidence)


def is_number(text: str) -> bool:
    """Is it E.164?"""
    return _NUMBER.fullmatch(text) is not None


# ---- the API -----------------------------------------------------------------------------------------


def post(settings: Any, path: str, form: Mapping[str, str]) -> Call:
    """A request that changes something."""
    headers = {**_authorization(settings), "content-type": "application/x-www-form-urlencoded"}
    return Call(method="POST", url=_url(settings, path), headers=headers, body=urlencode(form).encode())


async def get(settings: Any, path: str, query: Mapping[str, str], egress: Egress) -> Any:
    """A question, and its answer as plain values."""
    url = _url(settings, path) + (f"?{urlencode(query)}" if query else "")
    call = Call(method="GET", url=url, headers=_authorization(settings))
    return judged(await egress.call(call, expect=ANSWERED), dict[str, Any])


async def recording(settings: Any, ref: str, egress: Egress) -> bytes:
    """A file by the URL that Twilio named; only Twilio's own place gets our credentials."""
    ours = urlsplit(settings.api_url)
    if not ref.startswith(f"{ours.scheme}://{ours.netloc}/"):
        raise Refuse("media_unsupported", "the file lies elsewhere than at Twilio")
    call = Call(method="GET", url=ref, headers=_authorization(settings), longest=MAX_FILE)
    answer = await egress.call(call, expect=(301, 302, 303, 307, 401, 404))
    if answer.status == 404:
        raise Retry("the file is not there (yet)", after=10)
    if answer.status == 401:
        raise Pause("token_revoked: Twilio does not know our token")
    if (
        answer.status >= 300
    ):  # pictures lie elsewhere, by an address that is signed for a while: without our credentials
        answer = await egress.call(Call(method="GET", url=answer.headers.get("location", ""), longest=MAX_FILE))
    return answer.body


def judged(answer: Answer, kind: Any) -> Any:
    """The answer as `kind`, else the error with its name."""
    if answer.status >= 400:
        raise _refused(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Pause(f"no answer of Twilio's, but HTTP {answer.status}: is something in between?") from error


def cause_of(code: int) -> str:
    """One of CAUSES."""
    return _CAUSES.get(code, "content_refused")


def _refused(answer: Answer) -> Exception:
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.MsgspecError, ValueError):
        return Pause(f"no answer of Twilio's, but HTTP {answer.status}: is something in between?")
    words = f"{problem.message[:300]} ({problem.code})"
    if answer.status == 429:
        after = answer.headers.get("retry-after", "")
        return Retry(words, after=float(after) if re.fullmatch(r"[0-9]{1,6}", after) else None)
    if answer.status == 401 or problem.code in (20003, 20005):
        return Pause(f"token_revoked: {words}")
    if problem.code == 63038:  # the account's daily limit
        return Pause(words)
    return Refuse(cause_of(problem.code), words)


def _authorization(settings: Any) -> dict[str, Any]:
    """Basic, RFC 7617; the account's SID is no secret, what they make together is."""
    pair = f"{settings.account}:{settings.tokens[0].reveal()}"
    return {"authorization": Secret("Basic " + base64.b64encode(pair.encode()).decode())}


def _url(settings: Any, path: str) -> str:
    return f"{settings.api_url}/2010-04-01/Accounts/{quote(settings.account)}/{path}"


# ---- signatures ----------------------------------------------------------------------------------------


def _form(request: Request) -> dict[str, list[str]] | None:
    """The parameters that are signed; None if the body is no form. Of a GET they stand in the URL."""
    if request.method == "GET":
        return {}
    kind = request.header("content-type").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    try:
        return _pairs(request.body.decode())
    except ValueError as error:
        raise NotAuthentic("the form can't be read, so nothing can be signed in it") from error


def _pairs(text: str) -> dict[str, list[str]]:
    """Raises ValueError for more parameters than anybody sends."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict"):
        found.setdefault(name, []).append(value)
    return found


def _body_is_whole(request: Request) -> None:
    """What is no form is signed by its digest in the URL; a signed URL alone says nothing of a body."""
    expected = query_of(request.url).get("bodySHA256", "").encode()
    if not hmac.compare_digest(hashlib.sha256(request.body).hexdigest().encode(), expected):
        raise NotAuthentic("the body is not the signed one")


def _spellings(url: str) -> tuple[str, ...]:
    """Twilio writes a port or leaves it out, for https even one of our own: its own libraries try both ways too."""
    try:
        parts = urlsplit(url)
        host, port = parts.netloc, parts.port
    except ValueError:
        return (url,)
    if port is not None:
        return url, urlunsplit(parts._replace(netloc=host.rpartition(":")[0]))
    default = _PORTS.get(parts.scheme)
    return (url, urlunsplit(parts._replace(netloc=f"{host}:{default}"))) if default else (url,)
