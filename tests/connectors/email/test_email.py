"""The connector as a whole: its settings, its check, both ways in at once."""

import asyncio
import smtplib
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.channels.email import Email
from connectors.channels.email.settings import EmailSettings, Imap, Listen, Smtp
from plugins import Envelope, Pause, Secret, Skipped
from plugins.settings import load_settings
from plugins.testing.conformance import ConnectorConformance
from plugins.testing.stubs import START, StubEgress
from tests.certificates import Authority
from tests.connectors.email.kit import ADDRESS, Journal, imap_settings, listen_settings, mail, running
from tests.servers import Dovecot
from tests.smtpsink import SmtpSink


class TestEmail(ConnectorConformance):
    cls = Email
    table: ClassVar[dict[str, Any]] = {
        "address": ADDRESS,
        "imap": {"host": "imap.hub.example", "user": "desk", "password": "env:IMAP_PASSWORD"},
        "listen": {"port": 2525},
        "oauth": {"token_url": "https://id.example/t", "client_id": "c", "refresh_token": "env:REFRESH_TOKEN"},
    }

    def envelopes(self) -> list[Envelope]:
        return [Envelope(key=f"m{number}@acme.test", raw=mail(number), at=START) for number in range(2)]


async def checked(settings: EmailSettings) -> list[tuple[bool, str, str]]:
    findings = await Email("desk", settings).check(StubEgress())
    return [(finding.ok, finding.what, finding.fix) for finding in findings]


async def test_mailbox_and_listener_run_side_by_side(dovecot: Dovecot, mail_user: str, unused_tcp_port: int):
    hub = Journal()
    imap = imap_settings(dovecot.port, mail_user).imap
    settings = EmailSettings(address=ADDRESS, imap=imap, listen=Listen(port=unused_tcp_port))
    dovecot.deliver(mail_user, mail("imap"))

    def hand_in() -> None:
        with smtplib.SMTP("127.0.0.1", unused_tcp_port, timeout=5) as client:
            client.sendmail("ann@acme.test", [ADDRESS], mail("smtp"))

    async with running(Email("desk", settings).run(hub)):
        await hub.until_taken(1)
        await asyncio.to_thread(hand_in)
        await hub.until_taken(2)
    assert {envelope.facts["source"] for envelope in hub.taken} == {"imap", "smtp"}


async def test_failing_side_ends_the_run_with_its_own_error(dovecot: Dovecot, mail_user: str, unused_tcp_port: int):
    imap = imap_settings(dovecot.port, mail_user, password=Secret("wrong")).imap
    settings = EmailSettings(address=ADDRESS, imap=imap, listen=Listen(port=unused_tcp_port))
    with pytest.raises(Pause):
        await Email("desk", settings).run(Journal())


async def test_without_a_way_in_there_is_nothing_to_run():
    await Email("desk", EmailSettings(address=ADDRESS)).run(Journal())


def test_mail_that_was_cut_is_parked_with_its_place_and_reason():
    facts = {"cut": "too large", "place": "INBOX:1:7", "size": "99000000"}
    (item,) = Email("desk", EmailSettings(address=ADDRESS)).parse(
        Envelope(key="m1", raw=mail(1), at=START, facts=facts)
    )
    assert item == Skipped(reason="mail too large: 99000000 bytes, still on the server, came to INBOX:1:7", park=True)


async def test_check_names_what_works(dovecot: Dovecot, mail_user: str, smtp_sink: SmtpSink):
    imap = imap_settings(dovecot.port, mail_user).imap
    smtp = Smtp(host="127.0.0.1", port=smtp_sink.port, tls="none")
    found = await checked(EmailSettings(address=ADDRESS, imap=imap, smtp=smtp, listen=Listen(port=0)))
    assert all(ok for ok, _, _ in found)
    assert len(found) == 4


async def test_check_names_a_folder_that_is_missing(dovecot: Dovecot, mail_user: str):
    found = await checked(imap_settings(dovecot.port, mail_user, folders=("INBOX", "Nowhere")))
    (bad,) = [finding for finding in found if not finding[0]]
    assert "Nowhere" in bad[1]
    assert "imap.folders" in bad[2]


async def test_check_names_the_way_out_of_a_refused_log_in(dovecot: Dovecot, mail_user: str):
    found = await checked(imap_settings(dovecot.port, mail_user, password=Secret("wrong")))
    assert not found[0][0]
    assert "imap.password" in found[0][2]
    assert "wrong" not in str(found)


async def test_check_names_the_way_out_of_a_refused_certificate(dovecot: Dovecot, mail_user: str):
    found = await checked(imap_settings(dovecot.tls_port, mail_user, host="localhost", tls="tls"))
    assert not found[0][0]
    assert "imap.ca_file" in found[0][2]


async def test_check_names_a_server_that_is_not_there(unused_tcp_port: int):
    settings = EmailSettings(address=ADDRESS, smtp=Smtp(host="127.0.0.1", port=unused_tcp_port, tls="none"))
    (ok, _, fix) = (await checked(settings))[0]
    assert not ok
    assert "smtp.port" in fix


@pytest.mark.parametrize(
    ("missing", "words"),
    [("cert_file", "listen.cert_file nowhere can't be read"), ("key_file", "listen.key_file nowhere can't be read")],
)
async def test_check_names_a_missing_certificate_file(authority: Authority, missing: str, words: str):
    cert, key = authority.issue("localhost")
    found = await checked(listen_settings(**{"cert_file": str(cert), "key_file": str(key), missing: "nowhere"}))
    assert not found[0][0]
    assert f"{words}: No such file" in found[0][1]
    assert missing in found[0][2]


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_check_names_an_authority_that_can_t_be_read(
    dovecot: Dovecot, smtp_sink: SmtpSink, mail_user: str, tmp_path: Path, content: bytes | None, tls: Any
):
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_bytes(content)
    port = dovecot.tls_port if tls == "tls" else dovecot.port
    imap = imap_settings(port, mail_user, tls=tls, ca_file=str(file)).imap
    smtp = Smtp(host="127.0.0.1", port=smtp_sink.port, tls=tls, ca_file=str(file))
    found = await checked(EmailSettings(address=ADDRESS, imap=imap, smtp=smtp))
    for (ok, what, fix), side in zip(found, ("imap", "smtp"), strict=True):
        assert not ok
        assert f"{side}: ca_file {file} can't be used: " in what
        assert fix == f"correct {side}.ca_file"


BAD = [
    ({"address": "no address"}, "instance.desk.address: expected a plain mail address"),
    ({"address": ADDRESS, "display_name": "a\r\nb"}, "control characters"),
    ({"address": ADDRESS, "imap": {"host": "a\r\nb", "user": "u", "password": "env:P"}}, "imap.host: expected a host"),
    (
        {"address": ADDRESS, "imap": {"host": "a", "user": "a\nb", "password": "env:P"}},
        "imap.user: expected text without",
    ),
    ({"address": ADDRESS, "imap": {"host": "a", "user": "u", "password": "env:P", "folders": [""]}}, "imap.folders[0]"),
    ({"address": ADDRESS, "imap": {"host": "a", "user": "u"}}, "imap.password: is missing"),
    ({"address": ADDRESS, "imap": {"host": "a", "password": "env:P"}}, "imap.user: is missing"),
    ({"address": ADDRESS, "imap": {"host": "a", "user": "u", "password": "env:P", "move_to": "INBOX"}}, "move_to"),
    ({"address": ADDRESS, "imap": {"host": "a", "user": "u", "password": "secret"}}, "env:NAME"),
    ({"address": ADDRESS, "listen": {"cert_file": "a.pem"}}, "listen.key_file: is missing"),
    ({"address": ADDRESS, "listen": {"require_tls": True}}, "listen.require_tls: needs"),
    ({"address": ADDRESS, "smtp": {"host": "a", "tls": "maybe"}}, "tls"),
    ({"address": ADDRESS, "smtp": {"host": "a", "timeout": 3e6}}, "smtp.timeout: expected a number above 0, 86400"),
]


@pytest.mark.parametrize(("table", "words"), BAD)
def test_bad_settings_are_named(table: dict, words: str, tmp_path):
    settings, problems = load_settings(
        table, EmailSettings, file="plugins.toml", key="instance.desk", environ={"P": "x"}, base=tmp_path
    )
    assert settings is None
    assert any(words in str(problem) for problem in problems)


def test_imap_is_encrypted_unless_said_otherwise():
    assert Imap(host="a", user="u").tls == "tls"
    assert Smtp(host="a").tls == "tls"
