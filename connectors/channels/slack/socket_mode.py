"""Socket Mode: Slack's events over a WebSocket that we dial ("Using Socket Mode").

What is not acknowledged comes again, on this connection or the next: so an envelope is acknowledged only when it is on
disk, and nothing is remembered here. slack-sdk's client would open sockets of its own, past the hub's guard.
"""

import msgspec
from msgspec import Struct

from connectors.channels.slack import events
from connectors.channels.slack.api import tell, told
from plugins import Call, Egress, HubPort, Link, Pause, Retry, Secret


class _Opened(Struct, frozen=True):
    url: str


class _Frame(Struct, frozen=True):
    type: str = ""
    envelope_id: str | None = None
    reason: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"")


async def run(hub: HubPort, api_url: str, token: Secret) -> None:
    """Until cancelled. Raises when Slack ends the connection without a word: the supervisor comes again, later."""
    link = await _dial(hub, api_url, token)
    try:
        while True:
            frame = await _next(link)
            if frame.type == "disconnect":  # announced: the new connection stands before the old one goes
                if frame.reason == "link_disabled":
                    raise Pause("Socket Mode was switched off in the app's settings")
                fresh = await _dial(hub, api_url, token)
                await link.close(1000)
                link = fresh
            elif frame.envelope_id is not None:
                await hub.receive(events.envelope(bytes(frame.payload), hub.clock.now()))
                await link.send(msgspec.json.encode({"envelope_id": frame.envelope_id}).decode())
    except ConnectionError as error:
        raise Retry("the connection to Slack broke") from error
    finally:
        await link.close(1000)


async def address(egress: Egress, api_url: str, token: Secret) -> Secret:
    """Where to dial; it holds a ticket, good for one connection."""
    call = tell(api_url, "apps.connections.open", token, {}, effect=False)
    return Secret(told(await egress.call(call), _Opened).url)


async def _dial(hub: HubPort, api_url: str, token: Secret) -> Link:
    return await hub.dial(Call(method="GET", url=await address(hub, api_url, token)))


async def _next(link: Link) -> _Frame:
    text = await link.receive()
    if text is None:
        raise Retry("Slack closed the connection")
    try:
        return msgspec.json.decode(text, type=_Frame)
    except (msgspec.MsgspecError, RecursionError):
        return _Frame()  # no envelope: there is nothing to acknowledge
