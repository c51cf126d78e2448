"""Slack as documented (https://docs.slack.dev): Web API, Events API and Socket Mode, as far as a help desk uses them.

Stricter than the original in three things: an unknown argument is refused, where Slack would pass over it; so is a text
that is not escaped, and one over 4,000 characters, which Slack advises against (what is past 40,000 it cuts off).
"""

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from plugins.model import Identity, Secret
from plugins.signatures import hmac_sign
from plugins.testing.standins.base import Fault, Heard, StandIn

MAX_TEXT = 4000
TEAM, APP, BOT, BOT_ID, CHANNEL = "T0DESK", "A0DESK", "U0BOT", "B0BOT", "C0HELP"
SCOPES = (
    "chat:write,channels:history,groups:history,im:history,mpim:history,files:read,files:write,im:write,"
    "metadata.message:read,users:read,users:read.email"
)
TROUBLES = {
    "recipient_unknown": "channel_not_found",
    "not_allowed": "not_in_channel",
    "original_gone": "cannot_reply_to_message",
    "too_long": "msg_too_long",
    "content_refused": "no_text",
    "token_revoked": "token_revoked",
}
METHODS: Mapping[str, tuple[str, Mapping[str, bool]]] = {
    "auth.test": ("GET", {}),
    "users.info": ("GET", {"user": True}),
    "files.info": ("GET", {"file": True}),
    "files.getUploadURLExternal": ("GET", {"filename": True, "length": True}),
    "conversations.history": (
        "GET", {"channel": True, "cursor": False, "limit": False, "include_all_metadata": False},
    ),
    "conversations.replies": (
        "GET", {"channel": True, "ts": True, "cursor": False, "limit": False, "include_all_metadata": False},
    ),
    "apps.connections.open": ("POST", {}),
    "conversations.open": ("POST", {"users": True}),
    "files.completeUploadExternal": ("POST", {"files": True, "channel_id": False, "thread_ts": False}),
    "chat.postMessage": ("POST", {
        "channel": True, "text": True, "thread_ts": False, "mrkdwn": False, "unfurl_links": False,
        "unfurl_media": False, "metadata": False,
    }),
}  # fmt: skip
"""Method → how it is called, and argument → must it be there?"""
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}")
_RAW = re.compile(r"[<>]|&(?!amp;|lt;|gt;)")


class Slack(StandIn):
    """One workspace with the desk's app in it."""

    kinds: ClassVar[tuple[str, ...]] = ("slack",)
    troubles: ClassVar[Mapping[str, Any]] = TROUBLES
    rates = (("lane", 1, 1.0),)  # "Rate limits": chat.postMessage
    person: ClassVar[Identity] = Identity(scheme="slack", value=f"{TEAM}:U0ANN")
    people: ClassVar[Mapping[str, str]] = {"ann": "U0ANN", "bob": "U0BOB"}

    def __init__(
        self, token: str = "xoxb-stand-in", secret: str = "stand-in-signing", app_token: str = "xapp-stand-in"  # noqa: S107  # its own
    ) -> None:  # fmt: skip
        super().__init__()
        self.messages: dict[str, list[dict[str, Any]]] = {"D0ANN": [], "D0BOB": [], CHANNEL: []}
        """What stands in each conversation, oldest first."""
        self.files: dict[str, bytes] = {}
        self.shows_metadata = True
        self.scopes = SCOPES
        self.asked: list[str] = []
        """Methods that were called."""
        self.waiting: dict[str, dict[str, Any]] = {}
        """Socket Mode: envelopes that nobody has acknowledged."""
        self.links: list[web.WebSocketResponse] = []
        self._token, self._secret, self._app_token = token, secret, app_token
        self._numbers = itertools.count(1)
        self._tickets: set[str] = set()
        self._uploads: dict[str, tuple[int, bytes | None]] = {}
        self._arrived = asyncio.Event()

    def routes(self) -> Sequence[web.RouteDef]:
        """`/api/<method>`, files both ways, and the WebSocket."""
        return [
            web.route("*", "/api/{method}", self._call),
            web.post("/upload/{file}", self._upload),
            web.get("/files-pri/{file}/{name}", self._file),
            web.get("/link", self._link),
        ]

    def has_effect(self, request: web.Request) -> bool:
        """By the method's name: uploads and openings are seen by nobody."""
        return request.match_info.get("method") in ("chat.postMessage", "files.completeUploadExternal")

    def failed(self, fault: Fault) -> web.Response:
        """429 names its wait in a header."""
        headers = {"Retry-After": f"{fault.after:g}"} if fault.after else {}
        word = "ratelimited" if fault.status == 429 else "service_unavailable"
        return web.json_response({"ok": False, "error": word}, status=fault.status, headers=headers)

    def refusal(self, trouble: str) -> web.Response:
        """By the table, as HTTP 200."""
        return _error(TROUBLES[trouble])

    @property
    def table(self) -> Mapping[str, Any]:
        """Events come by HTTP if `hook` is set, else by Socket Mode."""
        mode = {"signing_secret": "env:SLACK_SECRET"} if self.hook else {"app_token": "env:SLACK_APP_TOKEN"}
        return {"token": "env:SLACK_TOKEN", "api_url": f"{self.url}/api", **mode}

    @property
    def environ(self) -> Mapping[str, str]:
        """Bot token, signing secret and app-level token."""
        return {"SLACK_TOKEN": self._token, "SLACK_SECRET": self._secret, "SLACK_APP_TOKEN": self._app_token}

    # ---- the people's side -----------------------------------------------------------------------------------

    def says(self, text: str, *, who: str = "ann", private: bool = True, **more: Any) -> dict[str, Any]:
        """A message event; `more` are fields of it (thread_ts, files, subtype)."""
        user = self.people[who]
        channel = f"D{user[1:]}" if private else CHANNEL
        ts = self._ts()
        said = {"type": "message", "user": user, "team": TEAM, "text": text, "ts": ts, **more}
        self.messages[channel].append(said)
        return self.event({
            **said, "channel": channel, "channel_type": "im" if private else "channel", "event_ts": ts,
            "client_msg_id": f"7f0f9a3c-0000-4000-8000-{next(self._numbers):012d}",
        })  # fmt: skip

    def edits(self, event: dict[str, Any], text: str) -> dict[str, Any]:
        """`message_changed`, with the new message and the old one."""
        said, ts = event["event"], self._ts()
        return self.event({
            "type": "message", "subtype": "message_changed", "hidden": True, "channel": said["channel"],
            "channel_type": said["channel_type"], "ts": ts, "event_ts": ts, "previous_message": said,
            "message": {**said, "text": text, "edited": {"user": said["user"], "ts": ts}},
        })  # fmt: skip

    def deletes(self, event: dict[str, Any]) -> dict[str, Any]:
        """`message_deleted`."""
        said, ts = event["event"], self._ts()
        return self.event({
            "type": "message", "subtype": "message_deleted", "hidden": True, "channel": said["channel"],
            "channel_type": said["channel_type"], "ts": ts, "event_ts": ts, "previous_message": said,
            "deleted_ts": said["ts"],
        })  # fmt: skip

    def event(self, inner: Mapping[str, Any]) -> dict[str, Any]:
        """Any event in what Slack puts round it."""
        return {
            "token": "unused", "team_id": TEAM, "api_app_id": APP, "type": "event_callback", "event": dict(inner),
            "event_id": f"Ev{next(self._numbers):08d}", "event_time": 1795262400, "is_ext_shared_channel": False,
            "authorizations": [
                {"enterprise_id": None, "team_id": TEAM, "user_id": BOT, "is_bot": True, "is_enterprise_install": False}
            ],
        }  # fmt: skip

    def signed(self, event: Any, at: datetime) -> tuple[Mapping[str, str], bytes]:
        """Over time and body; `event` may be the bytes of a form."""
        body = event if isinstance(event, bytes) else msgspec.json.encode(event)
        stamp = str(int(at.timestamp()))
        signature = hmac_sign(Secret(self._secret), f"v0:{stamp}:".encode() + body, prefix="v0=")
        headers = {"x-slack-signature": signature, "x-slack-request-timestamp": stamp}
        return {**headers, "content-type": "application/json"}, body

    def queue(self, events: Sequence[Any]) -> None:
        """Kept until they are acknowledged."""
        for event in events:
            number = f"envelope-{next(self._numbers)}"
            self.waiting[number] = {
                "type": "events_api", "envelope_id": number, "payload": event, "accepts_response_payload": False,
                "retry_attempt": 0, "retry_reason": "",
            }  # fmt: skip
        self._arrived.set()

    def _ts(self) -> str:
        number = next(self._numbers)
        return f"{1795262400 + number}.{number:06d}"

    # ---- Socket Mode -----------------------------------------------------------------------------------------

    async def disconnect(self, reason: str) -> None:
        """Announce to the newest connection that it must go."""
        await self.links[-1].send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "stand-in"}})

    async def _link(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return self.refuse("wrong ticket", web.Response(status=408))
        self._tickets.discard(ticket)
        link = web.WebSocketResponse()
        await link.prepare(request)
        self.links.append(link)
        await link.send_json({"type": "hello", "num_connections": len(self.links), "connection_info": {"app_id": APP}})
        sending = asyncio.ensure_future(self._deliver(link))
        try:
            async for frame in link:
                number = msgspec.json.decode(frame.data)["envelope_id"]
                if self.waiting.pop(number, None) is None:
                    self.refused.append(f"nobody waits for {number}")
        finally:
            sending.cancel()
            self.links.remove(link)
        return link

    async def _deliver(self, link: web.WebSocketResponse) -> None:
        """What is unacknowledged goes to the newest connection."""
        sent = set[str]()
        while True:
            for number, envelope in list(self.waiting.items()) if self.links[-1] is link else ():
                if number not in sent:
                    await link.send_json(envelope)
                    sent.add(number)
            await asyncio.sleep(0.01)

    # ---- the Web API -----------------------------------------------------------------------------------------

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if method not in METHODS:
            return self.refuse(f"no method {method}", _error("unknown_method"))
        self.asked.append(method)
        verb, arguments = METHODS[method]
        wanted = self._app_token if method == "apps.connections.open" else self._token
        if request.headers.get("Authorization") != f"Bearer {wanted}":
            return self.refuse("wrong token", _error("invalid_auth"))
        if request.method != verb:
            return self.refuse(f"{method}: called by {request.method}", _error("invalid_post_type"))
        given: dict[str, Any] = dict(request.query)
        if request.content_type == "application/json":
            given |= await request.json()
        odd = (given.keys() - arguments.keys()) | ({n for n, needed in arguments.items() if needed} - given.keys())
        if odd:
            return self.refuse(f"{method}: {', '.join(sorted(odd))}", _error("invalid_arguments"))
        answer = getattr(self, "_" + method.replace(".", "_"))(given)
        return answer if isinstance(answer, web.Response) else self.refuse(answer, _error(answer))

    def _chat_postMessage(self, given: Mapping[str, Any]) -> web.Response | str:  # noqa: N802  # Slack's name
        channel, text, thread = self._conversation(given["channel"]), given["text"], given.get("thread_ts")
        if why := self._why_not(channel, text, thread):
            return why
        if self.too_fast(channel):
            return self.failed(Fault(status=429, after=1))
        metadata = {"metadata": given["metadata"]} if "metadata" in given else {}
        said = self._post(channel, text, thread, **metadata)
        shown = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        self._hear(channel, shown, f"{channel}/{said['ts']}")
        return _ok(channel=channel, ts=said["ts"], message=said)

    def _conversation(self, given: Any) -> str:
        """A user's id stands for their direct messages."""
        return f"D{given[1:]}" if given in self.people.values() else str(given)

    def _why_not(self, channel: str, text: Any, thread: Any) -> str:
        if channel not in self.messages:
            return "channel_not_found"
        if thread is not None and not any(each["ts"] == thread for each in self.messages[channel]):
            return "thread_not_found" if isinstance(thread, str) and _TS.fullmatch(thread) else "invalid_thread_ts"
        if not isinstance(text, str) or not text.strip():
            return "no_text"
        if len(text.encode("utf-16-le")) // 2 > MAX_TEXT:
            return "msg_too_long"
        return "not_escaped" if _RAW.search(text) else ""

    def _post(self, channel: str, text: str, thread: str | None, **more: Any) -> dict[str, Any]:
        said = {
            "type": "message", "user": BOT, "bot_id": BOT_ID, "app_id": APP, "team": TEAM, "text": text,
            "ts": self._ts(), **({"thread_ts": thread} if thread else {}), **more,
        }  # fmt: skip
        self.messages[channel].append(said)
        return said

    def _hear(self, channel: str, text: str, ref: str, file: bytes | None = None) -> None:
        to = next((user for user in self.people.values() if channel == f"D{user[1:]}"), channel)
        self.heard.append(Heard(to=to, text=text, ref=ref, public=not channel.startswith("D"), file=file))

    def _conversations_open(self, given: Mapping[str, Any]) -> web.Response | str:
        if given["users"] not in self.people.values():
            return "user_not_found"
        return _ok(channel={"id": self._conversation(given["users"])}, already_open=True, no_op=True)

    def _conversations_history(self, given: Mapping[str, Any]) -> web.Response | str:
        """Newest first; what stands in a thread is not in it, except its root."""
        found = [
            each for each in self.messages.get(given["channel"], ()) if each.get("thread_ts", each["ts"]) == each["ts"]
        ]
        return self._page(given, found[::-1])

    def _conversations_replies(self, given: Mapping[str, Any]) -> web.Response | str:
        """Oldest first, the root before all."""
        found = [e for e in self.messages.get(given["channel"], ()) if given["ts"] in (e["ts"], e.get("thread_ts"))]
        return self._page(given, found) if found else "thread_not_found"

    def _page(self, given: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> web.Response | str:
        if given["channel"] not in self.messages:
            return "channel_not_found"
        at, size = int(given.get("cursor") or 0), int(given.get("limit", 100))
        hidden = set() if self.shows_metadata and given.get("include_all_metadata") == "true" else {"metadata"}
        page = [{name: value for name, value in each.items() if name not in hidden} for each in found[at : at + size]]
        more = len(found) > at + size
        return _ok(messages=page, has_more=more, response_metadata={"next_cursor": str(at + size) if more else ""})

    def _users_info(self, given: Mapping[str, Any]) -> web.Response | str:
        name = next((name for name, user in self.people.items() if user == given["user"]), None)
        if name is None:
            return "user_not_found"
        return _ok(user=self.user(name))

    def user(self, name: str) -> dict[str, Any]:
        """A member of the workspace, as users.info and user_change show it."""
        profile = {"real_name": f"{name.title()} Doe", "display_name": name, "email": f"{name}@acme.test"}
        return {
            "id": self.people[name], "team_id": TEAM, "name": name, "deleted": False, "is_bot": False,
            "is_email_confirmed": True, "profile": profile,
        }  # fmt: skip

    def _auth_test(self, _: Mapping[str, Any]) -> web.Response:
        answer = _ok(team="Acme", team_id=TEAM, user="desk", user_id=BOT, bot_id=BOT_ID)
        answer.headers["x-oauth-scopes"] = self.scopes
        return answer

    def _apps_connections_open(self, _: Mapping[str, Any]) -> web.Response | str:
        if self.hook:
            return "socket_mode_is_off"
        ticket = f"ticket-{next(self._numbers)}"
        self._tickets.add(ticket)
        return _ok(url=f"{self.url.replace('http', 'ws')}/link?ticket={ticket}&app_id={APP}")

    # ---- files -----------------------------------------------------------------------------------------------

    def _files_info(self, given: Mapping[str, Any]) -> web.Response | str:
        if given["file"] not in self.files:
            return "file_not_found"
        address = f"{self.url}/files-pri/{given['file']}/file.log"
        return _ok(file={"id": given["file"], "mimetype": "text/plain", "url_private_download": address})

    def _files_getUploadURLExternal(self, given: Mapping[str, Any]) -> web.Response | str:  # noqa: N802  # Slack's name
        if not int(given["length"]):
            return "invalid_arguments"
        file = f"F{next(self._numbers):08d}"
        self._uploads[file] = (int(given["length"]), None)
        return _ok(upload_url=f"{self.url}/upload/{file}", file_id=file)

    def _files_completeUploadExternal(self, given: Mapping[str, Any]) -> web.Response | str:  # noqa: N802  # Slack's name
        channel, thread = given.get("channel_id", ""), given.get("thread_ts")
        [file] = given["files"]
        _, data = self._uploads.pop(file["id"], (0, None))
        if data is None:
            return "file_not_found"
        if why := self._why_not(channel, "file", thread):
            return why
        self._post(channel, "", thread, files=[file])
        self._hear(channel, "", file["id"], data)
        return _ok(files=[file])

    async def _upload(self, request: web.Request) -> web.Response:
        file, data = request.match_info["file"], await request.read()
        if file not in self._uploads or self._uploads[file][0] != len(data):
            return self.refuse("another length than was said", web.Response(status=400))
        self._uploads[file] = (len(data), data)
        return web.Response(text=f"OK - {len(data)}")

    async def _file(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        return web.Response(body=self.files[request.match_info["file"]], content_type="text/plain")


def _ok(**more: Any) -> web.Response:
    return web.json_response({"ok": True, **more})


def _error(word: str) -> web.Response:
    return web.json_response({"ok": False, "error": word})
