"""WhatsApp Cloud API as documented (https://developers.facebook.com/docs/whatsapp/cloud-api): one business number.

Stricter than the original in one thing: an unknown field is refused, where Graph would pass over most of them.
"""

import hashlib
import hmac
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from plugins.model import Identity
from plugins.testing.standins.base import Fault, Heard, StandIn

NUMBER = "106540352242922"
MAX_TEXT, MAX_TEMPLATE = 4096, 1024
TROUBLES: Mapping[str, tuple[int, int, str, str]] = {
    "recipient_unknown": (400, 131026, "Message undeliverable", "Receiver is incapable of receiving this message"),
    "recipient_blocked": (400, 131050, "Unable to deliver the message", "User has stopped marketing messages"),
    "window_closed": (400, 131047, "Re-engagement message", "More than 24 hours have passed since the last reply"),
    "not_allowed": (400, 131030, "Recipient phone number not in allowed list", "Add it to the recipient list"),
    "too_long": (400, 100, "(#100) Param text['body'] must be at most 4096 characters long.", ""),
    "media_unsupported": (400, 131053, "Media upload error", "Unsupported Video mime type"),
    "media_too_large": (400, 131053, "Media upload error", "File is too large"),
    "content_refused": (400, 131009, "Parameter value is not valid", "Please check the parameter values"),
    "token_revoked": (401, 190, "Error validating access token: the session is invalid", ""),
}
"""Code of `Refuse` → HTTP status, Meta's code, message, details."""
FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"body", "preview_url"}),
    "image": frozenset({"id", "caption"}),
    "audio": frozenset({"id"}),
    "video": frozenset({"id", "caption"}),
    "document": frozenset({"id", "caption", "filename"}),
    "template": frozenset({"name", "language", "components"}),
}
"""Kind of message → fields of the object that has its name."""
AROUND = frozenset({
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "type",
    "context",
    "biz_opaque_callback_data",
})
MEDIA: Mapping[str, tuple[str, int]] = {
    "image/jpeg": ("image", 5), "image/png": ("image", 5), "audio/ogg": ("audio", 16), "video/mp4": ("video", 16),
    "text/plain": ("document", 100), "application/pdf": ("document", 100),
}  # fmt: skip
"""Media type → kind of message and megabytes; some of those that Meta lists."""


class WhatsApp(StandIn):
    """One number, and everybody who writes to it."""

    kinds: ClassVar[tuple[str, ...]] = ("whatsapp",)
    troubles: ClassVar[Mapping[str, Any]] = TROUBLES
    rates = (("lane", 45, 270.0), ("instance", 80, 1.0))  # "Throughput", "Pair rate limits"
    person: ClassVar[Identity] = Identity(scheme="whatsapp", value="US.13491208655302741918")
    people: ClassVar[Mapping[str, tuple[str, str]]] = {
        "ann": ("15550001111", "US.13491208655302741918"),
        "bob": ("15550001112", "US.13491208655302741919"),
    }

    def __init__(self, token: str = "stand-in-token", secret: str = "stand-in-secret", word: str = "word") -> None:  # noqa: S107  # its own
        super().__init__()
        self.closed = False
        """The person's last message is over 24 hours old: templates alone."""
        self.templates: dict[tuple[str, str], int] = {("answer_waiting", "en"): 2}
        """(name, language) of those that are approved → number of their parameters."""
        self.files: dict[str, tuple[str, bytes]] = {}
        """Media id → media type and bytes, of both sides."""
        self.echoes: dict[str, str] = {}
        """Id of a message of ours → what its statuses repeat."""
        self._token, self._secret, self._word = token, secret, word
        self._numbers = itertools.count(1)

    def routes(self) -> Sequence[web.RouteDef]:
        """Nodes of the Graph, and where files lie."""
        return [
            web.post(r"/{version:v\d+\.\d+}/{node}/{edge:messages|media}", self._post),
            web.get(r"/{version:v\d+\.\d+}/{node}", self._node),
            web.get("/files/{node}", self._bytes),
        ]

    def has_effect(self, request: web.Request) -> bool:
        """An upload is seen by nobody."""
        return request.method == "POST" and request.path.endswith("/messages")

    def failed(self, fault: Fault) -> web.Response:
        """Limits are named in the body too."""
        said = _error(fault.status, 130429 if fault.status == 429 else 131016, "Told to", "")
        if fault.after:
            said.headers["Retry-After"] = f"{fault.after:g}"
        return said

    def refusal(self, trouble: str) -> web.Response:
        """By the table."""
        return _error(*TROUBLES[trouble])

    @property
    def table(self) -> Mapping[str, Any]:
        """Without a template."""
        return {
            "phone_number_id": NUMBER, "token": "env:WHATSAPP_TOKEN", "app_secret": "env:WHATSAPP_APP_SECRET",
            "verify_token": "env:WHATSAPP_VERIFY_TOKEN", "api_url": self.url,
        }  # fmt: skip

    @property
    def environ(self) -> Mapping[str, str]:
        """Token, secret and word."""
        return {
            "WHATSAPP_TOKEN": self._token, "WHATSAPP_APP_SECRET": self._secret, "WHATSAPP_VERIFY_TOKEN": self._word,
        }  # fmt: skip

    # ---- what people and Meta say ------------------------------------------------------------------------

    def says(self, text: str, *, who: str = "ann", private: bool = True, **more: Any) -> Any:
        """A notification with a message; `more` are fields of it (image, context). Nothing here is public."""
        body = {"text": {"body": text}} if text else {}
        return self._said(who, {"type": "text", **body, **more}) if private else None

    def edits(self, event: Any, text: str) -> Any:
        """A message of kind `edit`."""
        [original] = event["entry"][0]["changes"][0]["value"]["messages"]
        changed = {"original_message_id": original["id"], "message": {"type": "text", "text": {"body": text}}}
        return self._said("ann", {"type": "edit", "edit": changed})

    def status(self, ref: str, state: str, **more: Any) -> Any:
        """What became of a message of ours; `more`: `errors`."""
        said = {"id": ref, "status": state, "recipient_id": self.people["ann"][0], **more}
        if ref in self.echoes:
            said["biz_opaque_callback_data"] = self.echoes[ref]
        return self._event({"statuses": [said]})

    def signed(self, event: Any, at: datetime) -> tuple[Mapping[str, str], bytes]:
        """Meta escapes what is not ASCII as JSON can; the time is that of the first delivery."""
        value = event["entry"][0]["changes"][0]["value"]
        for each in (*value.get("messages", ()), *value.get("statuses", ())):
            each.setdefault("timestamp", str(int(at.timestamp())))
        body = json.dumps(event).encode()
        return {"x-hub-signature-256": "sha256=" + hmac.digest(self._secret.encode(), body, "sha256").hex()}, body

    def _said(self, who: str, message: Mapping[str, Any]) -> dict[str, Any]:
        phone, user = self.people[who]
        contact = {"profile": {"name": who.title()}, "wa_id": phone, "user_id": user}
        said = {"from": phone, "from_user_id": user, "id": f"wamid.in{next(self._numbers)}", **message}
        return self._event({"contacts": [contact], "messages": [said]})

    def _event(self, value: Mapping[str, Any]) -> dict[str, Any]:
        metadata = {"display_phone_number": "15550783881", "phone_number_id": NUMBER}
        value = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        change = {"value": value, "field": "messages"}
        return {"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [change]}]}

    # ---- the API -----------------------------------------------------------------------------------------

    def _door_closed(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return self.refuse("wrong token", _error(*TROUBLES["token_revoked"]))
        return None

    async def _post(self, request: web.Request) -> web.Response:
        if closed := self._door_closed(request):
            return closed
        if request.match_info["node"] != NUMBER:
            return self.refuse("no such number", _error(400, 100, "Unsupported post request", "", 33))
        return await (self._upload if request.match_info["edge"] == "media" else self._message)(request)

    async def _upload(self, request: web.Request) -> web.Response:
        given: dict[str, str] = {}
        kind, data = "", b""
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.filename is None:
                given[part.name or ""] = await part.text()
            else:
                kind, data = part.headers["Content-Type"], bytes(await part.read())
        if given != {"messaging_product": "whatsapp", "type": kind} or kind not in MEDIA:
            return self.refuse(f"upload of {kind}", _error(*TROUBLES["media_unsupported"]))
        if not 0 < len(data) <= MEDIA[kind][1] << 20:
            return self.refuse("upload too large", _error(*TROUBLES["media_too_large"]))
        name = str(next(self._numbers))
        self.files[name] = (kind, data)
        return web.json_response({"id": name})

    async def _message(self, request: web.Request) -> web.Response:
        given = await request.json()
        kind = given.get("type", "")
        to = next((w for w, p in self.people.items() if {given.get("to"), given.get("recipient")} & set(p)), "")
        why = self._why_not(given, kind, to)
        if why:
            return self.refuse(why[2], _error(*why))
        if self.too_fast(to):
            return _error(400, 131056, "(Business Account, Consumer Account) pair rate limit hit")
        ref = f"wamid.out{next(self._numbers)}"
        self.echoes[ref] = given.get("biz_opaque_callback_data", "")
        file = self.files[given[kind]["id"]][1] if kind in ("image", "audio", "video", "document") else None
        self.heard.append(Heard(to=to, text=_text(given, kind), ref=ref, file=file))
        return web.json_response({
            "messaging_product": "whatsapp", "contacts": [{"input": to, "wa_id": self.people[to][0]}],
            "messages": [{"id": ref}],
        })  # fmt: skip

    def _why_not(self, given: Mapping[str, Any], kind: str, to: str) -> tuple[int, int, str, str] | None:
        if given.get("messaging_product") != "whatsapp" or given.get("recipient_type", "individual") != "individual":
            return 400, 100, "The parameter messaging_product is required.", ""
        if kind not in FIELDS or given.keys() - AROUND != {kind} or given[kind].keys() - FIELDS[kind]:
            return 400, 100, f"Invalid parameter in {sorted(given)}", ""
        if not to:
            return TROUBLES["recipient_unknown"]
        if self.closed and kind != "template":
            return TROUBLES["window_closed"]
        if len(given.get("biz_opaque_callback_data", "")) > 512 or "message_id" not in given.get(
            "context", "message_id"
        ):
            return TROUBLES["content_refused"]
        if kind == "text":
            return _text_refused(given["text"])
        return self._template_refused(given["template"]) if kind == "template" else self._file_refused(given, kind)

    def _file_refused(self, given: Mapping[str, Any], kind: str) -> tuple[int, int, str, str] | None:
        media_type, _ = self.files.get(given[kind].get("id"), ("", b""))
        return None if MEDIA.get(media_type, ("",))[0] == kind else TROUBLES["media_unsupported"]

    def _template_refused(self, given: Mapping[str, Any]) -> tuple[int, int, str, str] | None:
        wanted = self.templates.get((given["name"], given["language"]["code"]))
        if wanted is None:
            return 404, 132001, "Template name does not exist in the translation", ""
        [body] = given["components"]
        if len(body["parameters"]) != wanted:
            return 400, 132000, "Number of parameters does not match the expected number of params", ""
        texts = [each["text"] for each in body["parameters"]]
        if any(re.search(r"[\n\t]|    ", text) or not text for text in texts):
            return 400, 132012, "Parameter format does not match format in the created template", ""
        if sum(map(len, texts)) > MAX_TEMPLATE:
            return 400, 132005, "Translated text too long", ""
        return None

    async def _node(self, request: web.Request) -> web.Response:
        if closed := self._door_closed(request):
            return closed
        node = request.match_info["node"]
        if node == NUMBER:
            return web.json_response({"display_phone_number": "1 555 078 3881", "verified_name": "Desk", "id": NUMBER})
        if node not in self.files:
            return self.refuse("no such file", _error(400, 100, "Unsupported get request. Object does not exist", ""))
        kind, data = self.files[node]
        return web.json_response({
            "messaging_product": "whatsapp", "url": f"{self.url}/files/{quote(node)}", "mime_type": kind,
            "sha256": hashlib.sha256(data).hexdigest(), "file_size": str(len(data)), "id": node,
        })  # fmt: skip

    async def _bytes(self, request: web.Request) -> web.Response:
        if closed := self._door_closed(request):
            return closed
        return web.Response(body=self.files[request.match_info["node"]][1])


def _text(given: Mapping[str, Any], kind: str) -> str:
    if kind == "template":
        return " ".join(each["text"] for each in given["template"]["components"][0]["parameters"])
    return str(given[kind].get("body", ""))


def _text_refused(given: Mapping[str, Any]) -> tuple[int, int, str, str] | None:
    body = given.get("body", "")
    if len(body.encode("utf-16-le")) // 2 > MAX_TEXT:
        return TROUBLES["too_long"]
    return None if body.strip() else TROUBLES["content_refused"]


def _error(status: int, code: int, message: str, details: str = "", subcode: int = 0) -> web.Response:
    said: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1"}
    if details:
        said["error_data"] = {"messaging_product": "whatsapp", "details": details}
    if subcode:
        said["error_subcode"] = subcode
    return web.json_response({"error": said}, status=status)
