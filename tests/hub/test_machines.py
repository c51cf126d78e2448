"""Who is never acknowledged, whatever the channel: addresses of machines (R16)."""

import pytest

from context_store.lookups import KnownIdentity
from hub.communicate.acknowledge import may_answer


def _may(address: str, scheme: str = "email") -> str:
    return may_answer(KnownIdentity(1, 1, scheme, address), 0, 0)


@pytest.mark.parametrize(
    "address",
    ["mailer-daemon@x.test", "MAILER-DAEMON@x.test", "postmaster@x.test", "no-reply@x.test", "noreply+7@x.test",
     "do-not-reply@x.test", "donotreply@x.test", "bounces-12@x.test", "nobody@x.test"],
)  # fmt: skip
def test_address_of_a_machine_is_not_answered(address: str) -> None:
    assert _may(address) == "this is the address of a machine"


@pytest.mark.parametrize("address", ["ann@x.test", "ann.noreply@x.test", "nobodyknows@x.test", "postmasters@x.test"])
def test_address_of_a_person_is_answered(address: str) -> None:
    assert _may(address) == ""


def test_name_in_another_scheme_is_no_mailbox() -> None:
    assert _may("nobody@server", "matrix") == ""
