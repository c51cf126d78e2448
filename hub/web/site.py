"""What all pages share: the templates, the assets, the security headers, and words for people."""

import mimetypes
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import jinja2
from aiohttp import web
from msgspec import Struct

from context_store.shapes import MessageView
from context_store.times import from_millis
from hub.instances import Instance
from hub.rooms import Rooms
from hub.web.fit import FILES
from hub.web.ports import Operations
from plugins import CAUSES

HUB = web.AppKey("hub", Rooms)
OPERATIONS = web.AppKey("operations", Operations)

SHARED = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
"""Of answers that scripts of other sites may read, and when to come again in them."""
HEADERS = {
    # Nothing inline, nothing from elsewhere, no frame around us: what a mail smuggles into a page stays text.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def headers_of(public_url: str) -> dict[str, str]:
    """Those of every response; a browser that came by https is told to do so always."""
    secure = {"Strict-Transport-Security": "max-age=31536000"} if public_url.startswith("https:") else {}
    return {**HEADERS, **secure, "Server": "trunkline"}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every response, errors and plugins' replies too; a handler may set its own first."""
    ours = headers_of(request.app[HUB].config.public_url)
    for name, value in ours.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = ours["Server"]  # aiohttp has said its own by now


def out_of_order() -> web.HTTPServiceUnavailable:
    """While its plugin is broken."""
    text = "This is out of order just now. Try again later."
    return web.HTTPServiceUnavailable(text=text, headers={"Retry-After": "30", **SHARED})


def instance_of(request: web.Request, role: str) -> Instance:
    """The one that the path names. Raises HTTPNotFound; HTTPServiceUnavailable while its plugin is broken."""
    found = request.app[HUB].instances.get(request.match_info["instance"])
    if found is not None and found.owes(role):
        raise out_of_order()
    if found is None or not found.has(role):
        raise web.HTTPNotFound
    return found


# ---- assets ------------------------------------------------------------------------------------------

_FOLDER = Path(__file__).parent


class Asset(Struct, frozen=True):
    """A file of ours, read at start: no path of a request ever reaches the disk."""

    body: bytes
    type: str
    tag: str


def _assets() -> dict[str, Asset]:
    found = {}
    for path in sorted((_FOLDER / "static").iterdir()):
        body = path.read_bytes()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found[path.name] = Asset(body, kind, sha256(body).hexdigest()[:12])
    return found


ASSETS = _assets()


async def asset(request: web.Request) -> web.Response:
    """`/static/{name}?v=tag`: the name of a version that never changes."""
    found = ASSETS.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    lasting = "public, max-age=31536000, immutable" if request.query.get("v") == found.tag else "no-cache"
    return web.Response(body=found.body, content_type=found.type, charset="utf-8", headers={"Cache-Control": lasting})


# ---- words for people --------------------------------------------------------------------------------

ASSURANCE = (
    "A0 · claimed, nobody vouches for the sender",
    "A1 · authenticated by the channel",
    "A2 · proved by the person",
    "A3 · fresh strong check",
)
_STEPS = ((60, "s", 1), (3600, "min", 60), (86_400, "h", 3600), (86_400 * 60, "d", 86_400))


def ago(millis: int | None, now: int) -> str:
    """A distance in time, as short as it is useful: "4 min ago", "in 2 h"."""
    if millis is None:
        return "never"
    seconds = (now - millis) // 1000
    for below, unit, size in _STEPS:
        if abs(seconds) < below:
            distance = f"{abs(seconds) // size} {unit}"
            return ("now" if abs(seconds) < 2 else f"{distance} ago") if seconds >= 0 else f"in {distance}"
    return from_millis(millis).strftime("%Y-%m-%d")


def stamp(millis: int | None) -> str:
    """A moment in full, in UTC."""
    return from_millis(millis).strftime("%Y-%m-%d %H:%M:%S UTC") if millis is not None else "never"


def iso(millis: int) -> str:
    """For `<time datetime>`."""
    return from_millis(millis).isoformat()


def size(n: int) -> str:
    """Bytes for people."""
    if n < 1024:
        return f"{n} B"
    return f"{n / 1024:.0f} KiB" if n < 1 << 20 else f"{n / (1 << 20):.1f} MiB".replace(".0 ", " ")


def parts(message: MessageView) -> list[tuple[str, str]]:
    """The text in pieces: ("" or the fold's kind, piece). Nothing is left out; bad folds are ignored."""
    pieces, at = list[tuple[str, str]](), 0
    for fold in sorted(message.folds, key=lambda each: each.start):
        end = min(fold.end, len(message.text))  # of a text that was cut
        if at <= fold.start < end:
            pieces += [("", message.text[at : fold.start]), (fold.kind, message.text[fold.start : end])]
            at = end
    pieces.append(("", message.text[at:]))
    return [(kind, piece.strip("\r\n")) for kind, piece in pieces if piece.strip()]


def writer(author: str, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """`agent:ada` → "Ada Kern", or the login where there is no such agent; "" is the desk itself."""
    if author.startswith("identity:"):
        return "the user"
    login = author.removeprefix("agent:")
    return names.get(login, login) if login != author else author or "The desk"


def clip(text: str, most: int) -> str:
    """The beginning of a text that may be of any length."""
    return text if len(text) <= most else text[: most - 1] + "…"


def tail(text: str, most: int) -> str:
    """The end of it: what a trace ends with tells most."""
    return text if len(text) <= most else "…" + text[1 - most :]


def said(value: Any) -> str:
    """A value of an event's body for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{words(name)}: {said(each)}" for name, each in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value)) or "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value not in {None, ""} else "nothing"


def told(body: Mapping[str, Any]) -> list[str]:
    """What an event says, piece by piece; what was and what is stand side by side, what is empty is left out."""
    was, now = body.get("was"), body.get("is")
    if not (isinstance(was, Mapping) and isinstance(now, Mapping)):
        return [f"{words(name)}: {said(value)}" for name, value in body.items() if value not in (None, "", [], {})]
    changes = [f"{words(name)}: {said(was[name])} → {said(now[name])}" for name in now if name in was]
    others = {name: value for name, value in now.items() if name not in was}
    rest = {name: value for name, value in body.items() if name not in {"was", "is"}}
    return changes + told({**others, **rest})


def words(name: str) -> str:
    """`on_hold` → "on hold", `query.opened` → "query opened"."""
    return name.replace("_", " ").replace(".", " ")


WAITS = {"rate": "The channel takes only so many in a while. It goes out by itself when its turn comes."}
"""Causes of work that waits although nothing is wrong."""


def advice(cause: str) -> str:
    """What an agent can do about a refusal or a wait; "" where the code is the connector's own."""
    code = cause.partition(":")[0]
    return WAITS.get(code) or CAUSES.get(code, "")


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": ago,
        "stamp": stamp,
        "iso": iso,
        "size": size,
        "parts": parts,
        "words": words,
        "writer": writer,
        "clip": clip,
        "tail": tail,
        "said": said,
        "told": told,
        "advice": advice,
    }
    made.globals |= {"assets": {name: f"/static/{name}?v={each.tag}" for name, each in ASSETS.items()}}
    made.globals |= {"ASSURANCE": ASSURANCE, "FILES": FILES}
    return made


ENVIRONMENT = _environment()


def render(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page. `now` and the desk's name are always there."""
    hub = request.app[HUB]
    values |= {"desk": hub.config.name, "now": hub.store.now(), "path": request.path}
    return web.Response(text=ENVIRONMENT.get_template(template).render(values), status=status, content_type="text/html")


def for_people(request: web.Request) -> bool:
    """Does a browser show the answer to a person?"""
    return "text/html" in request.headers.get("Accept", "")


def problem_page(request: web.Request, status: int, what: str) -> web.Response:
    """An error in words, with a way on."""
    return render(request, "problem.html", status=status, what=what, inside=request.path.startswith("/console"))


def number(text: str) -> int:
    """An id from a path or form. Raises HTTPNotFound for what no id can be: stores take 63 bits."""
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 1 << 63:
        return int(text)
    raise web.HTTPNotFound


def optional_number(text: str | None) -> int | None:
    """As `number`; None for nothing."""
    return number(text) if text else None


_UNPRINTABLE = re.compile(r"[^\w .,()+@-]|\.\.+")


def file_name(name: str) -> str:
    """A name from outside as a plain file name: no folders, controls, or letters that turn it round."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return _UNPRINTABLE.sub("_", last)[-150:].strip(" .") or "attachment"


def download_headers(name: str) -> dict[str, str]:
    """Bytes from outside: always a download, never shown or guessed at, whatever they say that they are."""
    plain = file_name(name)
    ascii_name = plain.encode("ascii", "replace").decode().replace("?", "_")
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(plain)}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
