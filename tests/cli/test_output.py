"""Nothing from outside can steer a terminal."""

import json

import pytest

from hub.cli.output import as_json, size, visible, when


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ü 漢字", "plain ü 漢字"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\bc\x00", "a\\x0db\\x08c\\x00"),
        ("admin\u202etxt", "admin\\u202etxt"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\ud800", "\\ud800"),
        ("a\nb", "a\\nb"),
    ],
)
def test_steering_characters_are_spelt_out(given: str, shown: str):
    assert visible(given) == shown


def test_lines_are_kept_where_they_are_wanted():
    assert visible("a\r\nb\x1b", lines=True) == "a\nb\\x1b"


def test_json_is_ascii_and_steers_nothing(capsys: pytest.CaptureFixture[str]):
    as_json({"subject": "\x9b31m\u202e\x7f😀\ud800"})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert not set(printed) & {"\x7f", "\x1b"}
    assert json.loads(printed)["subject"].startswith("\x9b31m\u202e\x7f😀")


def test_ids_are_strings_in_json_because_63_bits_are_too_many(capsys: pytest.CaptureFixture[str]):
    as_json({"id": 1 << 62, "n": 3, "yes": True})
    assert json.loads(capsys.readouterr().out) == {"id": str(1 << 62), "n": 3, "yes": True}


def test_sizes_and_moments_are_for_people():
    assert (size(812), size(1 << 20)) == ("812 B", "1.0 MiB")
    assert (when(None), when(0)) == ("", "")
