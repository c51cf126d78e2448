"""A Mastodon server as documented (https://docs.joinmastodon.org/methods/), as far as a help desk's account uses it.

Stricter than the original in one thing: an unknown parameter is refused, where Mastodon would pass over it.
"""

import html
import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from plugins.model import Identity
from plugins.testing.standins.base import Fault, Heard, StandIn

DOMAIN = "desk.test"
MAX_TEXT, URL_LENGTH, PAGE = 500, 23, 80
IMAGES = {"image/png": 16, "image/jpeg": 16}
TROUBLES: Mapping[str, tuple[int, str]] = {
    "recipient_unknown": (200, ""),  # nothing is said: the post calls nobody
    "original_gone": (404, "The post you are trying to reply to does not appear to exist."),
    "not_allowed": (403, "This action is not allowed"),
    "too_long": (422, "Validation failed: Text character limit of 500 exceeded"),
    "media_unsupported": (422, "Validation failed: File content type is invalid"),
    "media_too_large": (422, "Validation failed: File file size must be less than 16 MB"),
    "content_refused": (422, "Validation failed: Text can't be blank"),
    "token_revoked": (401, "The access token was revoked"),
}
PARAMETERS: Mapping[tuple[str, str], frozenset[str]] = {
    ("get", "/api/v1/notifications"): frozenset({"types", "min_id", "since_id", "max_id", "limit", "include_filtered"}),
    ("get", "/api/v1/statuses"): frozenset({"id"}),
    ("get", "/api/v1/statuses/{id}"): frozenset(),
    ("get", "/api/v1/statuses/{id}/context"): frozenset(),
    ("post", "/api/v1/statuses"): frozenset({
        "status",
        "in_reply_to_id",
        "visibility",
        "spoiler_text",
        "media_ids",
        "language",
        "sensitive",
    }),
    ("post", "/api/v2/media"): frozenset({"file", "description"}),
    ("get", "/api/v1/media/{id}"): frozenset(),
    ("get", "/api/v2/instance"): frozenset(),
    ("get", "/api/v1/accounts/verify_credentials"): frozenset(),
}
"""Method and path → parameters, without the `[]` of lists."""
_URL = re.compile(r"https?://\S*[^\s.,;:!?)]")
_MENTION = re.compile(r"(?<![\w/=])@([A-Za-z0-9_]+)(?:@([A-Za-z0-9.-]+[A-Za-z0-9]))?")


class Mastodon(StandIn):
    """One account, and everybody who writes to it."""

    kinds: ClassVar[tuple[str, ...]] = ("mastodon",)
    troubles: ClassVar[Mapping[str, Any]] = TROUBLES
    rates = (("instance", 300, 10_800.0),)  # RateLimiter, family statuses
    person: ClassVar[Identity] = Identity(scheme="mastodon", value="ann@remote.test")
    people: ClassVar[Mapping[str, tuple[str, str]]] = {"ann": ("971724", "ann@remote.test"), "bob": ("971725", "bob")}
    me: ClassVar[str] = "1"

    def __init__(self, token: str = "stand-in-token") -> None:  # noqa: S107  # its own
        super().__init__()
        self.statuses: dict[str, dict[str, Any]] = {}
        """Posts of both sides by id."""
        self.notifications: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.busy = 0
        """How often a file is said to be still processed."""
        self.asked: list[str] = []
        """Paths of all questions, oldest first."""
        self.page = PAGE
        """The most notifications in one answer; other servers give fewer."""
        self.batches = True
        """Servers before 4.3 don't give many posts at once."""
        self._token = token
        self._numbers = itertools.count(117_020_576_916_218_297)
        self._done: dict[str, dict[str, Any]] = {}

    def routes(self) -> Sequence[web.RouteDef]:
        """Its API, and files for everybody."""
        found = {path: getattr(self, f"_{name}") for path, name in _HANDLERS.items()}
        return [web.route(*key, found[key]) for key in _HANDLERS] + [web.get("/system/{name}", self._file)]

    def has_effect(self, request: web.Request) -> bool:
        """An upload is seen by nobody."""
        return request.method == "POST" and request.path == "/api/v1/statuses"

    def failed(self, fault: Fault) -> web.Response:
        """429 says when the count begins anew."""
        reset = datetime.now(UTC) + timedelta(seconds=fault.after + 1)
        headers = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset.isoformat()}
        return web.json_response({"error": "Too many requests"}, status=fault.status, headers=headers)

    def refusal(self, trouble: str) -> web.Response:
        """By the table."""
        if trouble == "recipient_unknown":
            return web.json_response({**self._status(self.me, "desk", "", "direct"), "mentions": []})
        return _error(*TROUBLES[trouble])

    @property
    def table(self) -> Mapping[str, Any]:
        """Address and token."""
        return {"api_url": self.url, "token": "env:MASTODON_TOKEN"}

    @property
    def environ(self) -> Mapping[str, str]:
        """The token."""
        return {"MASTODON_TOKEN": self._token}

    # ---- what people do ----------------------------------------------------------------------------------

    def says(self, text: str, *, who: str = "ann", private: bool = True, **more: Any) -> dict[str, Any]:
        """A notification of a mention; `more` are fields of the status (in_reply_to_id, visibility, spoiler_text)."""
        number, acct = self.people[who]
        status = {**self._status(number, acct, text, "direct" if private else "public"), **more}
        return {
            "id": str(next(self._numbers))[-9:], "type": "mention", "created_at": _now(), "group_key": "ungrouped",
            "account": status["account"], "status": status,
        }  # fmt: skip

    def edits(self, event: Any, text: str) -> Any:
        """No notification tells of it: the post itself is another from now on."""
        return {"edited": event["status"]["id"], "content": self._markup(text)}

    def deletes(self, event: Any) -> Any:
        """Nor of this."""
        return {"deleted": event["status"]["id"]}

    def queue(self, events: Sequence[Any]) -> None:
        """Posts first, so that what happens to them finds them."""
        for event in events:
            if "status" in event and event not in self.notifications:
                self.statuses[event["status"]["id"]] = event["status"]
                self.notifications.append(event)
        for event in events:
            if "edited" in event:
                self.statuses[event["edited"]] |= {"content": event["content"], "edited_at": _now()}
            elif "deleted" in event:
                gone = self.statuses.pop(event["deleted"], None)
                self.notifications = [each for each in self.notifications if each["status"] is not gone]

    def _markup(self, text: str) -> str:
        link = f'<a href="https://{DOMAIN}/@desk" class="u-url mention">@<span>desk</span></a>'
        said = html.escape(text).replace("\n", "<br />")
        return f'<p><span class="h-card" translate="no">{link}</span> {said}</p>'

    def _status(self, number: str, acct: str, text: str, visibility: str) -> dict[str, Any]:
        account = {"id": number, "username": acct.partition("@")[0], "acct": acct, "display_name": acct[:3].title()}
        own = {"id": self.me, "username": "desk", "url": f"https://{DOMAIN}/@desk", "acct": "desk"}
        return {
            "id": str(next(self._numbers)), "created_at": _now(), "edited_at": None, "in_reply_to_id": None,
            "visibility": visibility, "spoiler_text": "", "language": "en", "uri": f"https://remote.test/{number}",
            "content": self._markup(text), "account": {**account, "bot": False}, "media_attachments": [],
            "mentions": [own],
        }  # fmt: skip

    # ---- the API -----------------------------------------------------------------------------------------

    def _refused(self, request: web.Request, given: set[str]) -> web.Response | None:
        """By the token, then by unknown parameters."""
        self.asked.append(request.path)
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return self.refuse("wrong token", _error(*TROUBLES["token_revoked"]))
        route = request.match_info.route.resource
        allowed = PARAMETERS[request.method.lower(), route.canonical if route else ""]
        unknown = {name.removesuffix("[]") for name in given} - allowed
        return self.refuse(f"unknown: {sorted(unknown)}", _error(422, "Unknown parameter")) if unknown else None

    async def _notifications(self, request: web.Request) -> web.Response:
        query = parse_qsl(request.query_string)
        if refused := self._refused(request, {name for name, _ in query}):
            return refused
        asked, kinds = dict(query), {value for name, value in query if name == "types[]"}
        limit = min(int(asked.get("limit", 40)), self.page)
        found = sorted((each for each in self.notifications if each["type"] in kinds), key=lambda each: int(each["id"]))
        if "min_id" in asked:  # the oldest of what is newer
            found = [each for each in found if int(each["id"]) > int(asked["min_id"])][:limit]
        return web.json_response(list(reversed(found[-limit:])))

    async def _many(self, request: web.Request) -> web.Response:
        ids = [value for _, value in parse_qsl(request.query_string)]
        if refused := self._refused(request, {name for name, _ in parse_qsl(request.query_string)}):
            return refused
        if not self.batches:
            return _error(404, "Not Found")
        return web.json_response([self.statuses[each] for each in ids if each in self.statuses])

    async def _one(self, request: web.Request) -> web.Response:
        if refused := self._refused(request, set(request.query)):
            return refused
        found = self.statuses.get(request.match_info["id"])
        return web.json_response(found) if found else _error(404, "Record not found")

    async def _context(self, request: web.Request) -> web.Response:
        if refused := self._refused(request, set(request.query)):
            return refused
        ancestors: list[dict[str, Any]] = []
        found = self.statuses.get(request.match_info["id"])
        if found is None:
            return _error(404, "Record not found")
        while found := self.statuses.get(found["in_reply_to_id"] or ""):
            ancestors.insert(0, found)
        return web.json_response({"ancestors": ancestors, "descendants": []})

    async def _post(self, request: web.Request) -> web.Response:
        given = await request.json()
        if refused := self._refused(request, set(given)):
            return refused
        key = request.headers.get("Idempotency-Key", "")
        if key in self._done:
            return web.json_response(self._done[key])
        text, above = given.get("status", ""), given.get("in_reply_to_id")
        why = self._why_not(given, text, above)
        if why:
            return self.refuse(why[1], _error(*why))
        if self.too_fast(""):
            return self.failed(Fault(status=429, after=1))
        made = self._status(self.me, "desk", "", given.get("visibility", "public")) | {"in_reply_to_id": above}
        known = {acct.partition("@")[0]: (number, acct) for number, acct in self.people.values()}
        called = [known[user] for user, _ in _MENTION.findall(text) if user in known]
        made["mentions"] = [{"id": n, "username": a.partition("@")[0], "acct": a, "url": ""} for n, a in called]
        self.statuses[made["id"]] = made
        if key:
            self._done[key] = made
        self._show(made, text, given)
        return web.json_response(made)

    def _why_not(self, given: Mapping[str, Any], text: str, above: str | None) -> tuple[int, str] | None:
        if above is not None and above not in self.statuses:
            return TROUBLES["original_gone"]
        if given.get("visibility", "public") not in ("public", "unlisted", "private", "direct"):
            return 422, "Validation failed: Visibility is not included in the list"
        if length(text) + len(given.get("spoiler_text", "")) > MAX_TEXT:
            return TROUBLES["too_long"]
        files = given.get("media_ids", [])
        if not text.strip() and not files:
            return TROUBLES["content_refused"]
        return None if all(each in self.files for each in files) else (422, "Cannot attach files")

    def _show(self, made: Mapping[str, Any], text: str, given: Mapping[str, Any]) -> None:
        first = _MENTION.match(text)
        to = " ".join(each["acct"] for each in made["mentions"])
        file = next((self.files[each] for each in given.get("media_ids", [])), None)
        said = text[first.end() :].strip() if first else text
        public = made["visibility"] in ("public", "unlisted")
        self.heard.append(Heard(to=to, text=said, ref=made["id"], public=public, file=file))

    async def _upload(self, request: web.Request) -> web.Response:
        kind, data, names = "", b"", set[str]()
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            names.add(part.name or "")
            kind, data = part.headers["Content-Type"], bytes(await part.read())
        if refused := self._refused(request, names):
            return refused
        if kind not in IMAGES:
            return self.refuse(f"upload of {kind}", _error(*TROUBLES["media_unsupported"]))
        if len(data) > IMAGES[kind] << 20:
            return self.refuse("upload too large", _error(*TROUBLES["media_too_large"]))
        number = str(next(self._numbers))
        self.files[number] = data
        return web.json_response({"id": number, "type": "image", "url": None}, status=202 if self.busy else 200)

    async def _media(self, request: web.Request) -> web.Response:
        if refused := self._refused(request, set(request.query)):
            return refused
        self.busy -= 1
        return web.json_response({"id": request.match_info["id"], "type": "image"}, status=206 if self.busy else 200)

    async def _instance(self, request: web.Request) -> web.Response:
        limits = {"max_characters": MAX_TEXT, "max_media_attachments": 4, "characters_reserved_per_url": URL_LENGTH}
        told = {"domain": DOMAIN, "version": "4.5.0", "configuration": {"statuses": limits}}
        return self._refused(request, set(request.query)) or web.json_response(told)

    async def _account(self, request: web.Request) -> web.Response:
        told = {"id": self.me, "username": "desk", "acct": "desk", "display_name": "Desk"}
        return self._refused(request, set(request.query)) or web.json_response(told)

    async def _file(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            return self.refuse("the token was shown to a file's address", _error(403, "Forbidden"))
        return web.Response(body=self.files[request.match_info["name"]])


_HANDLERS = dict(
    zip(
        PARAMETERS,
        ("notifications", "many", "one", "context", "post", "upload", "media", "instance", "account"),
        strict=True,
    )
)


def length(text: str) -> int:
    """As StatusLengthValidator counts, but for signs of several code points."""
    text = _URL.sub("x" * URL_LENGTH, text)
    return len(_MENTION.sub(lambda found: f"@{found[1]}", text))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, words: str) -> web.Response:
    return web.json_response({"error": words}, status=status)
