"""Certificates are verified, always: a far side that can't prove its name gets nothing, not even a header."""

import ssl
from pathlib import Path

import pytest

from plugins import Call, Retry
from tests.hub.far_side import FarSide, Names, answer, client, raw
from tests.servers import Authority

NAMES = {"desk_test": [["127.0.0.1"]]}


def serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.file))


@pytest.mark.parametrize(("name", "host"), [("desk.test", "desk.test"), ("127.0.0.1", "127.0.0.1")])
async def test_far_side_that_proves_its_name_is_called(authority: Authority, name: str, host: str):
    async with (
        FarSide(answer(body=b"safe"), tls=serving(authority.issue(name))) as far,
        client("127.0.0.0/8", resolver=Names(**NAMES), tls=trusting(authority)) as egress,
    ):
        answered = await egress.request(Call(method="POST", url=f"https://{host}:{far.port}/"))
        assert answered.body == b"safe"
        assert f"host: {host}:{far.port}".encode() in far.requests[0].lower()


@pytest.mark.parametrize(
    ("name", "expired", "known", "words"),
    [
        ("other.test", False, True, "Hostname mismatch"),
        ("127.0.0.1", False, True, "Hostname mismatch"),
        ("desk.test", True, True, "certificate has expired"),
        ("desk.test", False, False, "certificate verify failed"),
    ],
)
async def test_far_side_without_proof_is_sent_nothing(
    authority: Authority, tmp_path: Path, name: str, expired: bool, known: bool, words: str
):
    issuer = authority if known else Authority(tmp_path)
    tls = serving(issuer.issue(name, expired=expired))
    async with (
        FarSide(answer(), tls=tls) as far,
        client("127.0.0.0/8", resolver=Names(**NAMES), tls=trusting(authority)) as egress,
    ):
        with pytest.raises(Retry, match=words):
            await egress.request(Call(method="POST", url=f"https://desk.test:{far.port}/", body=b"effect"))
        assert far.requests == []


async def test_private_authority_is_not_trusted_by_default(authority: Authority):
    async with (
        FarSide(answer(), tls=serving(authority.issue("desk.test"))) as far,
        client("127.0.0.0/8", resolver=Names(**NAMES)) as egress,
    ):
        with pytest.raises(Retry, match="certificate verify failed"):
            await egress.request(Call(method="GET", url=f"https://desk.test:{far.port}/"))
        assert far.requests == []


async def test_listed_place_is_verified_like_any_other(authority: Authority, tmp_path: Path):
    async with FarSide(answer(), tls=serving(Authority(tmp_path).issue("desk.test"))) as far:
        async with client(f"desk.test:{far.port}", resolver=Names(**NAMES), tls=trusting(authority)) as egress:
            with pytest.raises(Retry):
                await egress.request(Call(method="GET", url=f"https://desk.test:{far.port}/"))
        assert far.requests == []


async def test_far_side_that_speaks_no_tls_is_sent_nothing(authority: Authority):
    async with (
        FarSide(raw(b"HTTP/1.1 200 OK\r\n\r\n")) as far,
        client("127.0.0.0/8", tls=trusting(authority), connect_timeout=0.5) as egress,
    ):
        with pytest.raises(Retry):
            await egress.request(Call(method="POST", url=f"https://127.0.0.1:{far.port}/"))
        assert far.requests == []
