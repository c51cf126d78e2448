"""Telegram's Bot API as documented (https://core.telegram.org/bots/api, 10.1), as far as a help desk uses it.

Stricter than the original in one thing: an unknown parameter is refused, where Telegram would pass over it.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from aiohttp import web
from aiohttp.multipart import BodyPartReader

from plugins.model import Identity
from plugins.testing.standins.base import Fault, Heard, StandIn

MAX_TEXT, MAX_CAPTION = 4096, 1024  # UTF-16 units
MAX_UPLOAD = 50 << 20
GROUP = -1001234567890
TROUBLES = {
    "recipient_blocked": (403, "Forbidden: bot was blocked by the user"),
    "recipient_unknown": (400, "Bad Request: chat not found"),
    "must_write_first": (403, "Forbidden: bot can't initiate conversation with a user"),
    "not_allowed": (403, "Forbidden: bot was kicked from the supergroup chat"),
    "too_long": (400, "Bad Request: message is too long"),
    "media_unsupported": (400, "Bad Request: wrong type of the web page content"),
    "media_too_large": (413, "Request Entity Too Large"),
    "content_refused": (400, "Bad Request: text must be non-empty"),
    "token_revoked": (401, "Unauthorized"),
}
METHODS: Mapping[str, Mapping[str, bool]] = {
    "getMe": {},
    "getWebhookInfo": {},
    "deleteWebhook": {"drop_pending_updates": False},
    "setWebhook": {"url": True, "secret_token": False, "allowed_updates": False, "max_connections": False},
    "getUpdates": {"offset": False, "limit": False, "timeout": False, "allowed_updates": False},
    "getFile": {"file_id": True},
    "sendMessage": {"chat_id": True, "text": True, "message_thread_id": False, "reply_parameters": False},
    "sendDocument": {
        "chat_id": True, "document": True, "caption": False, "message_thread_id": False, "reply_parameters": False,
    },
}  # fmt: skip
"""Method → parameter → must it be there?"""


class Telegram(StandIn):
    """One bot, and everybody who talks to it."""

    kinds: ClassVar[tuple[str, ...]] = ("telegram",)
    troubles: ClassVar[Mapping[str, Any]] = TROUBLES
    rates = (("lane", 1, 1.0), ("instance", 30, 1.0))  # "Bots FAQ"
    person: ClassVar[Identity] = Identity(scheme="telegram", value="7000000001")
    people: ClassVar[Mapping[str, int]] = {"ann": 7000000001, "bob": 7000000002}

    def __init__(self, token: str = "110201543:stand-in-token", secret: str = "stand-in-secret") -> None:  # noqa: S107  # its own
        super().__init__()
        self.updates: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.chats: set[int] = set(self.people.values()) | {GROUP}
        self.moved: dict[int, int] = {}
        """Groups that became supergroups: old id → new id."""
        self._token, self._secret = token, secret
        self._messages = itertools.count(1)
        self._updates = itertools.count(10001)  # "Update": without gaps, so that an offset too far loses one
        self._arrived = asyncio.Event()

    def routes(self) -> Sequence[web.RouteDef]:
        """`/bot<token>/<method>`, and files."""
        return [
            web.route("*", "/bot{token}/{method}", self._call),
            web.get("/file/bot{token}/{path:.+}", self._file),
        ]

    def has_effect(self, request: web.Request) -> bool:
        """By the method's name: Telegram takes GET and POST for all."""
        return request.match_info.get("method", "").startswith("send")

    def failed(self, fault: Fault) -> web.Response:
        """429 has its wait in the body."""
        return _error(
            fault.status, "Too Many Requests" if fault.status == 429 else "Internal Server Error", fault.after
        )

    def refusal(self, trouble: str) -> web.Response:
        """By the table."""
        return _error(*TROUBLES[trouble])

    @property
    def table(self) -> Mapping[str, Any]:
        """Updates come by webhook if `hook` is set."""
        hook = {"secret": "env:TELEGRAM_SECRET"} if self.hook else {}
        return {"token": "env:TELEGRAM_TOKEN", "api_url": self.url, **hook}

    @property
    def environ(self) -> Mapping[str, str]:
        """Token and secret."""
        return {"TELEGRAM_TOKEN": self._token, "TELEGRAM_SECRET": self._secret}

    def says(self, text: str, *, who: str = "ann", private: bool = True, **more: Any) -> dict[str, Any]:
        """An update with a message; `more` are fields of it (photo, reply_to_message, message_thread_id)."""
        user = {"id": self.people[who], "is_bot": False, "first_name": who.title(), "language_code": "en"}
        chat: dict[str, Any] = {"id": user["id"], "type": "private", "first_name": user["first_name"]}
        if not private:
            chat = {"id": GROUP, "type": "supergroup", "title": "Support"}
        message = {"message_id": next(self._messages), "date": 1795262400, "from": user, "chat": chat, **more}
        return self._update("message", {**message, "text": text} if text else message)

    def edits(self, event: dict[str, Any], text: str) -> dict[str, Any]:
        """An update with the edited message."""
        return self._update("edited_message", {**event["message"], "text": text, "edit_date": 1795262460})

    def signed(self, event: Any, at: datetime) -> tuple[Mapping[str, str], bytes]:
        """The secret token stands in a header; nothing signs the body."""
        headers = {"x-telegram-bot-api-secret-token": self._secret, "content-type": "application/json"}
        return headers, msgspec.json.encode(event)  # no time is signed

    def queue(self, events: Sequence[Any]) -> None:
        """Kept until an offset confirms them."""
        self.updates.extend(events)
        self._arrived.set()

    def _update(self, kind: str, said: dict[str, Any]) -> dict[str, Any]:
        return {"update_id": next(self._updates), kind: said}

    # ---- the API -------------------------------------------------------------------------------------------

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if request.match_info["token"] != self._token:
            return self.refuse("wrong token", _error(401, "Unauthorized"))
        if method not in METHODS:
            return self.refuse(f"no method {method}", _error(404, "Not Found"))
        given, file = await _parameters(request)
        unknown = given.keys() - METHODS[method].keys()
        missing = {name for name, needed in METHODS[method].items() if needed} - given.keys()
        if unknown or missing:
            names = ", ".join(sorted(unknown | missing))
            return self.refuse(f"{method}: {names}", _error(400, f"Bad Request: {names} is unknown or missing"))
        if method.startswith("send"):
            return self._send(given, file)
        return await getattr(self, f"_{method}")(given)  # type: ignore[no-any-return]

    def _send(self, given: Mapping[str, Any], file: bytes | None) -> web.Response:
        chat, text = given["chat_id"], given.get("text", given.get("caption", ""))
        why = self._why_not(chat, text, file)
        if why:
            return self.refuse(why[1], _error(*why))
        if chat in self.moved:
            moved = {"migrate_to_chat_id": self.moved[chat]}
            return self.refuse("moved", _error(400, "Bad Request: group chat was upgraded to a supergroup chat", moved))
        if self.too_fast(str(chat)):
            return _error(429, "Too Many Requests: retry after 1", 1)
        number = next(self._messages)
        self.heard.append(Heard(to=str(chat), text=text, ref=str(number), public=chat < 0, file=file))
        result = {"message_id": number, "date": 1795262400, "chat": {"id": chat, "type": "private"}, "text": text}
        return _ok(result)

    def _why_not(self, chat: Any, text: Any, file: bytes | None) -> tuple[int, str] | None:
        if not isinstance(chat, int) or not isinstance(text, str):
            return 400, "Bad Request: chat_id or text has a wrong type"
        if chat not in self.chats:
            return TROUBLES["recipient_unknown"]
        if len(text.encode("utf-16-le")) // 2 > (MAX_TEXT if file is None else MAX_CAPTION):
            return TROUBLES["too_long"]
        if file is None and not text.strip():
            return TROUBLES["content_refused"]
        if file is not None and not 0 < len(file) <= MAX_UPLOAD:
            return TROUBLES["media_too_large"]
        return None

    async def _getUpdates(self, given: Mapping[str, Any]) -> web.Response:  # noqa: N802  # Telegram's name
        if self.hook:
            return self.refuse("conflict", _error(409, "Conflict: can't use getUpdates method while webhook is active"))
        offset, limit = int(given.get("offset", 0)), int(given.get("limit", 100))
        self.updates = [each for each in self.updates if each["update_id"] >= offset]
        if not self.updates:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), min(float(given.get("timeout", 0)), 50))
        return _ok([each for each in self.updates if each["update_id"] >= offset][:limit])

    async def _getMe(self, _: Mapping[str, Any]) -> web.Response:  # noqa: N802  # Telegram's name
        return _ok({"id": 110201543, "is_bot": True, "first_name": "Desk", "username": "desk_bot"})

    async def _getWebhookInfo(self, _: Mapping[str, Any]) -> web.Response:  # noqa: N802  # Telegram's name
        return _ok({"url": self.hook, "has_custom_certificate": False, "pending_update_count": len(self.updates)})

    async def _setWebhook(self, given: Mapping[str, Any]) -> web.Response:  # noqa: N802  # Telegram's name
        self.hook = str(given["url"])
        return _ok(True)

    async def _deleteWebhook(self, _: Mapping[str, Any]) -> web.Response:  # noqa: N802  # Telegram's name
        self.hook = ""
        return _ok(True)

    async def _getFile(self, given: Mapping[str, Any]) -> web.Response:  # noqa: N802  # Telegram's name
        name = str(given["file_id"])
        if name not in self.files:
            return self.refuse(
                "no such file", _error(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
            )
        if len(self.files[name]) > 20 << 20:
            return self.refuse("file too big", _error(400, "Bad Request: file is too big"))
        return _ok({"file_id": name, "file_unique_id": name, "file_path": f"documents/{name}"})

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["path"].removeprefix("documents/")
        if request.match_info["token"] != self._token or name not in self.files:
            return self.refuse("no such file", _error(404, "Not Found"))
        return web.Response(body=self.files[name])


async def _parameters(request: web.Request) -> tuple[dict[str, Any], bytes | None]:
    """Query, JSON or form, as Telegram takes them; a form's values are JSON where they can be."""
    given: dict[str, Any] = {name: _value(text) for name, text in request.query.items()}
    if request.content_type == "application/json":
        return {**given, **await request.json()}, None
    file = None
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.filename is None:
                given[part.name or ""] = _value(await part.text())
            else:
                file = bytes(await part.read())
                given[part.name or ""] = part.filename
    return given, file


def _value(text: str) -> Any:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return found if isinstance(found, int | dict | list) else text


def _ok(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _error(status: int, words: str, more: float | Mapping[str, int] = 0) -> web.Response:
    """`more`: seconds to wait, or parameters."""
    said: dict[str, Any] = {"ok": False, "error_code": status, "description": words}
    if more:
        said["parameters"] = more if isinstance(more, Mapping) else {"retry_after": int(more)}
    return web.json_response(said, status=status)
