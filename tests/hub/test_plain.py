"""What is no file is refused at once, wherever an administrator named one; nobody waits for a pipe."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.config import load_config
from hub.plain import read_plain
from hub.rules import read_rules
from hub.texts import Texts
from plugins import BadConfig
from tests.hub.desk import RULES, Desk, message

Make = Callable[[Path], object]


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(str(path))


NO_FILES: dict[str, tuple[Make, str]] = {
    "a pipe": (os.mkfifo, "it is a pipe, not a file"),
    "a folder": (Path.mkdir, "it is a folder, not a file"),
    "a socket": (listening, "it is a socket, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "a gigabyte": (lambda path: path.touch() or os.truncate(path, 1 << 30), "it has 1,073,741,824 bytes, more than "),
    "nothing": (lambda _: None, "No such file or directory"),
}


@pytest.mark.parametrize(("make", "words"), NO_FILES.values(), ids=NO_FILES)
@pytest.mark.parametrize("read", [read_rules, load_config])
def test_what_is_no_file_is_refused_with_one_message(
    short_folder: Path, make: Make, words: str, read: Callable[[Path], object]
):
    make(short_folder / "x.toml")
    with pytest.raises(BadConfig) as refused:
        read(short_folder / "x.toml")
    (problem,) = refused.value.problems
    assert problem.what.startswith(f"can't be read: {words}")


def test_file_is_read_to_its_last_allowed_byte(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"12345")
    assert read_plain(tmp_path / "x", 5) == b"12345"
    with pytest.raises(OSError, match="5 bytes, more than 4"):
        read_plain(tmp_path / "x", 4)


def test_text_that_is_a_pipe_is_not_there(tmp_path: Path):
    (tmp_path / "templates").mkdir()
    os.mkfifo(tmp_path / "templates" / "closed.en.md")
    texts = Texts(tmp_path / "templates", tmp_path / "templates", "en")
    assert (texts.template_names(), texts.article_names()) == (frozenset(), frozenset())
    assert texts.template("closed", "en") is None


async def test_pipe_in_the_place_of_the_rules_holds_up_nothing_and_raises_an_alarm(desk: Desk):
    before = desk.hub.rules.current
    file = desk.folder / "rules.toml"
    file.unlink()
    os.mkfifo(file)
    assert not await desk.hub.reload()
    (what,) = await desk.column("SELECT what FROM alarms WHERE key = 'rules'")
    assert "it is a pipe, not a file" in what
    assert desk.hub.rules.current is before
    await desk.say(message(text="my vpn"))
    assert await desk.column("SELECT type FROM queries") == ["incident"]
    file.unlink()
    file.write_text(RULES)
    assert await desk.hub.reload()
    assert await desk.alarms() == []
