"""A small desk: two users, three queries over three channels, parked and caught work, an alarm."""

from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from context_store import Store
from context_store import tables as t
from context_store.agents import create_agent, set_password
from context_store.groups import sync_teams
from context_store.references import reference_of
from context_store.text import hash_key
from hub.decided import stored
from plugins import Done, Fold, Identity, Outgoing
from routing import Facts, Sender, decide, load_rules

PASSWORD = "correct horse battery"
RULES = b"""
[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "medium"
set.target = "querylog"

[[rule]]
name = "out-of-office"
when.subject.matches = "(?i)^out of office"
set.type = "unknown"
stop = true

[[rule]]
name = "vpn-outage"
note = "Network team asked for these, 2026-11"
when.channel = ["email", "chat"]
when.text.any = ["vpn", "anyconnect"]
when.not.user.organisation = ["umbrella"]
set.type = "incident"
set.service = "remote-access"
set.impact = "department"
set.urgency = "high"
set.team = "network"
"""
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
MINUTE = 60_000


class Sample:
    """Fills the tables; remembers the ids that tests ask for."""

    def __init__(self, store: Store, password_hash: str) -> None:
        self.ids, self.now, self.node = store.ids, store.now(), store.node
        self.hash = password_hash
        self.named: dict[str, Any] = {}

    def add(self, conn: Connection, table: Any, **values: Any) -> int:
        number = values.setdefault("id", self.ids.next())
        conn.execute(insert(table).values(**values))
        return int(number)

    def fill(self, conn: Connection) -> dict[str, Any]:
        self._agents(conn)
        ann = self._user(conn, "Ann Meyer", "email", "ann@acme.test", 1, org="Acme Ltd")
        eve = self._user(conn, "", "slack", "T1:U7", 0)
        vpn = self._query(conn, ann, "VPN drops every few minutes since the update", "open", 90, priority="P2")
        self._conversation(conn, vpn, ann)
        self._decision(conn, vpn)
        chat = self._query(conn, eve, HOSTILE, "new", 3, channel="chat", instance="helpdesk-chat", priority="P4")
        self._message(conn, chat, eve, text=HOSTILE, subject=HOSTILE, author=HOSTILE, channel="chat", kind="chat")
        done = self._query(conn, ann, "New laptop for the summer intern", "resolved", 3000, priority="P5")
        self._message(conn, done, ann, text="Could we get one by Monday?", subject="New laptop")
        self._parked(conn, vpn)
        self._caught(conn, vpn, ann)
        self._tallies(conn)
        self.named |= {"ann": ann, "eve": eve, "vpn": vpn, "chat": chat}
        return self.named

    def _agents(self, conn: Connection) -> None:
        sync_teams(conn, {"network": "Network", "desk": "First line"}, self.ids.next)
        for login, name in (("viewer", "Vera"), ("agent", "Amir"), ("manager", "Mona"), ("admin", "Ada")):
            made = create_agent(conn, self.ids.next(), login, name, login, self.now)
            set_password(conn, made.id, self.hash)
            self.named[login] = made.id

    def _user(self, conn: Connection, name: str, scheme: str, value: str, assurance: int, org: str = "") -> Any:
        number = self.add(conn, t.organisations, slug="acme", name=org) if org else None
        user = self.add(
            conn, t.users, name=name, organisation_id=number, language="en", vip=bool(org), created_at=self.now
        )
        return {
            "user": user,
            "value": value,
            "identity": self.add(
                conn, t.identities, scheme=scheme, value=value, value_hash=hash_key(scheme, value), name=name,
                user_id=user, assurance=assurance, created_at=self.now,
            ),
        }  # fmt: skip

    def _query(self, conn: Connection, who: Any, subject: str, state: str, minutes: int, **more: Any) -> Any:
        number, at = self.ids.next(), self.now - minutes * MINUTE
        values = {"instance": "support-mail", "channel": "email", "type": "incident", "urgency": "high",
                  "impact": "department", "target": "querylog", **more}  # fmt: skip
        self.add(
            conn, t.queries, id=number, reference=reference_of(number), root_id=number, identity_id=who["identity"],
            subject=subject, state=state, opened_at=at, updated_at=at, last_in_at=at, team="network",
            tags='["network","vpn"]', assignee_id=self.named["agent"] if state == "open" else None, **values,
        )  # fmt: skip
        thread = self.add(
            conn, t.threads, instance=values["instance"], key_hash=hash_key(str(number)), key=str(number),
            query_id=number, identity_id=who["identity"], last_seq=9, last_at=at,
        )  # fmt: skip
        return {"id": number, "reference": reference_of(number), "thread": thread, "at": at, "seq": 0}

    def _message(self, conn: Connection, query: Any, who: Any, **more: Any) -> int:
        query["seq"] += 1
        values = {"instance": "support-mail", "channel": "email", "kind": "mail", "direction": "in", "private": True,
                  "assurance": 0, **more}  # fmt: skip
        return self.add(
            conn, t.messages, query_id=query["id"], thread_id=query["thread"], thread_seq=query["seq"],
            identity_id=who["identity"], key_hash=hash_key(str(query["id"]), str(query["seq"])), key="k",
            at=query["at"], recorded_at=query["at"] + query["seq"] * MINUTE, **values,
        )  # fmt: skip

    def _conversation(self, conn: Connection, vpn: Any, ann: Any) -> None:
        text = (
            "Good morning,\n\nAnyConnect drops every few minutes since last night's update. The whole second floor "
            "has it, and the status page shows nothing.\n\nCould somebody have a look before ten? We have a customer "
            "demo.\n\n-- \nAnn Meyer\nAcme Ltd, Sales\n"
        )
        signature = text.index("-- \n")
        envelope = self.envelope(conn, "support-mail", "done", b"From: ann@acme.test\r\n\r\nraw mail")
        first = self._message(
            conn, vpn, ann, text=text, subject="VPN drops every few minutes since the update", assurance=1,
            folds=msgspec.json.encode([Fold(start=signature, end=len(text), kind="signature")]).decode(),
            html=f"<p>Good <b>morning</b>,</p>{HOSTILE}<p>AnyConnect drops.</p>", envelope_id=envelope,
        )  # fmt: skip
        self.named |= {"first": first, "envelope": envelope}
        self.add(
            conn, t.items, envelope_id=envelope, n=0, kind="message", key_hash=hash_key("item"), outcome="recorded",
            message_id=first,
        )  # fmt: skip
        for n, (name, body) in enumerate((
            ("screenshot.png", b"\x89PNG"),
            ('"><script>x.html', b"<script>alert(1)</script>"),
        )):
            sha = sha256(body).digest()
            self.named[f"blob{n}"] = (sha, body)
            conn.execute(
                insert(t.attachments).values(
                    message_id=first, n=n, sha256=sha, name=name, type="image/png", size=48_213
                )
            )
        self._message(
            conn, vpn, ann, direction="out", author="agent:agent", delivery="delivered", subject="Re: VPN drops",
            text="Good morning Ann,\n\nthank you. We see it too and are rolling the gateway back now; I will write "
            "again by nine.\n\nAmir",
        )  # fmt: skip
        self._message(
            conn, vpn, ann, kind="note", direction="out", author="agent:agent",
            text="Gateway 2 was updated at 02:10, change C-4471.",
        )  # fmt: skip
        reply = (
            "It works again on my side. Thanks for the quick help!\n\n> We see it too and are rolling it back\n> now"
        )
        quote = reply.index("> We")
        self._message(
            conn, vpn, ann, text=reply, subject="Re: VPN drops every few minutes since the update", assurance=1,
            folds=msgspec.json.encode([Fold(start=quote, end=len(reply), kind="quote")]).decode(),
        )  # fmt: skip
        self._event(conn, vpn, "query.opened", "rules", {"channel": "email", "instance": "support-mail"})
        self._event(conn, vpn, "query.assigned", "agent:agent", {"assignee": "Amir"})

    def _event(self, conn: Connection, query: Any, kind: str, actor: str, body: Any) -> None:
        self.add(
            conn, t.events, kind=kind, subject_id=query["id"], actor=actor, at=query["at"], salt=b"s" * 16,
            body=msgspec.json.encode(body).decode(), commitment=b"c" * 32,
        )  # fmt: skip

    def _decision(self, conn: Connection, query: Any) -> None:
        rules = load_rules(RULES)
        facts = Facts(channel="email", subject="VPN drops", body="AnyConnect drops", assurance=1,
                      sender=Sender(address="ann@acme.test", scheme="email"))  # fmt: skip
        decision = decide(rules, facts)
        conn.execute(insert(t.rule_sets).values(hash=rules.hash, source=rules.source, loaded_at=self.now))
        self.named["decision"] = self.add(
            conn, t.decisions, query_id=query["id"], rule_set=rules.hash, author="rules", at=query["at"],
            facts=msgspec.json.encode(facts).decode(), outcome=msgspec.json.encode(stored(decision)).decode(),
        )  # fmt: skip

    def envelope(self, conn: Connection, instance: str, state: str, raw: bytes, **more: Any) -> int:
        number = self.ids.next()
        return self.add(
            conn, t.envelopes, id=number, instance=instance, key_hash=hash_key(str(number)), body_hash=hash_key(raw),
            lane=1, facts="{}", raw=raw, size=len(raw), received_at=self.now - 20 * MINUTE, state=state, **more,
        )  # fmt: skip

    def work(self, conn: Connection, query: Any, state: str, **more: Any) -> int:
        outgoing = Outgoing(
            key="m1", to=Identity(scheme="email", value="ann@acme.test"), text=f"We have your message. {HOSTILE}",
            subject=f"Your query {query['reference']}", reference=query["reference"], automatic=True,
        )  # fmt: skip
        return self.add(
            conn, t.outbox, kind="delivery", destination="support-mail", lane=1, query_id=query["id"], state=state,
            body=msgspec.json.encode(outgoing).decode(), due_at=self.now, horizon_at=self.now, attempts=3,
            created_at=query["at"], settled_at=self.now, **more,
        )  # fmt: skip

    def _parked(self, conn: Connection, vpn: Any) -> None:
        self.named["parked"] = self.envelope(
            conn, "support-mail", "parked", b"\xff\x00broken" * 900, cause="parse_failed", attempts=5,
            trace="Traceback (most recent call last):\n  File \"mime.py\", line 12, in parse\nMalformed: no header",
        )  # fmt: skip
        self.named["parked_work"] = self.work(
            conn, vpn, "parked", cause="recipient_unknown: 550 5.1.1 no such user", trace="Refuse: 550 5.1.1"
        )
        self.work(conn, vpn, "queued")

    def _caught(self, conn: Connection, vpn: Any, ann: Any) -> None:
        number = self.named["caught"] = self.work(conn, vpn, "done")
        done = msgspec.json.encode(Done(ref="m1", caught=True)).decode()
        conn.execute(
            insert(t.steps).values(
                outbox_id=number, n=0, key="s1", kind="mail", harmless=False, key_life=0, state="done", done=done,
                body=b"To: ann@acme.test\r\nSubject: Your query\r\n\r\nWe have your message.\r\n",
            )
        )  # fmt: skip

    def _tallies(self, conn: Connection) -> None:
        for instance, counts in (
            ("support-mail", {"received": 1204, "done": 1202, "parked": 1, "pending": 1}),
            ("portal", {"received": 88, "done": 88}),
        ):
            for state, n in counts.items():
                conn.execute(insert(t.tallies).values(instance=instance, node=self.node, state=state, n=n))
        conn.execute(
            insert(t.alarms).values(
                key="silence:support-mail", what="Support mail has been silent for 26 hours", times=2,
                raised_at=self.now - 120 * MINUTE, last_at=self.now - 5 * MINUTE,
            )
        )  # fmt: skip
