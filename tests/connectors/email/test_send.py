"""Sending to a real SMTP server: each failure by what the hub does next (F61), and nothing without TLS (S21)."""

import asyncio
import hashlib
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from connectors.channels.email import Email
from connectors.channels.email.settings import EmailSettings, OAuth, Smtp
from plugins import Answer, Done, Identity, MediaRef, Outgoing, Pause, Refuse, Retry, Secret, Uncertain
from tests.certificates import Authority
from tests.connectors.email.kit import ADDRESS, Attempt
from tests.faultproxy import Fault, FaultProxy
from tests.smtpsink import SmtpSink


def desk(port: int = 0, **more: Any) -> Email:
    outer = {name: more.pop(name) for name in ("oauth",) if name in more}
    smtp = Smtp(**{"host": "127.0.0.1", "port": port, "tls": "none", "timeout": 5.0} | more) if port else None
    return Email("desk", EmailSettings(address=ADDRESS, smtp=smtp, **outer))


def work(**more: Any) -> Outgoing:
    given = {"key": "k1.sig", "to": Identity(scheme="email", value="ann@acme.test"), "text": "Hello", "subject": "VPN"}
    return Outgoing(**given | more)


async def perform(email: Email, attempt: Attempt | None = None, **more: Any) -> Done:
    (step,) = email.plan(work(**more))
    return await email.perform(step, attempt or Attempt())


async def test_mail_goes_out_with_its_key_as_reference(smtp_sink: SmtpSink):
    attempt = Attempt()
    done = await perform(desk(smtp_sink.port), attempt)
    (taken,) = smtp_sink.taken
    assert (taken.mail_from, taken.rcpt) == (ADDRESS, ["ann@acme.test"])
    mail = message_from_bytes(taken.raw, policy=default)
    assert mail["Message-ID"] == "<k1.sig@trunkline.hub.example>"
    assert mail["Date"].datetime == attempt.clock.now()
    assert done == Done(ref="k1.sig", objects=("k1.sig",))
    assert attempt.effects == 1


async def test_retry_sends_the_same_message_id(smtp_sink: SmtpSink):
    smtp_sink.answers["DATA"] = ["451 later"]
    with pytest.raises(Retry):
        await perform(desk(smtp_sink.port))
    await perform(desk(smtp_sink.port))
    first, second = (message_from_bytes(taken.raw)["Message-ID"] for taken in smtp_sink.taken)
    assert first == second


async def test_automatic_mail_has_a_null_return_path(smtp_sink: SmtpSink):
    await perform(desk(smtp_sink.port), automatic=True)
    assert smtp_sink.taken[0].mail_from == "<>"


async def test_line_of_a_dot_and_attachments_arrive_whole(smtp_sink: SmtpSink):
    data = bytes(range(256)) * 1000
    digest = hashlib.sha256(data).hexdigest()
    media = (MediaRef(sha256=digest, name="all.bin", size=len(data)),)
    await perform(desk(smtp_sink.port), Attempt(blobs={digest: data}), text="a\n.\n..b", media=media)
    mail = message_from_bytes(smtp_sink.taken[0].raw, policy=default)
    assert mail.get_body(("plain",)).get_content().splitlines() == ["a", ".", "..b"]
    assert next(mail.iter_attachments()).get_payload(decode=True) == data


async def test_mail_is_caught_while_no_server_is_configured():
    attempt = Attempt()
    assert (await perform(desk(), attempt)).caught
    assert attempt.effects == 0


ANSWERS = [
    ("MAIL", "451 4.3.0 later", Retry, ""),
    ("MAIL", "553 5.7.1 not yours", Refuse, "sender_refused"),
    ("MAIL", "530 5.7.0 log in first", Pause, ""),
    ("RCPT", "450 4.2.1 greylisted", Retry, ""),
    ("RCPT", "421 4.3.2 closing", Retry, ""),
    ("RCPT", "550 5.1.1 unknown", Refuse, "recipient_refused"),
    ("DATA", "452 4.2.2 full", Retry, ""),
    ("DATA", "552 5.3.4 too large", Refuse, "content_refused"),
    ("DATA", "554 5.7.1 spam", Refuse, "content_refused"),
]


@pytest.mark.parametrize(("step", "answer", "error", "code"), ANSWERS)
async def test_each_answer_says_what_to_do_next(smtp_sink: SmtpSink, step: str, answer: str, error: type, code: str):
    smtp_sink.answers[step] = [answer]
    with pytest.raises(error) as raised:
        await perform(desk(smtp_sink.port))
    assert getattr(raised.value, "code", "") == code


async def test_connection_lost_after_the_body_is_uncertain(smtp_sink: SmtpSink):
    smtp_sink.drop = True
    attempt = Attempt()
    with pytest.raises(Uncertain):
        await perform(desk(smtp_sink.port), attempt)
    assert attempt.effects == 1
    assert len(smtp_sink.taken) == 1  # it did arrive: a blind second try would be a duplicate


async def test_silence_after_the_body_is_uncertain(smtp_sink: SmtpSink):
    async with FaultProxy("127.0.0.1", smtp_sink.port, Fault(trigger=b"Subject: VPN", deaf=True)) as proxy:
        with pytest.raises(Uncertain):
            await perform(desk(proxy.port, timeout=0.3))
        assert proxy.began == 1


@pytest.mark.parametrize("fault", [{"reset": True}, {"deaf": True}, {"mute": True}], ids=str)
@pytest.mark.parametrize("trigger", [b"", b"EHLO", b"MAIL", b"RCPT", b"DATA"])
async def test_connection_lost_before_the_body_is_tried_again(smtp_sink: SmtpSink, trigger: bytes, fault: dict):
    attempt = Attempt()
    async with FaultProxy("127.0.0.1", smtp_sink.port, Fault(trigger=trigger, **fault)) as proxy:
        with pytest.raises(Retry):
            await perform(desk(proxy.port, timeout=0.3), attempt)
        assert proxy.began == 1
    assert attempt.effects == 0
    assert smtp_sink.taken == []


async def test_server_that_is_not_there_is_tried_again(unused_tcp_port: int):
    with pytest.raises(Retry):
        await perform(desk(unused_tcp_port))


async def test_log_in_works_and_a_wrong_password_pauses():
    async with SmtpSink(password="secret") as sink:
        await perform(desk(sink.port, user="desk", password=Secret("secret")))
        with pytest.raises(Pause, match="desk"):
            await perform(desk(sink.port, user="desk", password=Secret("wrong")))
        with pytest.raises(Pause):
            await perform(desk(sink.port))
        assert len(sink.taken) == 1


async def test_server_that_knows_nobody_pauses(smtp_sink: SmtpSink):
    with pytest.raises(Pause, match="refused the log-in"):
        await perform(desk(smtp_sink.port, user="desk", password=Secret("secret")))


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_mail_goes_out_encrypted_by_an_own_authority(authority: Authority, tls: str):
    async with SmtpSink(tls=tls, context=authority.server_context("localhost")) as sink:
        await perform(desk(sink.port, host="localhost", tls=tls, ca_file=str(authority.file)))
        assert sink.taken[0].tls


@pytest.mark.parametrize("tls", ["tls", "starttls"])
@pytest.mark.parametrize("name", ["other.test", "expired", "unknown authority"])
async def test_wrong_certificate_is_refused_and_nothing_sent(authority: Authority, tls: str, name: str):
    context = authority.server_context("other.test" if name == "other.test" else "localhost")
    if name == "expired":
        context.load_cert_chain(*authority.issue("localhost", expired=True))
    ca_file = "" if name == "unknown authority" else str(authority.file)
    async with SmtpSink(tls=tls, context=context) as sink:
        with pytest.raises(Pause, match="certificate refused"):
            await perform(desk(sink.port, host="localhost", tls=tls, ca_file=ca_file))
        assert sink.taken == []


async def test_stripped_starttls_is_no_reason_to_send_in_clear(smtp_sink: SmtpSink):
    with pytest.raises(Pause, match="STARTTLS"):
        await perform(desk(smtp_sink.port, tls="starttls"))
    assert smtp_sink.taken == []


async def test_endless_answer_is_cut_off():
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"220-x" * 1000)
                await writer.drain()
        except OSError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    with pytest.raises((Retry, Refuse)):
        await perform(desk(server.sockets[0].getsockname()[1]))
    server.close()


async def test_refused_refresh_token_pauses():
    def refuse(_call: Any) -> Answer:
        raise Refuse("http_400", "invalid_grant")

    oauth = OAuth(token_url="https://id.example/token", client_id="c", refresh_token=Secret("gone"))
    with pytest.raises(Pause, match="invalid_grant"):
        await perform(desk(9, user="desk", oauth=oauth), Attempt(refuse))


async def test_nothing_can_be_asked_afterwards(smtp_sink: SmtpSink):
    email = desk(smtp_sink.port)
    (step,) = email.plan(work())
    assert step.find_lag is None
    assert not step.harmless
    assert await email.find(step, Attempt()) == ()
