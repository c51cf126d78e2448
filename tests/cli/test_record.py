"""`trunkline record`, without a hub and with one."""

from tests.cli.conftest import Desk


def test_contact_is_on_disk_without_a_hub_and_a_query_with_one(desk: Desk):
    early = desk.run("record", "Ann", "Badge")
    assert early.returncode == 0, early.stderr
    assert early.stdout.startswith("Recorded as R-")
    wrong = desk.run("record", "044 123 45 67", "Badge")
    assert wrong.returncode == 1
    assert "begin it with the country" in wrong.stderr
    desk.serve()
    done = desk.json("record", "Bo <bo@acme.test>", "VPN down", "--through", "desk", "--outcome", "answered")
    assert done["state"] == "done"
    query = done["query"]
    assert (query["state"], query["channel"], query["service"]) == ("resolved", "walk-in", "remote-access")
    told = desk.run("record", "+41 44 123 45 67", "Keys", "--text", "-", stdin="Lost them.")
    assert told.stdout.startswith("TL-"), told.stderr
    assert "P4" in told.stdout
    rows = desk.json("query", "list", "--state", "any")
    assert {row["subject"] for row in rows} == {"Badge", "VPN down", "Keys"}
