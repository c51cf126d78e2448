"""S34: what is refused before any connection, and that the checked address is the one that is called."""

import ipaddress
import ssl
import sys

import pytest

from hub.egress_guard import Guard, Refused, is_public
from plugins import Call, Refuse, Retry
from tests.hub.far_side import FarSide, Names, answer, client

# PORT is a listening socket on 127.0.0.1: whoever gets through would be seen there.
HOSTILE_URLS = [
    "http://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "https://127.0.0.2:PORT/",
    "https://127.255.255.254:PORT/",
    "https://0.0.0.0:PORT/",
    "https://0:PORT/",
    "https://127.1:PORT/",
    "https://127.0.1:PORT/",
    "https://2130706433:PORT/",
    "https://0x7f000001:PORT/",
    "https://0x7f.0.0.1:PORT/",
    "https://0x7f.1:PORT/",
    "https://017700000001:PORT/",
    "https://0177.0.0.1:PORT/",
    "https://127.0.0.01:PORT/",
    "https://00127.0.0.1:PORT/",
    "https://127.0.0.1.:PORT/",
    "https://127.0.0.256:PORT/",
    "https://[::1]:PORT/",
    "https://[::]:PORT/",
    "https://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/",
    "https://[::127.0.0.1]:PORT/",
    "https://[0:0:0:0:0:ffff:7f00:0001]:PORT/",
    "https://[64:ff9b::7f00:1]:PORT/",
    "https://[64:ff9b::127.0.0.1]:PORT/",
    "https://[64:ff9b:1::7f00:1]:PORT/",
    "https://[2002:7f00:1::]:PORT/",
    "https://[2001:0:7f00:1::]:PORT/",
    "https://[fe80::1]:PORT/",
    "https://[fe80::1%25lo]:PORT/",
    "https://[::1%25lo]:PORT/",
    "https://[fe80::1%lo]:PORT/",
    "https://[fec0::1]:PORT/",
    "https://[fc00::1]:PORT/",
    "https://[ff02::1]:PORT/",
    "https://[2001:db8::1]:PORT/",
    "https://[3fff::1]:PORT/",
    "https://[::1:PORT/",
    "https://::1:PORT/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://100.100.100.200/latest/meta-data/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://192.0.0.192/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://192.88.99.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://localhost:PORT/",
    "https://localhost.localdomain:PORT/",
    "https://LOCALHOST:PORT/",
    "https://localhost.:PORT/",
    "https://127.0.0.1.nip.test:PORT/",
    "https://metadata.google.test/",
    "https://mixed.test:PORT/",
    "https://mapped.test:PORT/",
    "https://nat64.test:PORT/",
    "http://public.test/",
    "https://user@127.0.0.1:PORT/",
    "https://user:word@public.test/",
    "https://public.test@127.0.0.1:PORT/",
    "https://public.test:443@127.0.0.1:PORT/",
    "https://public.test\\@127.0.0.1:PORT/",
    "https://public.test%2f@127.0.0.1:PORT/",
    "https://public.test#@127.0.0.1:PORT/\r\nHost: x",
    "https:\\\\127.0.0.1:PORT/",
    "https:/127.0.0.1:PORT/",
    "https:127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "127.0.0.1:PORT",
    " https://127.0.0.1:PORT/",
    "https:// 127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/ HTTP/1.1\r\nX: y",
    "https://public.test/\r\nX-Injected: 1",
    "https://public.test/\x00",
    "https://public.test/\t",
    "https://public.test/a b",
    "https://public.test/\u00e4",
    "https://%31%32%37.0.0.1:PORT/",
    "https://\uff11\uff12\uff17.0.0.1:PORT/",
    "https://127\u30020\u30020\u30021:PORT/",
    "https://\u2460\u2461\u2466.0.0.1:PORT/",
    "https://loc\u00adalhost:PORT/",
    "https://public.test:0/",
    "https://public.test:65536/",
    "https://public.test:99999999/",
    "https://public.test:-1/",
    "https://public.test:/",
    "https://public.test:443:PORT/",
    "https://public.test:\uff14\uff14\uff13/",
    "https://-public.test/",
    "https://public..test/",
    "https://.test/",
    "https:///path",
    "https://",
    "https://" + "a" * 64 + ".test/",
    "https://" + "a." * 130 + "test/",
    "https://public.test/" + "a" * 9000,
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_x",
    "ftp://public.test/",
    "dict://127.0.0.1:PORT/",
    "data:text/plain,x",
    "javascript:1",
    "ws://127.0.0.1:PORT/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "",
]

NAMES = {
    "localhost": [["127.0.0.1"]],
    "localhost_localdomain": [["127.0.0.1", "::1"]],
    "127_0_0_1_nip_test": [["127.0.0.1"]],
    "metadata_google_test": [["169.254.169.254"]],
    "mixed_test": [["8.8.8.8", "127.0.0.1"]],
    "mapped_test": [["::ffff:127.0.0.1"]],
    "nat64_test": [["64:ff9b::7f00:1"]],
    "public_test": [["8.8.8.8"]],
}


_connects: list[object] = []


def _audit(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.connect":
        _connects.append(args[1])


sys.addaudithook(_audit)  # the interpreter's own record of every connect(), wherever it goes


@pytest.fixture
def connects() -> list[object]:
    _connects.clear()
    return _connects


@pytest.mark.parametrize("url", HOSTILE_URLS)
async def test_hostile_url_is_refused_before_any_connection(url: str, connects: list[object]):
    async with FarSide(answer()) as far, client(resolver=Names(**NAMES)) as egress:
        with pytest.raises(Refuse, match=r"^egress_refused") as refused:
            await egress.request(Call(method="GET", url=url.replace("PORT", str(far.port))))
        assert refused.value.code == "egress_refused"
        assert (far.connections, connects) == (0, [])


async def test_listening_socket_of_the_hostile_urls_sees_who_gets_through(connects: list[object]):
    async with FarSide(answer(body=b"in")) as far, client("127.0.0.0/8") as egress:
        assert (await egress.request(Call(method="GET", url=far.url))).body == b"in"
        assert (far.connections, connects) == (1, [("127.0.0.1", far.port)])


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "2620:fe::fe", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_address_is_public(address: str):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://public.test",
        "HTTPS://Public.Test:8443/a?b=c#d",
        "https://xn--bcher-kva.test/",
        "https://under_score.test/",
        "https://8.8.8.8/",
        "https://[2620:fe::fe]/",
        "https://public.test?x",
    ],
)
def test_https_to_a_public_place_needs_no_entry(url: str):
    assert Guard([]).target(url)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://Public.Test", "https://public.test/"),
        ("https://public.test?a=%2B+%20%41", "https://public.test/?a=%2B+%20%41"),
        ("https://public.test/a/../b//c%2fd?x=1&x=2", "https://public.test/a/../b//c%2fd?x=1&x=2"),
    ],
)
def test_path_and_query_are_sent_as_the_plugin_wrote_them(url: str, sent: str):
    target = Guard([]).target(url)
    assert f"https://{target.url.host}{target.url.raw_path_qs}" == sent


def pass_guard(entry: str, url: str, address: str | None) -> None:
    guard = Guard([entry])
    target = guard.target(url)
    if address:
        guard.vet(target.host, target.url.port, [address], plain=target.plain)


@pytest.mark.parametrize(
    ("entry", "url", "address"),
    [
        ("10.0.0.0/8", "http://10.1.2.3:99/", None),
        ("10.1.2.3", "https://10.1.2.3/", None),
        ("10.1.2.3:99", "http://10.1.2.3:99/", None),
        ("[fd00::1]:99", "http://[fd00::1]:99/", None),
        ("fd00::/8", "https://[fd00::1]/", None),
        ("zammad.internal", "http://zammad.internal:3000/", "10.1.2.3"),
        ("Zammad.internal:3000", "http://zammad.internal:3000/", "10.1.2.3"),
        ("10.0.0.0/8", "http://zammad.internal/", "10.1.2.3"),
        ("10.1.2.3:99", "https://zammad.internal:99/", "10.1.2.3"),
    ],
)
def test_listed_place_may_be_called(entry: str, url: str, address: str | None):
    pass_guard(entry, url, address)


@pytest.mark.parametrize(
    ("entry", "url", "address"),
    [
        ("10.0.0.0/8", "https://11.1.2.3/", "192.168.1.1"),
        ("10.1.2.3:99", "http://10.1.2.3:98/", "10.1.2.3"),
        ("zammad.internal:3000", "http://zammad.internal:3001/", "10.1.2.3"),
        ("zammad.internal", "https://x.zammad.internal/", "10.1.2.3"),
        ("zammad.internal", "https://zammad.internal.evil.test/", "10.1.2.3"),
        ("10.0.0.0/8", "http://public.test/", "8.8.8.8"),
        ("10.0.0.0/8", "https://[::ffff:10.1.2.3]/", "::ffff:10.1.2.3"),
    ],
)
def test_entry_opens_no_more_than_it_says(entry: str, url: str, address: str):
    with pytest.raises(Refused):
        pass_guard(entry, url, address)


@pytest.mark.parametrize("entry", ["", "10.0.0.1/8", "127.1", "http://x", "a b", "x:0", "x:70000", "*", "*.acme.test"])
def test_entry_that_is_none_is_an_error(entry: str):
    with pytest.raises(ValueError, match=r"no network|host|port"):
        Guard([entry])


async def test_name_that_turns_private_is_refused_at_its_next_connection(authority):
    """DNS rebinding: the name is public at the first look-up and private at the second."""
    tls = ssl.create_default_context(cafile=str(authority.file))
    names = Names(rebind_test=[["127.0.0.1"], ["127.0.0.2"]])
    async with FarSide(answer(), tls=authority.server_context("rebind.test")) as far:
        far_url = f"https://rebind.test:{far.port}/"
        async with client(f"127.0.0.1:{far.port}", resolver=names, tls=tls) as egress:
            assert (await egress.request(Call(method="GET", url=far_url))).status == 200
            with pytest.raises(Refuse, match=r"127\.0\.0\.2, which is not public"):
                await egress.request(Call(method="GET", url=far_url))
        assert far.connections == 1


async def test_vetted_address_is_the_one_that_is_connected_to(authority):
    """One look-up per connection: an answer that changes between check and use has nowhere to come in."""
    tls = ssl.create_default_context(cafile=str(authority.file))
    names = Names(once_test=[["127.0.0.1"], ["127.0.0.2"]])
    async with (
        FarSide(answer(body=b"pinned"), tls=authority.server_context("once.test")) as far,
        client(f"127.0.0.1:{far.port}", resolver=names, tls=tls) as egress,
    ):
        answered = await egress.request(Call(method="GET", url=f"https://once.test:{far.port}/"))
        assert answered.body == b"pinned"
        assert names.asked == ["once.test"]


async def test_name_without_an_answer_is_tried_again_later():
    async with client(resolver=Names(empty_test=[[]])) as egress:
        for url in ("https://empty.test/", "https://unknown.test/"):
            with pytest.raises(Retry):
                await egress.request(Call(method="POST", url=url))
