"""Mail that machines write: bounces, receipts, complaints, auto-replies, lists.

It is never answered, and tied to the message that it is about.
"""

from typing import Any, Literal, NamedTuple

import re2

from connectors.channels.email.headers import Headers, message_ids, read_headers
from connectors.channels.email.mime import Part, Tree
from connectors.channels.email.options import Limits

Automatic = Literal["", "reply", "bounce", "receipt", "report", "list", "bulk"]
State = Literal["", "failed", "delivered", "read"]


class Report(NamedTuple):
    """What kind of automatic mail it is and what it says of an earlier one."""

    kind: Automatic
    original: str = ""
    """Message-ID or envelope id that it reports about."""
    state: State = ""
    reason: str = ""


_LOOKED_AT = 64 << 10
_DAEMON = re2.compile(
    r"(?i)^(?:.*mailer-?_?daemon.*|post_?master.*|mail-?daemon|mdaemon.*|mail_?master|maildelivery|"
    r"mail[._-]?(?:delivery[._-]?)?sys.*|mail_delivery.*|"
    r"bounces?|bounces?[-+].*|.*bouncenotif.*|smtpd?|nobody|microsoftexchange.*|.*delivery-?(?:status|"
    r"notification|failure).*|"
    r"mmsadmin|info\.mail.*|mail-?admin.*|email-?bounce.*|.*undelivered.*|amavis.*|scanner|virus.*)@"
)
_UNDELIVERED = re2.compile(
    r"(?i)undeliver|(?:mail|message|e-?mail|delivery).{0,30}(?:fail|delay|error|problem|not deliver|"
    r"return|bounc|status)|failure notice|"
    r"failed (?:mail|delivery)|returned (?:mail|e?-?mail|message|to sender)|(?:could|can)(?:not| not|"
    r"n't) be delivered|not delivered|"
    r"delivery (?:report|notification|has failed|attempt)|rejected mail|bounced|"
    r"warning: could not send|non[- ]deliver|nondeliverable|"
    r"unable to deliver|unknown (?:user|recipient|address)|user unknown|mailbox (?:full|unavailable)|"
    r"permanent(?:ly)? fail|"
    r"unzustellbar|zustellung.{0,20}(?:fehl|nicht|status|benachrichtigung)|nicht zugestellt|non remis|"
    r"non distribu|échec|non recapitat|"
    r"mancata consegna|no (?:se )?(?:ha podido )?entreg|devuelto|não entreg|devolvid|onbestelbaar|"
    r"niet bezorgd|nie dostarcz|"
    r"не доставлен|недоставлен|невозможно доставить|配信|不达|退信|投递|送信.{0,6}(?:エラー|失敗)|"
    r"エラーメール|無法投遞|undelivered|"
    r"virus (?:found|alert|detected)|spam.{0,20}reject|blocked|mail system error|user not found|no such user|エラー通知"
)
_CAUSE = re2.compile(
    r"(?i)\b[45]\d\d[ -]#?[45]\.\d{1,3}\.\d{1,3}\b|\b5[05]\d[ :-]|\b[45]\.\d\.\d{1,3}\b|"
    r"user (?:is )?unknown|unknown user|no such user|"
    r"does ?n.t (?:exist|have)|does not exist|not (?:found|exist|known|listed|accepted|a valid)|"
    r"over ?quota|quota exceeded|mailbox.{0,30}full|"
    r"unrouteable|undeliverable|(?:could|was|can|be)(?: not|n't|not) (?:be )?(?:deliver|sen[dt]|reach|"
    r"relay)|unable to deliver|rejected|"
    r"host (?:unknown|not found)|failed (?:permanently|address|recipient)|permanent(?:ly)? (?:error|"
    r"fail)|delivery.{0,60}fail|invalid (?:recipient|address)|"
    r"returned to sender|undelivered|did not reach|not reach|not delivered|message size|exceed|"
    r"timed? ?out|retry|queued? (?:too long|for)|blocked|refused|"
    r"存在しません|見つかり|配信できません|配信でき|届け|容量|宛先|エラー|unavailable|suspended|"
    r"disabled|virus|spam|non-?existent|denied"
)
_AUTOREPLY = re2.compile(
    r"(?i)^\W*(?:auto(?:matic|mated)?[- ]?(?:reply|repl[yi]es|response|responder|answer)|"
    r"out[- ]of[- ](?:the[- ])?office(?: reply)?|"
    r"ooo|automatische (?:antwort|abwesenheitsantwort)|abwesenheits(?:notiz|nachricht|meldung|"
    r"assistent)|réponse automatique|"
    r"message d.absence|respuesta automática|respuesta autom[aá]tica|fuera de (?:la )?oficina|"
    r"risposta automatica|fuori (?:sede|ufficio)|"
    r"resposta autom[aá]tica|fora do escritório|automatisch antwoord|afwezigheids(?:melding|bericht)|"
    r"autosvar|automatisk svar|"
    r"automatiskt svar|frånvaromeddelande|fraværsbesked|automaattinen vastaus|poissaoloilmoitus|"
    r"автоответ(?:чик)?|автоматический ответ|"
    r"odpowiedź automatyczna|autoodpowiedź|automatická odpověď|otomatik yanıt|自動返信|自动回复|"
    r"自動回覆|不在通知|자동 ?회신|자동 ?응답)"
    r"\s*(?:[-:：(\[–—].*)?$"
)
_AWAY = re2.compile(
    r"(?i)\b(?:vacation|out of office|on (?:holiday|vacation|leave)|away from|abwesen|absence|absent|"
    r"ausencia|assenza|ausência|afwezig|"
    r"frånvaro|fravær|poissa|nieobecno|nepřítom|отпуск)|不在|休暇|休假|부재"
)
_NOTIFIED = re2.compile(r'(?i)^\s*\{\s*"(?:notificationType|eventType)"\s*:\s*"(bounce|complaint)"')
"""Amazon SES reports by mail through SNS (its documentation, "Notification contents")."""
_COMPLAINT = re2.compile(r"(?i)^\s*complaint about message from \d")
"""Hotmail's feedback loop (JMRP), which is no ARF."""
_LATER = re2.compile(
    r"(?i)will (?:be )?(?:retried|keep trying|continue|try again)|still (?:being )?(?:trying|retried)|"
    r"not yet been delivered|delayed|warning"
)
_NO_REPLY = re2.compile(
    r"(?i)^(?:no-?_?reply|do-?_?not-?_?reply|donotreply|notifications?|newsletter|mailings?|news)(?:[-+._].*)?@"
)
_ID = re2.compile(r"(?im)^[\s>|:*-]*message-?id\s*:?\s*<([^<>\s]{3,500})>")
_STATUS = re2.compile(
    r"(?im)^(action|status|diagnostic-code|final-recipient|original-envelope-id|"
    r"feedback-type)\s*:[ \t]*([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
)
_DISPOSITION = re2.compile(
    r"(?im)^(disposition|original-message-id|original-recipient)\s*:[ \t]*([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
)
_CODE = re2.compile(r"\b[45]\.\d{1,3}\.\d{1,3}\b")


def classify(tree: Tree, head: Headers, sender: str, null: bool, subject: str, text: str) -> Report:
    """Say what kind of automatic mail this is; structured reports first, then what headers say, heuristics last.

    `null`: the reverse path of the mail was empty. `sender` is "" if the mail names nobody.
    """
    leaves = [part for part, _ in zip(tree.root.walk(), range(50), strict=False)]
    kinds = {part.type: part for part in reversed(leaves)}
    limits = tree.limits
    for kind, read in (
        ("message/feedback-report", _complaint),
        ("message/disposition-notification", _receipt),
        ("message/delivery-status", _status),
        ("message/global-delivery-status", _status),
    ):
        if kind in kinds:
            return read(kinds[kind], leaves, limits)
    if notified := _NOTIFIED.search(text[:500]):
        return Report("report" if notified[1].lower() == "complaint" else "bounce")
    if _COMPLAINT.search(subject) and "message/rfc822" in kinds:
        return Report("report", original_id(leaves, limits))
    return _bounce(leaves, sender, null, subject, text, limits) or _said(head, sender, null, subject)


def _complaint(part: Part, leaves: list[Part], limits: Limits) -> Report:
    said = _fields(_STATUS, part)
    return Report("report", original_id(leaves, limits), reason=said.get("feedback-type", [""])[0])


def _receipt(part: Part, leaves: list[Part], limits: Limits) -> Report:
    said = _fields(_DISPOSITION, part)
    mode, _, fate = said.get("disposition", [""])[0].lower().partition(";")
    ids = message_ids(said.get("original-message-id", [""])[0].encode("utf-8", "replace"))
    state: State = "read" if "displayed" in fate else "failed" if "failed" in fate or "denied" in fate else "delivered"
    return Report("receipt", ids[-1] if ids else original_id(leaves, limits), state, (fate or mode).strip()[:200])


def _status(part: Part, leaves: list[Part], limits: Limits) -> Report:
    """A DSN (RFC 3464). A delay says nothing final; a failure of any recipient outweighs the rest."""
    said = _fields(_STATUS, part)
    actions = {action.split()[0].lower() for action in said.get("action", []) if action.split()}
    statuses = said.get("status", [])
    fatal = "failed" in actions or (not actions and any(status.startswith("5") for status in statuses))
    state: State = "failed" if fatal else "delivered" if actions & {"delivered", "relayed", "expanded"} else ""
    about = original_id(leaves, limits) or next(iter(said.get("original-envelope-id", [])), "").strip("<> ")
    reason = " ".join([*statuses[:1], *said.get("diagnostic-code", [])[:1]])
    return Report("bounce", about, state, " ".join(reason.split())[:500])


def _fields(pattern: Any, part: Part) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pattern.findall(part.body()[:_LOOKED_AT].decode("utf-8", "replace")):
        found.setdefault(name.lower(), []).append(" ".join(value.split()))
    return found


def original_id(leaves: list[Part], limits: Limits) -> str:
    """The Message-ID of the mail that is returned with the report, "" if it isn't there."""
    for part in leaves:
        if part.type in {
            "message/rfc822",
            "message/global",
            "text/rfc822-headers",
            "message/rfc822-headers",
            "text/rfc822",
        }:
            data = part.body()[:_LOOKED_AT]
            ids = message_ids(read_headers(data, 0, len(data), limits).raw("message-id"))
            if ids:
                return ids[0]
    return ""


def _bounce(leaves: list[Part], sender: str, null: bool, subject: str, text: str, limits: Limits) -> Report | None:
    """Bounces of systems that know no DSN: a machine writes, and says that mail was not delivered."""
    text = text[:_LOOKED_AT]
    daemon = null or not sender or _DAEMON.search(sender) is not None or _NO_REPLY.search(sender) is not None
    titled = _UNDELIVERED.search(subject) is not None
    told = _CAUSE.search(text) is not None
    returned = _ID.search(text)
    if not daemon or not (titled or told) or (not titled and _AUTOREPLY.search(subject)):
        return None  # people who write about a bounce quote all its words: the sender decides
    code = _CODE.search(text)
    about = original_id(leaves, limits) or (returned[1] if returned else "")
    return Report("bounce", about, "" if _LATER.search(subject) else "failed", code[0] if code else "")


def _said(head: Headers, sender: str, null: bool, subject: str) -> Report:
    submitted = head.text("auto-submitted", 100).lower().partition(";")[0].strip()
    precedence = head.text("precedence", 40).lower()
    machine = submitted not in {"", "no"} or precedence in {"bulk", "junk"} or head.raw("x-auto-response-suppress")
    if (
        (machine and _AWAY.search(subject))
        or submitted == "auto-replied"
        or precedence in {"auto_reply", "auto-reply"}
        or any(head.raw(name) for name in ("x-autoreply", "x-autorespond", "x-autoreply-from", "x-auto-reply-from"))
        or _AUTOREPLY.search(subject)
        or (null and not submitted)
    ):
        return Report("reply")
    if head.raw("list-id") or head.raw("list-post") or precedence == "list":
        return Report("list")
    bulk = (
        submitted not in {"", "no"}
        or precedence in {"bulk", "junk"}
        or head.raw("list-unsubscribe")
        or head.raw("feedback-id")
    )
    return Report("bulk" if bulk or _NO_REPLY.search(sender) or _DAEMON.search(sender) else "")
