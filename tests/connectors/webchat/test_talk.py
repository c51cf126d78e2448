"""What a connection does with a peer that is slow, with a hub that is full."""

import json

from connectors.channels.webchat import Webchat
from connectors.channels.webchat.settings import Users, WebchatSettings
from plugins import Busy, Request, Secret
from plugins.testing.stubs import START, StubHub
from tests.connectors.webchat.test_sessions import KEY, token

SITE = "https://www.acme.test"
MSG = json.dumps({"t": "msg", "cid": "abcdefgh", "text": "VPN down"})
HELLO = json.dumps({"t": "hello"})


class Link:
    """Gives what it was given, then raises or says that the peer has gone."""

    def __init__(self, *frames, then=None):
        self.request = Request(method="GET", url="https://hub.acme.test/ws/chat", headers={"origin": SITE}, at=START)
        self.frames, self.then = list(frames), then
        self.sent, self.code = [], 0

    async def receive(self):
        if self.frames:
            return self.frames.pop(0)
        if self.then:
            raise self.then
        return None

    async def send(self, text):
        self.sent.append(json.loads(text))

    async def close(self, code):
        self.code = code


class FullHub(StubHub):
    async def receive(self, *envelopes, **more):
        raise Busy("the hub is stopping")


async def served(link, hub):
    settings = WebchatSettings(secrets=(Secret("s" * 40),), origins=(SITE,))
    await Webchat("chat", settings).serve(link, hub)
    return link


async def test_late_hello_is_not_a_false_session():
    """4401 makes a widget forget its session; a slow one must keep it."""
    assert (await served(Link(then=TimeoutError()), StubHub())).code == 4408


async def test_hub_that_stops_asks_to_come_later_and_acknowledges_nothing():
    link = await served(Link(HELLO, MSG), FullHub())
    assert link.code == 1013
    assert [frame["t"] for frame in link.sent] == ["ready"]


async def test_many_frames_are_read_more_slowly_and_all_are_kept():
    hub = StubHub()
    many = [json.dumps({"t": "msg", "cid": f"abcdef{n:03}", "text": "x"}) for n in range(100)]
    link = await served(Link(HELLO, *many), hub)
    assert [frame["t"] for frame in link.sent] == ["ready", *["ack"] * 100]
    assert (hub.clock.now() - START).total_seconds() >= 10


async def test_place_beyond_the_end_is_the_end_and_marks_from_there_fill_no_disk():
    hub = StubHub()
    marks = [{"t": "seen", "state": "read", "seq": n + 1, "at": START.isoformat()} for n in range(30)]
    link = await served(Link(json.dumps({"t": "hello", "after": (1 << 31) - 1}), *map(json.dumps, marks)), hub)
    assert [link.sent[0]["t"], link.sent[0]["seq"], len(link.sent)] == ["ready", 0, 31]
    assert hub.envelopes == {}


async def test_window_that_polls_is_told_of_a_place_beyond_the_end_too():
    first = await served(Link(HELLO), StubHub())
    again = {"t": "hello", "session": first.sent[0]["session"], "poll": True}
    assert (await served(Link(json.dumps(again)), StubHub())).sent == []
    (ready,) = (await served(Link(json.dumps(again | {"after": 7})), StubHub())).sent
    assert ready["seq"] == 0


async def test_refusal_names_the_line_that_could_not_be_read():
    odd = ['{"t":"msg","cid":"abcdefgh","text":"half \\ud83d"}', '{"t":"msg","cid":"abcdefgi","text":1}', "[", "{}",
           '{"t":"msg","cid":"../x","text":"x"}', "[" * 60_000, '{"cid":' + "9" * 5000 + "}"]  # fmt: skip
    link = await served(Link(HELLO, *odd), StubHub())
    assert [(frame["cid"], frame["why"]) for frame in link.sent[1:]] == [
        (cid, "unreadable") for cid in ("abcdefgh", "abcdefgi", "", "", "", "", "")
    ]


async def test_longest_ticket_fits_into_a_header():
    """aiohttp takes lines of 8,190 bytes."""
    file = {"t": "file", "cid": "a" * 64, "name": "\x01" * 255, "type": "\x01" * 255, "size": 7}
    users = Users(key=Secret(KEY), audience="chat", issuer="i" * 200)
    link = Link(json.dumps({"t": "hello", "jwt": token(iss="i" * 200, sub="\x01" * 255, exp=4e9)}), json.dumps(file))
    await Webchat("c" * 32, WebchatSettings(secrets=(Secret("s" * 40),), origins=(SITE,), users=users)).serve(
        link, StubHub()
    )
    assert len("X-Ticket: " + link.sent[1]["ticket"]) < 8190


async def test_no_secret_and_no_session_reach_the_journal():
    hub = StubHub()
    link = await served(Link(HELLO, MSG), hub)
    (envelope,) = hub.envelopes.values()
    session = link.sent[0]["session"]
    assert session.rpartition(".")[2] not in repr(envelope)
    assert envelope.raw == MSG.encode()
