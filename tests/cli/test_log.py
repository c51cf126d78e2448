"""The log of a real `trunkline serve`: secrets stay out of it, and what comes from outside stays in its line."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import ENVIRON
from tests.servers import free_port

CONFIG = """
[hub]
listen = "127.0.0.1:{port}"
metrics_token = "env:METRICS_TOKEN"
fabric_password = "env:FABRIC_PASSWORD"
[plugins]
entry_points = false
folders = ["own"]
[instance.querylog]
kind = "querylog"
[instance.hook]
kind = "webhook"
secrets = ["env:HOOK_ONE", "env:HOOK_TWO"]
deliver_url = "https://127.0.0.1:1/"
deliver_secret = "env:HOOK_DELIVER"
[instance.mail]
kind = "email"
address = "support@acme.test"
[instance.mail.imap]
host = "127.0.0.1"
port = 1
tls = "none"
user = "support"
password = "env:IMAP_PASSWORD"
[instance.mail.smtp]
host = "127.0.0.1"
port = 1
tls = "none"
user = "support"
password = "env:SMTP_PASSWORD"
[instance.cloud]
kind = "email"
address = "cloud@acme.test"
[instance.cloud.imap]
host = "127.0.0.1"
port = 1
tls = "none"
user = "cloud"
[instance.cloud.oauth]
token_url = "https://127.0.0.1:1/token"
client_id = "desk"
client_secret = "env:OAUTH_SECRET"
refresh_token = "env:OAUTH_REFRESH"
[instance.leaky]
kind = "leaky"
nested = [{{ "password" = "env:LEAKY_NESTED" }}]
own = "env:LEAKY_OWN"
"""
RULES = """
[default]
set = { type = "unknown", impact = "person", urgency = "medium", target = "querylog" }
[matrix]
person = { low = "P5", medium = "P4", high = "P3", critical = "P2" }
team = { low = "P4", medium = "P3", high = "P3", critical = "P2" }
department = { low = "P4", medium = "P3", high = "P2", critical = "P1" }
organisation = { low = "P3", medium = "P2", high = "P1", critical = "P1" }
"""
SECRETS = {
    "METRICS_TOKEN": "canary-metrics",
    "FABRIC_PASSWORD": "canary-fabric",
    "HOOK_ONE": "whsec_" + "Q2FuYXJ5T25lQ2FuYXJ5T25lQ2FuYXJ5",
    "HOOK_TWO": "whsec_" + "Q2FuYXJ5VHdvQ2FuYXJ5VHdvQ2FuYXJ5",
    "HOOK_DELIVER": "whsec_" + "Q2FuYXJ5U2l4Q2FuYXJ5U2l4Q2FuYXJ5",
    "IMAP_PASSWORD": "canary imap/password+1",
    "SMTP_PASSWORD": 'canary"smtp\\password',
    "OAUTH_SECRET": "canary-oauth-secret",
    "OAUTH_REFRESH": "canary-oauth-refresh",
    "LEAKY_NESTED": "canary-nested-ü",
    "LEAKY_OWN": "canary-own",
}
PLUGIN = '''
import base64, logging, os, urllib.parse
from collections.abc import Sequence
from typing import ClassVar
from msgspec import Struct
from plugins import Capabilities, Connector, Envelope, Reply, Secret, hookimpl

class Login(Struct, frozen=True, kw_only=True):
    password: Secret

class Settings(Struct, frozen=True, kw_only=True):
    own: Secret
    nested: tuple[Login, ...]

class Leaky:
    """Says all secrets of the house in every way that it can think of."""
    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "leaky"
    settings_type: ClassVar[type[Settings]] = Settings
    channel: ClassVar[str] = "chat"
    isolate: ClassVar[bool] = False
    accepted = Reply()
    capabilities = Capabilities(max_body=1000)

    def __init__(self, instance, settings):
        self.settings = settings

    def verify(self, request):
        log = logging.getLogger("leaky")
        for name in NAMES:
            value = os.environ[name]
            log.warning("marker plain %s", value, extra={"header": f"Bearer {value}"})
            coded = urllib.parse.quote(value), base64.b64encode(value.encode()).decode()
            log.warning("marker coded %r %s %s", value, *coded)
            log.warning("marker settings %s", self.settings)
        log.error("marker forged\\n{\\"event\\": \\"forged\\"}\\r\\x1b[2J\\u202e end")
        raise RuntimeError("marker raised " + " ".join(os.environ[name] for name in NAMES))

    def parse(self, envelope):
        return ()

@hookimpl
def register_connectors():
    return [Leaky]
'''


@pytest.fixture(scope="module", params=["json", "people"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(form, all that a hub with leaking connectors wrote)."""
    folder: Path = tmp_path_factory.mktemp("log")
    port = free_port()
    (folder / "plugins.toml").write_text(CONFIG.format(port=port))
    (folder / "rules.toml").write_text(RULES)
    (folder / "own").mkdir()
    (folder / "own" / "leaky.py").write_text(PLUGIN.replace("NAMES:", f"{list(SECRETS)}:").replace(
        "in NAMES)", f"in {list(SECRETS)})"))  # fmt: skip
    command = [sys.executable, "-c", RUN, request.param]
    process = subprocess.Popen(
        command, cwd=folder, env=ENVIRON | SECRETS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        _post(port)
        time.sleep(1)  # the mailboxes fail to connect meanwhile
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert "marker plain" in said, said
    return request.param, said


RUN = """
import sys
from hub.cli import serve
if sys.argv[1] == "people":
    sys.stderr.isatty = lambda: True
from hub.cli import main
sys.exit(main(["serve"]))
"""


def _post(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/in/leaky/", b"x").close()
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("it does not listen")


def test_no_secret_of_any_setting_is_in_the_log(log: tuple[str, str]):
    said = log[1]
    assert said.count("***") >= 5 * len(SECRETS)
    for word in ("canary", "Q2FuYXJ5", "Y2FuYXJ5"):  # the last: canary in base64
        found = [line for line in said.splitlines() if word in line]
        assert found == []


def test_words_from_outside_forge_no_line(log: tuple[str, str]):
    form, said = log
    lines = [line for line in said.splitlines() if "marker forged" in line]
    assert len(lines) == 1
    assert "end" in lines[0]
    assert not [line for line in said.splitlines() if line.startswith('{"event": "forged"')]
    for character in ("\r", "\u202e", "\x1b[2J"):
        assert character not in said
    if form == "json":
        assert json.loads(lines[0])["level"] == "error"


def test_a_failure_is_told_with_its_trace_and_in_one_line_of_json(log: tuple[str, str]):
    form, said = log
    assert "marker raised ***" in said
    if form == "json":
        events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        (failed,) = [each for each in events if each["event"] == "webhook.verify_failed"]
        assert "RuntimeError" in failed["exception"]
        assert failed["instance"] == "leaky"
