"""Reading a real Dovecot: nothing skipped, nothing twice, whatever others do to the mailbox."""

import asyncio
import time
from collections.abc import Callable

import msgspec
import pytest

from connectors.channels.email.imap import Cursor, read_mailbox
from connectors.channels.email.settings import OAuth, Timeouts
from plugins import Answer, Pause, Retry, Secret
from tests.connectors.email.kit import Journal, imap_settings, mail, running
from tests.faultproxy import Fault, FaultProxy
from tests.servers import Dovecot


def subjects(hub: Journal) -> list[str]:
    return [envelope.raw.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode() for envelope in hub.taken]


async def read_until(hub: Journal, settings, count: int) -> None:
    async with running(read_mailbox(hub, settings)):
        await hub.until_taken(count)


async def test_mail_that_arrives_during_idle_is_taken_without_waiting_for_the_poll(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    async with running(read_mailbox(hub, imap_settings(dovecot.port, mail_user, poll=600))):
        await hub.until(lambda: hub.seen >= 3)  # selected twice, idle
        dovecot.deliver(mail_user, mail(1))
        await hub.until_taken(1)
    assert hub.taken[0].raw == mail(1)
    assert hub.taken[0].key == "m1@acme.test"


async def test_mail_of_a_downtime_is_caught_up_in_order_and_once(dovecot: Dovecot, mail_user: str):
    hub, settings = Journal(), imap_settings(dovecot.port, mail_user)
    dovecot.deliver(mail_user, mail(0))
    await read_until(hub, settings, 1)
    for number in range(1, 251):  # three batches
        dovecot.deliver(mail_user, mail(number))
    await read_until(hub, settings, 251)
    assert subjects(hub) == [f"Matter {number}" for number in range(251)]
    assert hub.repeats == 0


async def test_changed_uidvalidity_brings_nothing_twice_and_misses_nothing(dovecot: Dovecot, mail_user: str):
    hub, settings = Journal(), imap_settings(dovecot.port, mail_user)
    for number in range(3):
        dovecot.deliver(mail_user, mail(number))
    await read_until(hub, settings, 3)
    dovecot.forget_uids(mail_user)
    dovecot.deliver(mail_user, mail(3))
    await read_until(hub, settings, 4)
    assert sorted(subjects(hub)) == [f"Matter {number}" for number in range(4)]
    assert hub.repeats == 3


async def test_cursor_is_stored_with_the_mails_that_it_covers(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    dovecot.deliver(mail_user, mail(1))
    await read_until(hub, imap_settings(dovecot.port, mail_user), 1)
    (cursor,) = hub.cursors.values()
    assert msgspec.json.decode(cursor, type=Cursor).uid == 1


async def test_mail_that_a_phone_has_read_is_taken_all_the_same(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    dovecot.deliver(mail_user, mail(1))
    with dovecot.client(mail_user) as phone:
        phone.select()
        phone.store("1", "+FLAGS", r"(\Seen)")
    await read_until(hub, imap_settings(dovecot.port, mail_user), 1)
    assert subjects(hub) == ["Matter 1"]


async def test_reading_sets_no_flag(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    dovecot.deliver(mail_user, mail(1))
    await read_until(hub, imap_settings(dovecot.port, mail_user), 1)
    with dovecot.client(mail_user) as phone:
        phone.select(readonly=True)
        assert phone.search(None, "UNSEEN")[1] == [b"1"]


class Meddled(Journal):
    """Somebody else does something to the mailbox once the first batch is recorded; the next is listed by then."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__()
        self._meddle: Callable[[], None] | None = meddle

    async def receive(self, *envelopes, **more):
        received = await super().receive(*envelopes, **more)
        if self._meddle and envelopes:
            await asyncio.to_thread(self._meddle)
            self._meddle = None
        return received


async def test_mail_expunged_before_its_fetch_does_not_hold_up_the_others(dovecot: Dovecot, mail_user: str):
    def expunge() -> None:
        with dovecot.client(mail_user) as phone:
            phone.select()
            phone.store("120,130", "+FLAGS", r"(\Deleted)")
            phone.expunge()

    hub = Meddled(expunge)
    for number in range(1, 151):
        dovecot.deliver(mail_user, mail(number))
    await read_until(hub, imap_settings(dovecot.port, mail_user), 148)
    assert subjects(hub) == [f"Matter {number}" for number in range(1, 151) if number not in {120, 130}]


async def test_mail_moved_to_another_folder_before_its_fetch_is_taken_there(dovecot: Dovecot, mail_user: str):
    def move() -> None:
        with dovecot.client(mail_user) as phone:
            phone.select()
            phone._simple_command("MOVE", "120:130", "Second")

    hub = Meddled(move)
    dovecot.deliver(mail_user, mail("first"), "Second")
    for number in range(1, 151):
        dovecot.deliver(mail_user, mail(number))
    await read_until(hub, imap_settings(dovecot.port, mail_user, folders=("INBOX", "Second"), poll=0.2), 151)
    assert sorted(subjects(hub)) == sorted(["Matter first", *(f"Matter {number}" for number in range(1, 151))])
    assert hub.repeats == 0


async def test_mail_moved_away_by_somebody_else_is_no_error(dovecot: Dovecot, mail_user: str):
    def expunge() -> None:
        with dovecot.client(mail_user) as phone:
            phone.select()
            phone.store("1:2", "+FLAGS", r"(\Deleted)")
            phone.expunge()

    hub = Meddled(expunge)
    for number in range(1, 4):
        dovecot.deliver(mail_user, mail(number))
    async with running(read_mailbox(hub, imap_settings(dovecot.port, mail_user, move_to="Done"))):
        await hub.until_taken(3)
        dovecot.deliver(mail_user, mail(4))
        await hub.until_taken(4)
        await hub.until(lambda: _count(dovecot, mail_user, "Done") == 2)


async def test_server_without_move_gets_copy_and_expunge_of_these_mails_alone(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    for number in range(3):
        dovecot.deliver(mail_user, mail(number))
    async with FaultProxy("127.0.0.1", dovecot.port, Fault(replace=(b" MOVE", b""))) as proxy:
        async with running(read_mailbox(hub, imap_settings(proxy.port, mail_user, move_to="Done"))):
            await hub.until_taken(3)
            await hub.until(lambda: _count(dovecot, mail_user, "Done") == 3)
        assert proxy.began
    assert _count(dovecot, mail_user, "INBOX") == 0


async def test_server_without_idle_is_polled(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    async with (
        FaultProxy("127.0.0.1", dovecot.port, Fault(replace=(b" IDLE", b""))) as proxy,
        running(read_mailbox(hub, imap_settings(proxy.port, mail_user, poll=0.1))),
    ):
        await hub.until(lambda: hub.seen >= 2)
        dovecot.deliver(mail_user, mail(1))
        await hub.until_taken(1)


async def test_recorded_mail_is_moved_and_a_crash_before_the_move_is_made_good(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    for number in range(3):
        dovecot.deliver(mail_user, mail(number))
    await read_until(hub, imap_settings(dovecot.port, mail_user), 3)  # as if it had died before moving
    settings = imap_settings(dovecot.port, mail_user, move_to="Done")
    dovecot.deliver(mail_user, mail(3))
    async with running(read_mailbox(hub, settings)):
        await hub.until_taken(4)
        await hub.until(lambda: _count(dovecot, mail_user, "Done") == 4)
    assert _count(dovecot, mail_user, "INBOX") == 0
    assert hub.repeats == 0


def _count(dovecot: Dovecot, user: str, folder: str) -> int:
    with dovecot.client(user) as phone:
        typ, data = phone.select(folder, readonly=True)
        return int(data[0]) if typ == "OK" else 0


async def test_several_folders_are_read_each_with_its_own_cursor(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    dovecot.deliver(mail_user, mail(1))
    dovecot.deliver(mail_user, mail(2), "Second")
    settings = imap_settings(dovecot.port, mail_user, folders=("INBOX", "Second"), poll=0.2)
    async with running(read_mailbox(hub, settings)):
        await hub.until_taken(2)
        dovecot.deliver(mail_user, mail(3), "Second")
        await hub.until_taken(3)
    assert subjects(hub) == ["Matter 1", "Matter 2", "Matter 3"]
    assert len(hub.cursors) == 2


async def test_mail_that_is_too_large_comes_as_its_head_with_the_reason(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    dovecot.deliver(mail_user, mail("large", "x" * 70 + ("\r\n" + "y" * 70) * 20_000))
    dovecot.deliver(mail_user, mail("small"))
    await read_until(hub, imap_settings(dovecot.port, mail_user, max_bytes=100_000), 2)
    large, small = hub.taken
    assert large.facts["cut"] == "too large"
    assert large.key == "mlarge@acme.test"
    assert len(large.raw) == 256 * 1024
    assert "cut" not in small.facts


async def test_start_new_leaves_old_mail_out_also_after_uidvalidity_changed(dovecot: Dovecot, mail_user: str):
    hub, settings = Journal(), imap_settings(dovecot.port, mail_user, start="new")
    dovecot.deliver(mail_user, mail("old"), age=3600)
    async with running(read_mailbox(hub, settings)):
        await hub.until(lambda: bool(hub.cursors))
        dovecot.deliver(mail_user, mail("new"))
        await hub.until_taken(1)
    dovecot.forget_uids(mail_user)
    dovecot.deliver(mail_user, mail("newer"))
    await read_until(hub, settings, 2)
    assert sorted(subjects(hub)) == ["Matter new", "Matter newer"]


async def test_reading_waits_while_the_hub_is_busy_and_goes_on(dovecot: Dovecot, mail_user: str):
    hub = Journal()
    hub.busy = True
    dovecot.deliver(mail_user, mail(1))
    async with running(read_mailbox(hub, imap_settings(dovecot.port, mail_user))):
        await hub.until(lambda: hub.seen >= 4)
        assert hub.taken == []
        assert hub.cursors == {}
        hub.busy = False
        await hub.until_taken(1)


async def test_cancelling_ends_within_a_second_in_every_phase(dovecot: Dovecot, mail_user: str):
    for signs_of_life in range(5):
        hub = Journal()
        task = asyncio.create_task(read_mailbox(hub, imap_settings(dovecot.port, mail_user)))
        if signs_of_life:
            await hub.until(lambda hub=hub, wanted=signs_of_life: hub.seen >= min(wanted, 2))
        else:
            await asyncio.sleep(0)
        task.cancel()
        started = time.monotonic()
        await asyncio.gather(task, return_exceptions=True)
        assert time.monotonic() - started < 1
        assert task.cancelled()


async def test_refused_log_in_pauses_and_names_the_user(dovecot: Dovecot, mail_user: str):
    settings = imap_settings(dovecot.port, mail_user, password=Secret("wrong"))
    with pytest.raises(Pause, match=mail_user):
        await read_mailbox(Journal(), settings)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
async def test_bearer_token_from_a_refresh_token_logs_in(dovecot: Dovecot, mail_user: str, mechanism: str):
    def endpoint(call) -> Answer:
        assert b"grant_type=refresh_token&refresh_token=first" in call.body
        body = {"access_token": dovecot.bearer(mail_user), "expires_in": 3600, "refresh_token": "second"}
        return Answer(status=200, body=msgspec.json.encode(body))

    hub = Journal(endpoint)
    oauth = OAuth(
        token_url="https://id.example/token", client_id="c", refresh_token=Secret("first"), mechanism=mechanism
    )
    dovecot.deliver(mail_user, mail(1))
    await read_until(hub, imap_settings(dovecot.port, mail_user, oauth=oauth), 1)
    assert b"second" in hub.tokens["oauth"]


async def test_expired_bearer_token_pauses(dovecot: Dovecot, mail_user: str):
    body = msgspec.json.encode({"access_token": dovecot.bearer(mail_user, -10)})
    oauth = OAuth(token_url="https://id.example/token", client_id="c", refresh_token=Secret("first"))
    with pytest.raises(Pause, match="refused the log-in"):
        await read_mailbox(
            Journal(lambda _: Answer(status=200, body=body)), imap_settings(dovecot.port, mail_user, oauth=oauth)
        )


async def test_server_that_is_not_there_is_tried_again(unused_tcp_port: int):
    with pytest.raises(Retry):
        await read_mailbox(Journal(), imap_settings(unused_tcp_port, "ann"))


async def test_server_that_never_greets_is_given_up_after_the_phase_limit():
    async def silent(reader, writer) -> None:
        await reader.read()  # until the client has gone
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    settings = imap_settings(server.sockets[0].getsockname()[1], "ann", timeouts=Timeouts(connect=0.2))
    with pytest.raises(Retry, match="in time"):
        await read_mailbox(Journal(), settings)
    server.close()
    await asyncio.sleep(0.05)  # the server's side closes
