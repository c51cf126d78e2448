"""Twilio as documented (https://www.twilio.com/docs/messaging/api, /voice/twiml), as far as a help desk uses it.

Two stand-ins, one for each kind: text messages, and calls, which walk our TwiML (`twilio_calls`). Stricter than the
original in one thing: an unknown parameter is refused, where Twilio would pass over it.
"""

import base64
import binascii
import hashlib
import hmac
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web

from plugins.model import Identity, Request
from plugins.testing.standins.base import Fault, Heard, StandIn
from plugins.testing.stubs import START

ACCOUNT = "AC00000000000000000000000000000001"
OURS = "+15550002222"
PEOPLE = {"ann": "+15550001111", "bob": "+15550001112"}
MAX_TEXT = 1600
PARAMETERS = frozenset({"To", "From", "MessagingServiceSid", "Body", "MediaUrl", "StatusCallback", "ValidityPeriod"})
TROUBLES: Mapping[str, tuple[int, int, str]] = {
    "recipient_unknown": (400, 21211, "The 'To' number is not a valid phone number."),
    "recipient_blocked": (400, 21610, "Attempt to send to unsubscribed recipient"),
    "not_allowed": (400, 21408, "Permission to send an SMS has not been enabled for the region"),
    "too_long": (400, 21617, "The concatenated message body exceeds the 1600 character limit"),
    "media_unsupported": (400, 21620, "Invalid media URL(s)"),
    "content_refused": (400, 21602, "Message body is required."),
    "token_revoked": (401, 20003, "Authenticate"),
}
STATES = frozenset({
    "accepted", "scheduled", "queued", "sending", "sent", "delivered", "undelivered", "failed", "read", "canceled",
    "receiving", "received", "partially_delivered",
})  # fmt: skip


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """X-Twilio-Signature, written apart from the connector's."""
    said = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), said.encode(), hashlib.sha1).digest()).decode()


class Account:
    """What both stand-ins have: an account with a token, and people with numbers."""

    def __init__(self, token: str = "stand-in-token") -> None:  # noqa: S107  # its own
        super().__init__()
        self.public = ""
        """The instance's URL as the hub believes it, where a proxy stands between; Twilio signs that one."""
        self._token = token
        self._numbers = itertools.count(1)

    @property
    def environ(self) -> Mapping[str, str]:
        """The token."""
        return {"TWILIO_TOKEN": self._token}

    def refusal(self, trouble: str) -> web.Response:
        """By the table."""
        return error(*TROUBLES[trouble])

    def sid(self, kind: str) -> str:
        """A new SID of that kind."""
        return f"{kind}{next(self._numbers):032x}"

    def headers(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        """Of a webhook that Twilio signs."""
        return {
            "x-twilio-signature": signature(self._token, url, form),
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        }

    def knows(self, request: web.Request) -> bool:
        """Basic authorization by SID and token."""
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        try:
            return scheme == "Basic" and base64.b64decode(pair, validate=True) == f"{ACCOUNT}:{self._token}".encode()
        except binascii.Error:
            return False


class TwilioSms(Account, StandIn):
    """One number for text messages, and everybody who writes to it."""

    kinds: ClassVar[tuple[str, ...]] = ("twilio_sms",)
    troubles: ClassVar[Mapping[str, Any]] = TROUBLES
    rates = (("lane", 15, 30.0),)  # "How many calls and SMS messages per second": between two numbers
    person: ClassVar[Identity] = Identity(scheme="tel", value=PEOPLE["ann"])

    def __init__(self, token: str = "stand-in-token") -> None:  # noqa: S107  # its own
        super().__init__(token)
        self.stopped: set[str] = set()
        """Numbers that wrote STOP."""
        self.files: dict[str, bytes] = {}
        self.callbacks: dict[str, str] = {}
        """SID → where its states go."""
        self._made: list[dict[str, Any]] = []

    def routes(self) -> Sequence[web.RouteDef]:
        """Messages, numbers, media."""
        account = f"/2010-04-01/Accounts/{ACCOUNT}"
        return [
            web.post(f"{account}/Messages.json", self._create),
            web.get(f"{account}/Messages.json", self._list),
            web.get(f"{account}/IncomingPhoneNumbers.json", self._own),
            web.get(f"{account}/Messages/{{sid}}/Media/{{name}}", self._file),
            web.get("/signed/{name}", self._signed_file),
        ]

    def failed(self, fault: Fault) -> web.Response:
        """429 with its code."""
        return error(fault.status, 20429 if fault.status == 429 else 20500, "Too Many Requests", fault.after)

    @property
    def table(self) -> Mapping[str, Any]:
        """Settings."""
        return {"account": ACCOUNT, "tokens": ["env:TWILIO_TOKEN"], "number": OURS, "api_url": self.url}

    def says(self, text: str, *, who: str = "ann", private: bool = True, **more: str) -> Any:
        """The parameters of a message; None for public ones, which there are not."""
        if not private:
            return None
        sid = self.sid("SM")
        self.stopped -= {PEOPLE[who]} if text.strip().upper() in ("START", "UNSTOP", "YES") else set()
        self.stopped |= {PEOPLE[who]} if text.strip().upper() in ("STOP", "UNSUBSCRIBE") else set()
        return {
            "ToCountry": "US", "ToState": "", "SmsMessageSid": sid, "NumMedia": "0", "SmsSid": sid,
            "SmsStatus": "received", "FromCountry": "US", "Body": text, "To": OURS, "NumSegments": "1",
            "MessageSid": sid, "AccountSid": ACCOUNT, "From": PEOPLE[who], "ApiVersion": "2010-04-01", **more,
        }  # fmt: skip

    def edits(self, event: Any, text: str) -> Any:
        """There are none."""
        return None

    def becomes(self, sid: str, state: str, code: int = 0) -> dict[str, str]:
        """A status callback."""
        assert state in STATES
        more = {"ErrorCode": str(code)} if code else {}
        return {"MessageSid": sid, "MessageStatus": state, "AccountSid": ACCOUNT, "From": OURS, **more}

    def request(self, event: Any, at: datetime = START) -> Request:
        """States go to where the message said."""
        url = self._url(event)
        headers, body = self.signed(event, at)
        tail = "status" if "MessageStatus" in event else ""
        return Request(method="POST", url=url, tail=tail, headers=headers, body=body, at=at)

    def signed(self, event: Any, at: datetime) -> tuple[Mapping[str, str], bytes]:
        """Over the URL and all parameters; no time is signed."""
        return self.headers(self._url(event), event), urlencode(event).encode()

    async def tell(self, event: dict[str, str]) -> int:
        """A status callback, to where the message asked for it."""
        url = self.callbacks[event["MessageSid"]]
        place = url.replace(self.public, self.hook, 1) if self.public else url
        async with (
            aiohttp.ClientSession() as session,
            session.post(place, data=urlencode(event).encode(), headers=self.headers(url, event)) as response,
        ):
            return response.status

    def queue(self, events: Sequence[Any]) -> None:
        """Twilio calls; nothing fetches."""
        raise AssertionError("there is no poller")

    def _url(self, event: Mapping[str, str]) -> str:
        return (self.public or self.hook or "https://hub.acme.test/in/sample/") + (
            "status" if "MessageStatus" in event else ""
        )

    # ---- the API -------------------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.Response:
        if not self.knows(request):
            return self.refuse("wrong token", self.refusal("token_revoked"))
        pairs = parse_qsl(await request.text(), keep_blank_values=True)
        given = dict(pairs)
        why = self._why_not(given, len(pairs))
        if why:
            return self.refuse(why[2], error(*why))
        if self.too_fast(given["To"]):
            return error(429, 20429, "Too Many Requests", 1)
        made = {
            "sid": self.sid("SM"), "account_sid": ACCOUNT, "to": given["To"], "from": given.get("From"),
            "body": given["Body"], "status": "queued", "direction": "outbound-api", "num_media": "0",
            "num_segments": "1", "error_code": None, "error_message": None,
            "date_created": format_datetime(datetime.now(UTC)),
        }  # fmt: skip
        self._made.append(made)
        self.callbacks[made["sid"] or ""] = given.get("StatusCallback", "")
        self.heard.append(Heard(to=given["To"], text=given["Body"], ref=str(made["sid"])))
        return web.json_response(made, status=201)

    def _why_not(self, given: Mapping[str, str], number: int) -> tuple[int, int, str] | None:
        if given.keys() - PARAMETERS or len(given) != number:
            return 400, 20001, f"unknown or repeated: {', '.join(sorted(given.keys() - PARAMETERS))}"
        if not given.get("To", "").startswith("+") or given["To"] not in PEOPLE.values():
            return TROUBLES["recipient_unknown"]
        if ("From" in given) == ("MessagingServiceSid" in given) or given.get("From", OURS) != OURS:
            return 400, 21603, "A 'From' number or a messaging service is required, and must be yours"
        if given["To"] in self.stopped:
            return TROUBLES["recipient_blocked"]
        body = given.get("Body", "")
        if not body.strip():
            return TROUBLES["content_refused"]
        if len(body.encode("utf-16-le")) // 2 > MAX_TEXT:
            return TROUBLES["too_long"]
        if not given.get("StatusCallback", "http").startswith("http"):
            return 400, 21609, f"The 'StatusCallback' URL {given['StatusCallback']} is not a valid URL"
        return None

    async def _list(self, request: web.Request) -> web.Response:
        if not self.knows(request):
            return self.refuse("wrong token", self.refusal("token_revoked"))
        unknown = request.query.keys() - {"To", "From", "DateSent>", "PageSize"}
        if unknown:
            return self.refuse("unknown", error(400, 20001, ", ".join(sorted(unknown))))
        wanted = request.query.get("To")
        found = [made for made in reversed(self._made) if wanted in (None, made["to"])]
        return web.json_response({"messages": found, "page": 0, "next_page_uri": None})

    async def _own(self, request: web.Request) -> web.Response:
        if not self.knows(request):
            return self.refuse("wrong token", self.refusal("token_revoked"))
        mine = request.query.get("PhoneNumber", OURS) == OURS
        number = {"phone_number": OURS, "sms_url": self.hook, "voice_url": self.hook}
        return web.json_response({"incoming_phone_numbers": [number] if mine else []})

    async def _file(self, request: web.Request) -> web.Response:
        if not self.knows(request):
            return self.refuse("wrong token", self.refusal("token_revoked"))
        if request.match_info["name"] not in self.files:
            return self.refuse("no such file", error(404, 20404, "not found"))
        return web.Response(status=307, headers={"Location": f"{self.url}/signed/{request.match_info['name']}"})

    async def _signed_file(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            return self.refuse("credentials sent elsewhere", web.Response(status=400))
        return web.Response(body=self.files[request.match_info["name"]])


def error(status: int, code: int, words: str, after: float = 0) -> web.Response:
    """As Twilio says it."""
    said = {"code": code, "message": words, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    headers = {"Retry-After": f"{after:g}"} if after else {}
    return web.json_response(said, status=status, headers=headers)
