"""What networks, firewalls and forged certificates do to a session (F52, S21); each with its positive control."""

import asyncio

import pytest

from connectors.channels.email.imap import TRIES, read_mailbox
from connectors.channels.email.settings import Timeouts
from plugins import Pause, Retry
from tests.certificates import Authority
from tests.connectors.email.kit import Journal, imap_settings, mail, running
from tests.faultproxy import Fault, FaultProxy
from tests.servers import Dovecot

SHORT = Timeouts(connect=0.5, login=0.5, select=0.5, fetch=0.5, idle=0.5)
COMMANDS = [b"AUTHENTICATE", b"EXAMINE", b"UID SEARCH", b"RFC822.SIZE", b"BODY.PEEK", b"IDLE"]


async def persevere(hub: Journal, settings) -> None:
    """As the supervisor does, without its patience."""
    while True:
        try:
            await read_mailbox(hub, settings)
        except Retry:
            await asyncio.sleep(0.05)


def numbers(hub: Journal) -> list[str]:
    return [envelope.key for envelope in hub.taken]


@pytest.mark.parametrize(
    "fault", [Fault(reset=True), Fault(deaf=True), Fault(mute=True)], ids=["reset", "deaf", "mute"]
)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.decode())
async def test_nothing_is_lost_or_doubled_when_a_command_fails(
    dovecot: Dovecot, mail_user: str, command: bytes, fault: Fault
):
    hub = Journal()
    fault.trigger, fault.times = command, 2
    for number in range(3):
        dovecot.deliver(mail_user, mail(number))
    async with FaultProxy("127.0.0.1", dovecot.port, fault) as proxy:
        settings = imap_settings(proxy.port, mail_user, timeouts=SHORT, poll=0.2)
        async with running(persevere(hub, settings)):
            await hub.until_taken(3)
            await hub.until(lambda: proxy.connections > 2)
            dovecot.deliver(mail_user, mail(3))
            await hub.until_taken(4)
        assert proxy.began == 2
    assert numbers(hub) == [f"m{number}@acme.test" for number in range(4)]
    assert hub.repeats == 0


OUTAGE = b"NO [UNAVAILABLE] Backend temporarily not available"
DAMAGED = b"NO [SERVERBUG] Internal error occurred"
ONE_OF_THREE = rb"UID FETCH (\d+,)*2(,\d+)* \(BODY.PEEK"


@pytest.mark.parametrize("answer", [OUTAGE, b"NO [INUSE] busy", b"NO [LIMIT] slow down", DAMAGED, b"NO Server busy"])
async def test_mail_refused_for_a_while_is_taken_whole_when_the_server_can_again(
    dovecot: Dovecot, mail_user: str, answer: bytes
):
    hub = Journal()
    for number in range(3):
        dovecot.deliver(mail_user, mail(number))
    fault = Fault(refuse=(rb"BODY.PEEK", answer))
    async with FaultProxy("127.0.0.1", dovecot.port, fault) as proxy:
        async with running(persevere(hub, imap_settings(proxy.port, mail_user))):
            await hub.until(lambda: proxy.connections > 3)
            assert hub.taken == []
            fault.refuse = (b"", b"")
            await hub.until_taken(3)
        assert proxy.refused > 2
    assert numbers(hub) == [f"m{number}@acme.test" for number in range(3)]
    assert all(envelope.raw.endswith(b"hello\r\n") and "cut" not in envelope.facts for envelope in hub.taken)


async def test_an_outage_of_any_length_gives_up_no_mail(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    dovecot.deliver(mail_user, mail(1))
    async with (
        FaultProxy("127.0.0.1", dovecot.port, Fault(refuse=(rb"BODY.PEEK", OUTAGE))) as proxy,
        running(persevere(hub, imap_settings(proxy.port, mail_user))),
    ):
        await hub.until(lambda: proxy.connections > TRIES + 3)
    assert hub.taken == []


async def test_mail_that_stays_unreadable_is_left_in_its_place_and_taken_when_it_can_be_read(
    dovecot: Dovecot, mail_user: str
):
    hub = Journal()
    for number in range(1, 4):
        dovecot.deliver(mail_user, mail(number))
    fault = Fault(refuse=(ONE_OF_THREE, DAMAGED))
    async with FaultProxy("127.0.0.1", dovecot.port, fault) as proxy:
        settings = imap_settings(proxy.port, mail_user, move_to="Done")
        async with running(persevere(hub, settings)):
            await hub.until_taken(3)
            assert proxy.connections == TRIES
        first, refused, last = hub.taken
        assert (first.key, last.key) == ("m1@acme.test", "m3@acme.test")
        assert refused.key == refused.facts["place"]
        assert refused.facts["place"].startswith("INBOX:")
        assert refused.facts["place"].endswith(":2")
        assert (refused.facts["cut"], refused.facts["size"]) == ("unreadable", str(len(mail(2))))
        assert "Internal error" in refused.facts["refused"]
        async with running(persevere(hub, settings)):  # a restart asks again, and moves nothing that it has not
            await hub.until(lambda: proxy.connections > TRIES and len(hub.taken) == 3)
            await asyncio.sleep(0.3)
        with dovecot.client(mail_user) as phone:
            assert phone.select("INBOX", readonly=True)[1] == [b"1"]
        fault.refuse = (b"", b"")
        async with running(persevere(hub, settings)):
            await hub.until_taken(4)
    assert hub.taken[-1].raw.endswith(b"hello\r\n")
    assert hub.taken[-1].key == "m2@acme.test"
    assert hub.repeats == 0


async def test_connection_cut_anywhere_in_the_answers_loses_and_doubles_nothing(dovecot: Dovecot, mail_user: str):
    for number in range(3):
        dovecot.deliver(mail_user, mail(number))
    for size in range(50, 2200, 150):
        hub = Journal()
        async with FaultProxy("127.0.0.1", dovecot.port, Fault(reset_after=size, times=1)) as proxy:
            settings = imap_settings(proxy.port, mail_user, timeouts=SHORT, poll=0.2)
            async with running(persevere(hub, settings)):
                await hub.until_taken(3)
            assert proxy.began == 1
        assert numbers(hub) == ["m0@acme.test", "m1@acme.test", "m2@acme.test"]


async def test_slow_line_changes_nothing(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    dovecot.deliver(mail_user, mail(1))
    async with (
        FaultProxy("127.0.0.1", dovecot.port, Fault(latency=0.02)) as proxy,
        running(read_mailbox(hub, imap_settings(proxy.port, mail_user))),
    ):
        await hub.until_taken(1)


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_own_certificate_authority_is_trusted_when_configured(
    dovecot: Dovecot, authority: Authority, mail_user: str, tls: str
):
    hub = Journal()
    dovecot.deliver(mail_user, mail(1))
    port = dovecot.tls_port if tls == "tls" else dovecot.port
    settings = imap_settings(port, mail_user, host="localhost", tls=tls, ca_file=str(authority.file))
    async with running(read_mailbox(hub, settings)):
        await hub.until_taken(1)
        await hub.until(lambda: hub.seen >= 6)
        dovecot.deliver(mail_user, mail(2))  # IDLE works through TLS too
        await hub.until_taken(2)


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_certificate_of_an_unknown_authority_is_refused(dovecot: Dovecot, mail_user: str, tls: str):
    port = dovecot.tls_port if tls == "tls" else dovecot.port
    with pytest.raises(Pause, match="certificate refused"):
        await read_mailbox(Journal(), imap_settings(port, mail_user, host="localhost", tls=tls))


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_certificate_of_another_host_is_refused(dovecot: Dovecot, authority: Authority, mail_user: str, tls: str):
    port = dovecot.tls_port if tls == "tls" else dovecot.port
    settings = imap_settings(port, mail_user, host="127.0.0.1", tls=tls, ca_file=str(authority.file))
    with pytest.raises(Pause, match="certificate refused"):
        await read_mailbox(Journal(), settings)


async def test_stripped_starttls_is_refused_before_anything_is_sent():
    heard = []

    async def strip(reader, writer) -> None:
        writer.write(b"* OK ready\r\n")
        while line := await reader.readline():
            heard.append(line)
            tag = line.split()[0]
            writer.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK done\r\n")
        writer.close()

    server = await asyncio.start_server(strip, "127.0.0.1", 0)
    settings = imap_settings(server.sockets[0].getsockname()[1], "ann", tls="starttls")
    with pytest.raises(Pause, match="STARTTLS"):
        await read_mailbox(Journal(), settings)
    server.close()
    assert not any(b"LOGIN" in line or b"AUTHENTICATE" in line for line in heard)


async def test_goodbye_of_the_server_is_tried_again():
    async def goodbye(_reader, writer) -> None:
        writer.write(b"* BYE too many connections\r\n")
        writer.close()

    server = await asyncio.start_server(goodbye, "127.0.0.1", 0)
    with pytest.raises(Retry):
        await read_mailbox(Journal(), imap_settings(server.sockets[0].getsockname()[1], "ann"))
    server.close()
