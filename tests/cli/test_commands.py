"""Every command against a hub that a real `trunkline serve` runs."""

import json
import os
import signal
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Desk


def reference_of(served: Desk, instance: str) -> str:
    return next(each["reference"] for each in served.sample if each["instance"] == instance)


def test_serve_says_what_listens_where_and_how_to_log_in(served: Desk):
    for words in ("/console", "/portal", "/in/hook/", "smtp://127.0.0.1:", "/console/setup/"):
        assert words in served.greeting


def test_the_sample_is_triaged_and_acknowledged_over_every_protocol(served: Desk):
    became = {(each["over"], each["subject"]): each for each in served.sample}
    assert {over for over, _ in became} == {"SMTP", "HTTP form", "signed webhook", "WebSocket", "an agent"}
    assert all(each["reference"].startswith("TL-") for each in served.sample)
    mail = became["SMTP", "VPN down"]
    assert "P2 incident" in mail["triage"]
    assert "vpn-outage" in mail["triage"]
    assert mail["acknowledgement"] == "caught: read it in the console"


def test_automatic_mail_of_the_sample_is_recorded_and_not_answered(served: Desk):
    (away,) = [each for each in served.sample if each["subject"] == "Out of office"]
    assert away["reference"]
    assert "never answered" in away["acknowledgement"]
    shown = " ".join(served.run("query", "show", away["reference"]).stdout.split())
    assert "not acknowledged automatic mail is never answered" in shown


def test_the_form_gives_a_receipt_number_at_once(served: Desk):
    assert next(each for each in served.sample if each["over"] == "HTTP form")["receipt"].startswith("R-")


def test_queries_are_listed_and_shown(served: Desk):
    rows = served.json("query", "list", "--state", "any")
    assert {row["reference"] for row in rows} == {each["reference"] for each in served.sample}
    shown = served.run("query", "show", reference_of(served, "hook")).stdout
    assert "I am locked out of my account." in shown


def test_a_message_is_found_by_its_words(served: Desk):
    end = time.monotonic() + 30
    while not (hits := served.json("search", "LOCKED", "acc*")) and time.monotonic() < end:
        time.sleep(0.2)  # the index trails
    assert {hit["reference"] for hit in hits} == {reference_of(served, "hook")}
    assert hits[0]["reference"] in served.run("search", "locked account").stdout
    assert served.run("search", "locked", "nowhere").stdout == "No such messages.\n"


def test_a_list_is_narrowed_by_channel(served: Desk):
    assert {row["channel"] for row in served.json("query", "list", "--channel", "portal")} == {"portal"}


def test_a_reference_forgives_case(served: Desk):
    assert served.run("query", "show", reference_of(served, "hook").lower()).returncode == 0


def test_a_user_is_found_by_address_with_the_journey(served: Desk):
    sender = next(each["sender"] for each in served.sample if each["instance"] == "portal")
    journey = served.json("user", "show", sender)
    assert journey["identities"][0]["value"] == sender
    assert any("Paper jam" in message["text"] for message in journey["messages"])
    assert sender in served.run("user", "list", "--text", sender[:6]).stdout


def test_explain_says_why_and_why_not(served: Desk):
    reference = reference_of(served, "portal")
    assert "set by printer" in served.run("explain", reference).stdout
    why_not = served.run("explain", reference, "--rule", "vpn-outage").stdout
    assert "rule vpn-outage did not match" in why_not


def test_explain_judges_a_sample_by_the_rules_file(served: Desk):
    (served.folder / "s.json").write_text(json.dumps({"message": {"channel": "email", "subject": "Toner is empty"}}))
    assert "set by printer" in served.run("explain", "s.json").stdout


def test_a_sample_with_a_misspelt_key_is_refused_with_what_is_allowed(served: Desk):
    (served.folder / "bad.json").write_text(json.dumps({"message": {"chanel": "email"}}))
    done = served.run("explain", "bad.json")
    assert done.returncode == 3
    assert "message.chanel: unknown key" in done.stderr


def test_a_reply_names_its_recipient_and_waits_for_a_yes(served: Desk):
    done = served.run("query", "reply", reference_of(served, "mail"), "It works.")
    assert done.returncode == 1
    assert "To email:ann." in done.stdout
    assert "add --yes" in done.stderr


def test_a_reply_goes_out_by_the_reply_route(served: Desk):
    reference = reference_of(served, "mail")
    assert served.run("query", "reply", reference, "-", "--yes", stdin="Bitte neu starten.").returncode == 0
    shown = served.json("query", "show", reference)
    assert [each["text"] for each in shown["messages"] if each["author"].startswith("agent:")] == ["Bitte neu starten."]


def test_files_go_with_a_reply(served: Desk, tmp_path: Path):
    (tmp_path / "form.txt").write_text("fill it in")
    (tmp_path / "picture.png").write_bytes(bytes(13 << 20))  # more than other operations may bring over the socket
    words = ["query", "reply", reference_of(served, "mail"), "Attached.", "--attach", str(tmp_path / "form.txt")]
    done = served.run(*words, "--yes", "--attach", str(tmp_path / "picture.png"))
    assert done.returncode == 0, done.stderr
    assert "+ picture.png (image/png, 13.0 MiB)" in done.stdout
    shown = served.run("query", "show", reference_of(served, "mail")).stdout
    assert "+ form.txt (text/plain, 10 B)" in shown


def test_a_file_that_is_too_large_or_none_is_refused_with_nothing_sent(served: Desk, tmp_path: Path):
    reference, file = reference_of(served, "mail"), tmp_path / "disk.img"
    file.write_bytes(b"")
    os.truncate(file, 26 << 20)
    for path, why in (
        (file, "25.0 MiB go with a reply"),
        (tmp_path, "it is a folder"),
        (tmp_path / "no", "No such file"),
    ):
        done = served.run("query", "reply", reference, "Not this.", "--yes", "--attach", str(path))
        assert done.returncode == 1
        assert "nothing was sent" in done.stderr
        assert why in " ".join(done.stderr.split())
    assert "Not this." not in served.run("query", "show", reference).stdout


def test_set_changes_and_says_why(served: Desk):
    reference = reference_of(served, "hook")
    done = served.run("query", "set", reference, "--state", "resolved", "--note", "by phone")
    assert done.returncode == 0, done.stderr
    shown = served.json("query", "show", reference)
    assert shown["query"]["state"] == "resolved"
    assert "by phone" in [each["text"] for each in shown["messages"]]


def test_a_team_that_there_is_not_is_refused_with_those_there_are(served: Desk):
    done = served.run("query", "set", reference_of(served, "portal"), "--team", "moon")
    assert done.returncode == 1
    assert "network" in done.stderr


@pytest.mark.parametrize(
    "words", [("query", "show", "TL-00000000"), ("user", "show", "nobody@x.test"), ("parked", "show", "1")]
)
def test_what_there_is_not_ends_with_4(served: Desk, words: tuple[str, ...]):
    assert served.run(*words).returncode == 4


def test_nothing_of_the_sample_is_parked(served: Desk):
    assert served.json("parked", "list") == {"envelopes": [], "work": []}


def test_check_and_doctor_find_nothing_wrong(served: Desk):
    checked, examined = served.json("check"), served.json("doctor")
    assert [one for one in checked if not one["ok"] and "in use" not in one["what"]] == []
    assert [one for one in examined if not one["ok"] and "lies on" not in one["what"]] == []


def test_reprocess_keeps_the_references(served: Desk):
    before = {row["reference"] for row in served.json("query", "list", "--state", "any")}
    assert served.run("reprocess", "--since", "2020-01-01").returncode == 0
    assert {row["reference"] for row in served.json("query", "list", "--state", "any")} == before


def test_a_backup_of_a_running_hub_is_whole(served: Desk):
    assert served.run("backup", "copy").returncode == 0
    copy = served.folder / "copy"
    with sqlite3.connect(copy / "var" / "trunkline.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = {row[0] for row in database.execute("SELECT reference FROM queries")}
    database.close()
    assert {each["reference"] for each in served.sample} <= kept
    for name in ("plugins.toml", "rules.toml", "var/signing.key", "var/vault.key", "var/made/hook"):
        assert (copy / name).read_bytes() == (served.folder / name).read_bytes()


def test_a_backup_is_a_folder_to_work_from(served: Desk):
    assert served.run("backup", "restored").returncode == 0
    restored = [served.folder / "restored" / "plugins.toml", "query", "list", "--state", "any"]
    listed = served.json(*(str(word) for word in (*restored[1:], "--config", restored[0])))
    assert {each["reference"] for each in served.sample} <= {row["reference"] for row in listed}
    examined = json.loads(served.run("doctor", "--json", "--config", str(restored[0])).stdout)
    assert [one for one in examined if not one["ok"] and "lies on" not in one["what"]] == []


def test_a_backup_never_mixes_with_another(served: Desk):
    (served.folder / "used").mkdir()
    (served.folder / "used" / "x").write_text("")
    assert served.run("backup", "used").returncode == 1


def test_the_socket_for_changes_is_its_owners_alone(served: Desk):
    assert stat.S_IMODE((served.folder / "var" / "trunkline.sock").stat().st_mode) == 0o600


def test_a_second_serve_on_the_same_store_is_refused(served: Desk):
    done = served.run("serve")
    assert done.returncode == 5
    assert "in use by process" in done.stderr


def test_changes_go_to_the_store_itself_when_nobody_serves_it(desk: Desk, tmp_path: Path):
    desk.serve()
    reference = next(each["reference"] for each in desk.json("sample") if each["instance"] == "mail")
    assert desk.stop() == 0
    file = tmp_path / "form.txt"
    file.write_text("fill it in")
    assert desk.run("query", "reply", reference, "Attached.", "--yes", "--attach", str(file)).returncode == 0
    sent = desk.json("query", "show", reference)["messages"][-1]
    assert [each["name"] for each in sent["attachments"]] == ["form.txt"]
    assert desk.run("query", "set", reference, "--state", "closed").returncode == 0
    assert desk.json("query", "show", reference)["query"]["state"] == "closed"


def test_bad_files_at_reload_change_nothing_and_show_as_alarms_until_a_start_with_good_ones(desk: Desk):
    desk.serve()
    good = {name: (desk.folder / name).read_text() for name in ("rules.toml", "plugins.toml")}
    for name, wrong in (("rules.toml", '\n[[rule]]\nname = "x"\nfrob = 1\n'), ("plugins.toml", "\n[frobs]\n")):
        with (desk.folder / name).open("a") as file:
            file.write(wrong)
    desk.signal(signal.SIGHUP)
    assert "frob" in desk.until("rules.refused")
    assert "frobs: unknown table" in desk.until("configuration.refused")
    assert desk.process
    assert desk.process.exitcode is None
    assert desk.stop() == 0
    assert _standing(desk) == {"rules", "configuration"}
    for name, text in good.items():
        (desk.folder / name).write_text(text)
    desk.serve()
    assert desk.stop() == 0
    assert _standing(desk) == set()


def _standing(desk: Desk) -> set[str]:
    with closing(sqlite3.connect(desk.folder / "var" / "trunkline.db")) as database:
        return {row[0] for row in database.execute("SELECT key FROM alarms WHERE cleared_at IS NULL")}


def test_good_files_at_reload_clear_the_alarms(desk: Desk):
    rules = desk.folder / "rules.toml"
    good = rules.read_text()
    desk.serve()
    rules.write_text("frob")
    desk.signal(signal.SIGHUP)
    desk.until("rules.refused")
    rules.write_text(good)
    desk.signal(signal.SIGHUP)
    desk.until("rules.reloaded")
    assert desk.stop() == 0
    assert _standing(desk) == set()


def test_a_configuration_with_mistakes_does_not_start(desk: Desk):
    with (desk.folder / "plugins.toml").open("a") as file:
        file.write('\n[instance.Bad]\nkind = "emial"\n')
    done = desk.run("serve")
    assert done.returncode == 3
    assert "did you mean email?" in done.stderr


def test_without_a_store_a_read_says_what_makes_one(desk: Desk):
    done = desk.run("query", "list")
    assert done.returncode == 5
    assert "trunkline serve" in done.stderr


def test_init_touches_nothing_that_is_there(desk: Desk):
    secret = desk.folder / "var" / "made" / "hook"
    before = secret.read_bytes()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    (desk.folder / "rules.toml").write_text("# mine\n")
    done = desk.run("init", ".")
    assert "was there" in done.stdout
    assert secret.read_bytes() == before
    assert (desk.folder / "rules.toml").read_text() == "# mine\n"


def test_init_makes_no_password_that_somebody_must_choose(desk: Desk):
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace('["file:var/made/hook"]', '["file:elsewhere/password"]'))
    desk.run("init", ".")
    assert not (desk.folder / "elsewhere").exists()


def test_wrong_usage_ends_with_2(desk: Desk):
    assert desk.run("query", "frob").returncode == 2
    assert desk.run("query", "list", "--channel", "pigeon").returncode == 2


def test_hostile_words_do_not_reach_the_terminal(served: Desk, tmp_path: Path):
    reference = reference_of(served, "portal")
    assert served.run("query", "set", reference, "--service", "\x1b]0;owned\x07\x9b31m").returncode == 0
    shown = served.run("query", "show", reference).stdout
    assert "\x1b" not in shown
    assert "\\x1b]0;owned\\x07" in shown
