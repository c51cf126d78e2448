"""Taking mail: 250 only when the journal has it, and what a sender may not do."""

import asyncio
import contextlib
import smtplib
import socket

import pytest

from connectors.channels.email.smtp_in import listening
from plugins import LeaseLost
from tests.connectors.email.kit import ADDRESS, Journal, listen_settings, mail
from tests.connectors.email.listener.talking import HELLO, port_of, raw_talk, rcpt, send, talk


async def test_mail_is_taken_byte_for_byte_with_its_envelope_as_facts():
    hub = Journal()
    body = mail(1, ".leading dot\r\n..two\r\n\u00fc")
    async with port_of(hub) as port:
        await talk(port, send(raw=body))
    (envelope,) = hub.taken
    assert envelope.raw == body
    assert envelope.key == "m1@acme.test"
    facts = {"source": "smtp", "mail_from": "ann@acme.test", "rcpt": ADDRESS, "peer": "127.0.0.1"}
    assert envelope.facts == facts


async def test_null_return_path_is_a_fact():
    hub = Journal()
    async with port_of(hub) as port:
        await talk(port, send(sender=""))
    assert hub.taken[0].facts["mail_from"] == "<>"


@pytest.mark.parametrize("address", [ADDRESS, "Support@Hub.Example", "support+t0ken@hub.example", "help@hub.example"])
async def test_own_addresses_with_and_without_token_are_taken(address: str):
    hub = Journal()
    async with port_of(hub) as port:
        await talk(port, send(address))
    assert hub.taken[0].facts["rcpt"] == address


@pytest.mark.parametrize("address", ["bob@elsewhere.test", "bob@hub.example", "support@hub.example.evil.test"])
async def test_nobody_is_relayed_for(address: str):
    hub = Journal()
    async with port_of(hub) as port:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            await talk(port, send(address))
    assert refused.value.recipients[address][0] == 550
    assert hub.taken == []


async def test_whole_domain_can_be_accepted():
    hub = Journal()
    async with port_of(hub, accept=("@hub.example",)) as port:
        await talk(port, send("anybody@hub.example"))
    assert len(hub.taken) == 1


async def test_busy_hub_makes_the_sender_come_again():
    hub = Journal()
    hub.busy = True
    async with port_of(hub) as port:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            await talk(port, send())
        hub.busy = False
        await talk(port, send())
    assert refused.value.smtp_code == 451
    assert len(hub.taken) == 1


async def test_failing_journal_makes_the_sender_come_again():
    class Broken(Journal):
        async def receive(self, *_args, **_more):
            raise OSError("disk full at /var/lib")

    async with port_of(Broken()) as port:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            await talk(port, send())
    assert refused.value.smtp_code == 451
    assert b"disk" not in refused.value.smtp_error


async def test_node_that_lost_its_lease_takes_nothing_and_stops():
    class Lost(Journal):
        async def receive(self, *_args, **_more):
            raise LeaseLost

    async with listening(Lost(), listen_settings()) as gate:
        with pytest.raises(smtplib.SMTPDataError):
            await talk(gate.port, send())
        with pytest.raises(LeaseLost):
            await gate.lost


async def test_mail_over_the_limit_is_refused_before_and_after_it_is_sent():
    hub = Journal()
    async with port_of(hub, max_bytes=20_000) as port:
        with pytest.raises(smtplib.SMTPSenderRefused) as declared:  # SIZE=
            await talk(port, send(raw=mail(1, "x" * 30_000)))
        large = b"x" * 30_000 + b"\r\n.\r\n"
        undeclared = await raw_talk(port, *HELLO, large)
        fits = await raw_talk(port, *HELLO, b"x" * 19_998 + b"\r\n.\r\n")
    assert declared.value.smtp_code == 552
    assert undeclared[-1].startswith(b"552")
    assert fits[-1].startswith(b"250")
    assert len(hub.taken) == 1
    assert len(hub.taken[0].raw) == 20_000


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n\0.\r\n"])
async def test_mail_is_not_smuggled_behind_a_bare_line_end(end: bytes):
    hub = Journal()
    smuggled = b"Subject: one\r\n\r\nx" + end + b"MAIL FROM:<ceo@hub.example>\r\n" + rcpt() + b"DATA\r\nforged"
    async with port_of(hub) as port:
        lines = await raw_talk(port, *HELLO, smuggled + b"\r\n.\r\n")
    assert lines[-1].startswith(b"250")
    (envelope,) = hub.taken
    assert envelope.raw == (smuggled + b"\r\n").replace(b"\r\n.", b"\r\n")  # a line's first dot is transparency


async def test_sender_that_does_not_wait_for_354_is_refused():
    hub = Journal()
    async with port_of(hub) as port:
        lines = await raw_talk(port, *HELLO[:3], b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
    assert lines[-1].startswith(b"503")
    assert hub.taken == []


async def test_empty_mail_is_taken_too():
    hub = Journal()
    async with port_of(hub) as port:
        assert (await raw_talk(port, *HELLO, b".\r\n"))[-1].startswith(b"250")
        assert (await raw_talk(port, *HELLO, b"\r\n.\r\n"))[-1].startswith(b"250")
    assert [envelope.raw for envelope in hub.taken] == [b"", b"\r\n"]


async def test_end_mark_is_found_however_the_network_cuts_it():
    hub = Journal()
    async with port_of(hub) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        for piece in HELLO:
            writer.write(piece)
            while (await reader.readline())[3:4] == b"-":
                pass
        for byte in b"Subject: a\r\n\r\n..\r\nb\r\n.\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readline()).startswith(b"250")
        writer.close()
        await writer.wait_closed()
    assert hub.taken[0].raw == b"Subject: a\r\n\r\n.\r\nb\r\n"


@pytest.mark.parametrize("line", [b"..", b".", b"", b"x." * 7, b"x" * 65_533], ids=len)
async def test_dots_are_undone_wherever_the_buffer_ends(line: bytes):
    hub = Journal()
    raw = b"Subject: x\r\n\r\n" + (line + b"\r\n") * (400_000 // (len(line) + 2))
    async with port_of(hub) as port:
        await talk(port, send(raw=raw))
    assert hub.taken[0].raw == raw


async def test_line_of_a_megabyte_is_taken():
    hub = Journal()
    async with port_of(hub) as port:
        await talk(port, send(raw=mail(1, "x" * 1_000_000)))
    assert len(hub.taken[0].raw) > 1_000_000


async def test_mail_of_the_shortest_lines_is_taken():
    hub = Journal()
    body = b"Subject: x\r\n\r\n" + b"\r\n" * 1_000_000
    async with port_of(hub) as port:
        await talk(port, send(raw=body))
    assert hub.taken[0].raw == body


async def test_lmtp_answers_for_each_recipient():
    hub = Journal()
    async with port_of(hub, protocol="lmtp") as port:
        lhlo = (b"LHLO a\r\n", *HELLO[1:3], b"RCPT TO:<help@hub.example>\r\n", HELLO[3])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        for piece in (*lhlo, mail(1) + b".\r\n"):
            writer.write(piece)
            while (line := await reader.readline())[3:4] == b"-":
                pass
        second = await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert line.startswith(b"250")
    assert second == line
    assert len(hub.taken) == 1
    assert hub.taken[0].facts["rcpt"] == f"{ADDRESS}, help@hub.example"


async def test_lmtp_refuses_a_large_mail_for_each_recipient():
    async with port_of(Journal(), protocol="lmtp", max_bytes=10_000) as port:
        pieces = (b"LHLO a\r\n", *HELLO[1:3], b"RCPT TO:<help@hub.example>\r\n", HELLO[3], b"x" * 20_000 + b"\r\n.\r\n")
        lines = await raw_talk(port, *pieces, b"NOOP\r\n")
    assert [line[:3] for line in lines[-2:]] == [b"552", b"552"]


async def test_too_many_connections_are_told_to_come_again():
    async with port_of(Journal(), connections=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"220")
        second, other = await asyncio.open_connection("127.0.0.1", port)
        assert (await second.readline()).startswith(b"421")
        for each in (writer, other):
            each.close()
            await each.wait_closed()


async def greeting(port: int, source: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """The first line that a peer with this address hears."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    return await asyncio.wait_for(reader.readline(), 5), reader, writer


async def shut(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_idle_peers_of_one_address_do_not_keep_others_out():
    hub = Journal()
    async with listening(hub, listen_settings(connections=4)) as gate:
        held = [await greeting(gate.port, "127.0.0.2") for _ in range(6)]
        assert [line[:3] for line, _, _ in held] == [b"220"] * 4 + [b"421"] * 2  # one relay may use all
        others = [await greeting(gate.port, f"127.0.0.{last}") for last in (3, 4, 5)]
        assert [line[:3] for line, _, _ in others] == [b"220"] * 3
        assert [(await asyncio.wait_for(reader.read(), 5))[:3] for _, reader, _ in held[:3]] == [b"421"] * 3
        full, _, writer = await greeting(gate.port, "127.0.0.6")
        assert full.startswith(b"421")  # four addresses with one each: nobody holds more than a newcomer would
        await shut(writer, *(each for _, _, each in (*held, *others)))


async def test_peer_that_sends_a_mail_keeps_its_place_before_its_idle_ones():
    hub = Journal()
    async with listening(hub, listen_settings(connections=2)) as gate:
        _, reader, writer = await greeting(gate.port, "127.0.0.2")
        for piece in HELLO:
            writer.write(piece)
            while (await reader.readline())[3:4] == b"-":
                pass
        _, idle, other = await greeting(gate.port, "127.0.0.2")
        first, _, newcomer = await greeting(gate.port, "127.0.0.3")
        assert first.startswith(b"220")
        assert (await idle.read()).startswith(b"421")
        writer.write(mail(1) + b"\r\n.\r\n")
        assert (await reader.readline()).startswith(b"250")
        await shut(writer, other, newcomer)
    assert len(hub.taken) == 1


@pytest.mark.parametrize("piece", [b"", b"NOOP\r\n", b"RSET\r\n"], ids=["silent", "noop", "rset"])
async def test_peer_that_brings_no_mail_is_sent_away(piece: bytes):
    async with listening(Journal(), listen_settings(idle=0.3)) as gate:
        _, reader, writer = await greeting(gate.port, "127.0.0.1")

        async def chatter() -> None:
            while True:
                writer.write(piece)
                await asyncio.sleep(0.05)

        noise = asyncio.create_task(chatter())
        said = await asyncio.wait_for(reader.read(), 5)
        noise.cancel()
        assert said.splitlines()[-1].startswith(b"421 4.4.2")
        await shut(writer)


async def test_peer_that_does_not_end_its_mail_is_sent_away():
    hub = Journal()
    async with listening(hub, listen_settings(idle=0.3)) as gate:
        lines = await raw_talk(gate.port, *HELLO, b"Subject: x\r\n")
        assert lines[-1].startswith(b"421 4.4.2")
    assert hub.taken == []


async def flood(peer: socket.socket) -> None:
    """Until every buffer between us is full of answers, and on."""
    while True:
        with contextlib.suppress(BlockingIOError):
            peer.send(b"NOOP\r\n" * 10_000)
        await asyncio.sleep(0.001)


async def test_peer_that_reads_nothing_is_cut_off():
    async with listening(Journal(), listen_settings(idle=0.3)) as gate:
        with socket.create_connection(("127.0.0.1", gate.port)) as peer:
            peer.setblocking(False)
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(flood(peer), 10)
        assert not gate.sessions
