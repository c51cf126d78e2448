"""Moments and forms as connectors read and write them."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import pytest

from plugins import multipart, plausible
from plugins.testing.stubs import START


@pytest.mark.parametrize("said", [None, "", "soon", "nan", "inf", -1, 0, 2**70, "1e999", START + timedelta(days=2)])
def test_implausible_moment_becomes_the_time_of_receipt(said):
    assert plausible(said, START) == START


@pytest.mark.parametrize("said", [1763726400, "1763726400", 1763726400.0, "1763726400.000100"])
def test_unix_seconds_are_read_as_number_and_text(said):
    assert plausible(said, START).replace(microsecond=0) == datetime(2025, 11, 21, 12, tzinfo=UTC)


def test_form_with_a_file_is_read_back_by_another_parser():
    kind, body = multipart({"chat": "1"}, [("document", 'a"\r\nX: y.txt', "text/plain", b"--bytes\r\n")])
    parsed = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    text, file = parsed.get_payload()
    assert len(kind.partition("boundary=")[2]) <= 70  # RFC 2046 §5.1.1
    assert text.get_payload() == "1"
    assert file.get_payload(decode=True) == b"--bytes\r\n"
    assert file["X"] is None
    assert file.get_filename() == "a%22%0D%0AX: y.txt"


def test_form_is_the_same_for_the_same_input():
    assert multipart({"a": "b"}, [("f", "n", "t", b"x")]) == multipart({"a": "b"}, [("f", "n", "t", b"x")])
