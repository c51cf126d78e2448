"""A second agent, without a database client: added, let in by a one-time link, kept out again."""

import re
import urllib.parse
import urllib.request

import pytest

from tests.cli.conftest import Desk

PASSWORD = "correct horse battery"


def post(link: str, **fields: str) -> str:
    """The page that a form leads to. Opened as a browser does, without its cookies: a redirect ends at the log-in."""
    request = urllib.request.Request(
        link, urllib.parse.urlencode(fields).encode(), {"Origin": link.partition("/console")[0]}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(response.url)


def test_an_agent_is_added_with_a_link_that_sets_the_password_once(served: Desk):
    made = served.json("agent", "add", "Ann", "--role", "manager", "--name", "Ann Lee")
    assert (made["login"], made["role"]) == ("ann", "manager")
    assert {row["login"]: row["ready"] for row in served.json("agent", "list")} == {"admin": False, "ann": False}
    assert "/console/" in post(made["link"], password=PASSWORD, again=PASSWORD)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        post(made["link"], password=PASSWORD, again=PASSWORD)
    (ann,) = [row for row in served.json("agent", "list") if row["login"] == "ann"]
    assert (ann["name"], ann["role"], ann["ready"]) == ("Ann Lee", "manager", True)


def test_a_new_link_ends_the_one_before(served: Desk):
    old = served.json("agent", "add", "bob")["link"]
    new = re.search(r"http\S+/console/setup/\S+", served.run("agent", "reset-link", "bob").stdout)
    assert new
    with pytest.raises(urllib.error.HTTPError, match="404"):
        post(old, password=PASSWORD, again=PASSWORD)
    assert post(new[0], password=PASSWORD, again=PASSWORD)


def test_a_disabled_agent_is_out_until_a_new_link(served: Desk):
    link = served.json("agent", "add", "eve")["link"]
    assert served.run("agent", "disable", "eve").returncode == 0
    with pytest.raises(urllib.error.HTTPError, match="404"):
        post(link, password=PASSWORD, again=PASSWORD)
    assert "disabled" in served.run("agent", "list").stdout
    served.json("agent", "reset-link", "eve")
    (eve,) = [row for row in served.json("agent", "list") if row["login"] == "eve"]
    assert (eve["active"], eve["ready"]) == (True, False)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "admin"), 1, "already"),
        (("add", "a b"), 1, "without spaces"),
        (("add", "otto", "--role", "king"), 2, "viewer"),
        (("disable", "nobody"), 4, "there are: admin"),
        (("disable", "admin"), 1, "last administrator"),
    ],
)
def test_what_can_not_be_done_is_said_in_words(served: Desk, words: tuple[str, ...], code: int, said: str):
    done = served.run("agent", *words)
    assert done.returncode == code
    assert said in done.stderr


def test_agents_are_added_when_nobody_serves(desk: Desk):
    desk.serve()
    assert desk.stop() == 0
    assert "http://127.0.0.1:" in desk.json("agent", "add", "ann")["link"]
