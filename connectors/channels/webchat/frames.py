"""The frames of the chat: JSON objects told apart by `t`.

A WebSocket carries one in a text frame. Where there is none, a POST to the same address carries a list of them as
strings, and its answer holds the list of those that came back.

    client → hub
    hello   v, session | jwt, after, poll     first, within 10 s; `after`: its last line; `poll`: it had its ready
    msg     cid, text, form, token, page      a line; `cid` is the client's id of it, the same when sent again
    file    cid, name, type, size             asks for leave to send a file: POST /in/{instance}/upload with X-Ticket,
                                              its body the file and, right behind its `size` bytes, the form as JSON
    seen    state, seq, at                    delivered or read, up to this line of the desk
    typing                                    ephemeral
    ping                                      answered with pong

    hub → client
    ready   v, conv, session, heartbeat_s, notices, max_file, seq
                                              lines after `seq` follow: `after`, or the end where that is beyond it
    ack     cid, id                           the line is on disk: it will not be lost, whatever happens
    line    seq, id, cid, from, text, at, files     recorded; `seq` has no gaps
    ticket  cid, ticket                       leave for one file
    seen    state, seq                        the mark is on disk
    refused cid, why                          too_long, unreadable, too_large, empty; `cid` "" if it can't be made out
    typing                                    somebody at the desk writes
    pong

Close codes: 4401 not who it says to be (forget the session) · 4403 this site may not · 4408 no hello in time ·
1009 a frame over 64 KiB · 1012 the hub restarts · 1013 later.

It departs from the sketch that it was built from: 10 s for hello instead of 5, since a hub to which ten thousand come
back after a restart needs some of them itself; no `seq` in `ack`, since that means "on disk", before anything is
recorded, and the number is given when it is: it follows in `line`; `after` and `seen` for `resume` and `read`, since
the conversation follows from the proof alone, and one frame has both marks.
"""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

VERSION = 1
LARGEST = 64 << 10
MOST_TEXT = 8000
HEARTBEAT = 25

Cid = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{8,64}$")]
Form = dict[Annotated[str, Meta(max_length=32)], Annotated[str, Meta(max_length=1000)]]


class Hello(Struct, frozen=True, kw_only=True, tag_field="t", tag="hello"):
    """Who, and from where on."""

    v: int = VERSION
    session: Annotated[str, Meta(max_length=8192)] | None = None
    jwt: Annotated[str, Meta(max_length=8192)] | None = None
    after: Annotated[int, Meta(ge=0, lt=1 << 31)] = 0
    poll: bool = False


class Msg(Struct, frozen=True, kw_only=True, tag_field="t", tag="msg"):
    """A line. `form` stands in the first one, and where an address was left."""

    cid: Cid
    text: Annotated[str, Meta(min_length=1)]
    form: Annotated[Form, Meta(max_length=20)] = {}
    token: Annotated[str, Meta(max_length=200)] = ""
    page: Annotated[str, Meta(max_length=1000)] = ""


class File(Struct, frozen=True, kw_only=True, tag_field="t", tag="file"):
    """What shall be uploaded."""

    cid: Cid
    name: Annotated[str, Meta(max_length=255)]
    type: Annotated[str, Meta(max_length=255)] = "application/octet-stream"
    size: Annotated[int, Meta(ge=0)]


class Seen(Struct, frozen=True, kw_only=True, tag_field="t", tag="seen"):
    """`at` is the line's own, as it came: the hub keeps marks by time. One that no line can have is refused at once."""

    state: Literal["delivered", "read"]
    seq: Annotated[int, Meta(ge=1, lt=1 << 31)]
    at: Annotated[datetime, Meta(tz=True)]

    def __post_init__(self) -> None:
        """Raises ValueError: some years are too early for the store."""
        if self.at.year < 2000:
            raise ValueError("no line is that old")


class Typing(Struct, frozen=True, kw_only=True, tag_field="t", tag="typing"):
    """For a moment."""


class Ping(Struct, frozen=True, kw_only=True, tag_field="t", tag="ping"):
    """Is anybody there?"""


Frame = Hello | Msg | File | Seen | Typing | Ping


_frame: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_form = msgspec.json.Decoder(Annotated[Form, Meta(max_length=20)])
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def read(text: str | bytes) -> Frame:
    """Raises one of `UNREADABLE`."""
    return _frame.decode(text)


def cid_of(text: str) -> str:
    """Which line an unreadable frame was to be, "" if it doesn't say.

    Python's own decoder takes what msgspec refuses, half of a surrogate pair above all: then the line can be named.
    """
    try:
        return msgspec.convert(json.loads(text)["cid"], Cid)
    except (*UNREADABLE, TypeError, KeyError):
        return ""


def read_form(raw: bytes) -> dict[str, str]:
    """What came behind a file, {} for nothing. Raises one of `UNREADABLE`."""
    return _form.decode(raw) if raw else {}


def frame(kind: str, **values: Any) -> str:
    """A frame of ours."""
    return msgspec.json.encode({"t": kind, **values}).decode()
