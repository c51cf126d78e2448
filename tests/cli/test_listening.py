"""A port that is taken is named by its setting, with what to do, by `check` before and by `serve` at the start."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hub.doors import Door, trouble
from tests.cli.conftest import Desk


@contextmanager
def taken(desk: Desk, pattern: str) -> Iterator[int]:
    """Somebody else listens on the port that this part of plugins.toml names."""
    found = re.search(pattern, (desk.folder / "plugins.toml").read_text())
    assert found
    with socket.create_server(("127.0.0.1", int(found[1]))):
        yield int(found[1])


WEB, SMTP = r'listen = "127\.0\.0\.1:(\d+)"', r"port = (\d+)"


@pytest.mark.parametrize(("pattern", "key"), [(WEB, "hub.listen"), (SMTP, "instance.mail.listen")])
def test_check_names_the_setting_of_a_taken_port(desk: Desk, pattern: str, key: str):
    with taken(desk, pattern) as port:
        done = desk.run("check", "--json")
    (wrong,) = [one for one in json.loads(done.stdout) if not one["ok"]]
    assert wrong["where"] == key
    assert f"127.0.0.1:{port}: the port is taken" in wrong["what"]
    assert key in wrong["fix"]
    assert done.returncode == 1


def test_check_beside_the_running_hub_knows_whose_ports_these_are(served: Desk):
    found = {one["where"]: one for one in served.json("check")}
    for key in ("hub.listen", "instance.mail.listen"):
        assert "the hub runs here" in found[key]["what"]


def test_serve_on_a_taken_web_port_ends_with_words_and_no_trace(desk: Desk):
    with taken(desk, WEB) as port:
        done = desk.run("serve")
    assert done.returncode == 5
    assert f"hub.listen: 127.0.0.1:{port}: the port is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_with_a_taken_mail_port_serves_the_rest_and_says_so(desk: Desk):
    with taken(desk, SMTP) as port:
        assert "/portal" in desk.serve()
        log = desk.until("tries this again")
    assert f"instance.mail.listen: 127.0.0.1:{port}: the port is taken" in log
    assert desk.stop() == 0


def test_check_warns_of_passwords_that_cross_a_network_unencrypted(desk: Desk):
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace("[hub]", '[hub]\npublic_url = "http://desk.acme.test"', 1))
    found = json.loads(desk.run("check", "--offline", "--json").stdout)
    assert [one["where"] for one in found if not one["ok"]] == ["hub.public_url"]


@pytest.mark.parametrize(("host", "words"), [("203.0.113.1", "no such address"), ("nowhere.invalid", "no such name")])
def test_an_address_of_another_machine_is_told_apart_from_a_taken_port(host: str, words: str):
    found = trouble(Door("hub.listen", host, 40001))
    assert found is not None
    assert words in found.what
