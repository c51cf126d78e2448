"""A turn of the menu in Twilio's words (https://www.twilio.com/docs/voice/twiml)."""

import re
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement, tostring  # built here, never parsed

from msgspec import Struct

from plugins import Reply, voice

LONGEST = 4000
"""Characters of one `<Say>`; Twilio takes 4096."""
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2


class Place(Struct, frozen=True, kw_only=True):
    """Where a call stands: it travels in our URLs, which only Twilio calls, and signs."""

    node: str
    language: str
    step: int = 0
    """Counts what the call has asked us: no two requests of a call are the same, a repeated one is."""
    tries: int = 0

    def url(self, base: str, path: str = "step", **more: str) -> str:
        """Of the request that brings the answer."""
        asked = {"n": str(self.step), "t": str(self.tries), "l": self.language, **more}
        return f"{base}{path}/{self.node}?{urlencode(asked)}"


def response(turn: voice.Turn, base: str, step: int, tries: int = 0) -> Reply:
    """Read it out, then wait for what the turn waits for."""
    root = Element("Response")
    for speak in turn.said:
        _say(root, speak.text, speak.language)
    place = Place(node=turn.node, language=turn.language, step=step, tries=tries)
    action = {"action": place.url(base), "method": "POST"}
    last = turn.last
    if isinstance(last, voice.Listen):
        _gather(root, last, turn.language, action)
    elif isinstance(last, voice.Record):
        _record(root, last, base, action)
    elif isinstance(last, voice.Ring):
        dial = SubElement(root, "Dial", {**action, "timeout": str(min(last.seconds, 600)), "answerOnBridge": "true"})
        SubElement(dial, "Sip" if last.number.startswith("sip:") else "Number").text = last.number
    elif isinstance(last, voice.Wait):
        SubElement(root, "Enqueue", action).text = _clean(last.queue)
    else:
        SubElement(root, "Hangup")
    return _reply(root)


def redirect(url: str) -> Reply:
    """Ask us again, there."""
    root = Element("Response")
    SubElement(root, "Redirect", {"method": "POST"}).text = url
    return _reply(root)


def goodbye(text: str, language: str) -> Reply:
    """Say it and hang up."""
    root = Element("Response")
    _say(root, text, language)
    SubElement(root, "Hangup")
    return _reply(root)


def nothing() -> Reply:
    """The answer to what waits for no words."""
    return _reply(Element("Response"))


def _gather(root: Element, last: voice.Listen, language: str, action: dict[str, str]) -> None:
    how = [word for word, wanted in (("dtmf", last.digits), ("speech", last.speech)) if wanted]
    given = {"input": " ".join(how), "timeout": str(last.wait), "actionOnEmptyResult": "true", **action}
    if last.digits:
        given["numDigits"] = str(last.digits)
    if last.speech:
        given |= {"language": language, "speechTimeout": "auto"}
    if last.hints:
        given["hints"] = _clean(", ".join(last.hints))
    _say(SubElement(root, "Gather", given), last.prompt, language)


def _record(root: Element, last: voice.Record, base: str, action: dict[str, str]) -> None:
    given = {"maxLength": str(last.seconds), "playBeep": "true", "finishOnKey": "#", **action}
    given |= {
        "recordingStatusCallback": f"{base}recording",
        "recordingStatusCallbackEvent": "completed absent",
    }
    if last.transcribe:
        given |= {"transcribe": "true", "transcribeCallback": f"{base}transcript"}
    SubElement(root, "Record", given)


def _say(parent: Element, text: str, language: str) -> None:
    if text := _clean(text)[:LONGEST]:
        SubElement(parent, "Say", {"language": language}).text = text


def _clean(text: str) -> str:
    return _NO_XML.sub(" ", text).strip()


def _reply(root: Element) -> Reply:
    body = b'<?xml version="1.0" encoding="UTF-8"?>' + tostring(root, encoding="utf-8")
    return Reply(type="text/xml; charset=utf-8", body=body)
