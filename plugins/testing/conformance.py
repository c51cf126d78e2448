"""The checks that every plugin passes: subclass one of the two classes and run pytest.

    class TestAcmeChat(ConnectorConformance):
        cls = AcmeChat
        table = {"secret": "env:ACME_SECRET", "room": "help"}      # as it would stand in plugins.toml
        signature_header = "x-acme-signature"                      # None: a webhook that nothing signs

        def requests(self):                                        # genuine, by secrets of self.secret("ACME_SECRET")
            return [...]

Whatever is drawn from `environ` is a canary: it must never show anywhere. A check about a role that the class has
not passes, because nothing is claimed.
"""

import pickle
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import msgspec
import pytest

from plugins.errors import NotAuthentic, Refuse, TrunklineError
from plugins.fit import faults, roles
from plugins.model import (
    Answer,
    Call,
    Capabilities,
    Change,
    Claim,
    Done,
    Envelope,
    Identity,
    Item,
    Message,
    Open,
    Outgoing,
    Reply,
    Request,
    Say,
    Skipped,
    Step,
)
from plugins.settings import describe_settings, load_settings
from plugins.testing import hostile
from plugins.testing.crossing import cross
from plugins.testing.purity import no_io
from plugins.testing.secrecy import guises
from plugins.testing.site import SiteChecks
from plugins.testing.stubs import StubAttempt, StubHub

CARD = "trunkline.kind"
"""Under this property a check's result goes onto the report card (`pytest_plugin`)."""
PAYLOADS = "trunkline.payloads"
CANNOT = "it "
_ANN = Identity(scheme="email", value="ann@acme.test")
_PLAIN = Outgoing(key="key-1", to=_ANN, text="Hello", thread="t", subject="Hi", reference="Q1", token="token-1")  # noqa: S106  # a sample
_MESSAGES = (
    _PLAIN,
    msgspec.structs.replace(_PLAIN, key="key-2", text="\u00e9\n" * 50_000, subject="a\r\nBcc: x@y.test"),
)
_TICKET_WORK = (
    Open(ext_id="ext-1", subject="VPN down", text="since 8", user=Claim(identity=_ANN, name="Ann")),
    Say(ext_id="ext-1", text="We are on it", public=True, author="Bob"),
    Change(ext_id="ext-1", fields={"state": "open"}),
)


def _planned(made: Any, work: Any) -> list[Step]:
    """The steps; none where `plan` refuses, as it may (a subject that would start a header)."""
    try:
        return list(made.plan(work))
    except Refuse:
        return []


class _Conformance:
    """What connectors and targets have in common."""

    cls: ClassVar[type[Any]]
    table: ClassVar[Mapping[str, Any]] = {}
    """Good settings; secrets as `env:NAME` references."""
    is_target: ClassVar[bool]

    def secret(self, name: str) -> str:
        """The value behind `env:NAME`. Override it if the class wants a form (`whsec_…`); keep it recognisable."""
        return f"canary-{name}"

    def make(self) -> Any:
        """A new connector or target, as the hub builds it."""
        return self.cls("sample", self.settings())

    def settings(self, *, reveal: bool = True) -> Any:
        """From `table`; every problem shows."""
        settings, problems = self._load(self.table, reveal=reveal)
        assert problems == []
        return settings

    def works(self) -> Sequence[Any]:
        """Work to plan: `Outgoing` for senders, `TicketWork` for targets."""
        return _TICKET_WORK if self.is_target else _MESSAGES

    def answer(self, call: Call) -> Answer:  # for authors to override
        """What the far side answers while a step is performed."""
        return Answer(status=200, body=b"{}")

    def cannot(self, what: str) -> NoReturn:
        """Leave the check out, because nothing is claimed: `what` stands on the report card."""
        pytest.skip(f"{CANNOT}{what}")

    @pytest.fixture(autouse=True)
    def _hushed(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
        """No check leaves a secret in the log, or prints it."""
        caplog.set_level("DEBUG")
        yield
        printed = capsys.readouterr()
        sys.stdout.write(printed.out)  # for the report of a check that failed
        sys.stderr.write(printed.err)
        logged = map(caplog.handler.format, caplog.get_records("call"))  # `text` is the teardown's by now
        self._hides(*logged, printed.out, printed.err)

    @pytest.fixture(autouse=True)
    def _on_the_card(self, record_property: Any) -> None:
        record_property(CARD, getattr(self.cls, "kind", self.cls.__name__))

    def test_class_fits_the_contract(self) -> None:
        assert faults(self.cls, target=self.is_target) == []

    def test_every_setting_is_described(self) -> None:
        rows = describe_settings(self.cls.settings_type)
        assert [row.name for row in rows if not row.description.strip()] == []

    def test_all_errors_of_settings_are_listed(self) -> None:
        required = {row.name for row in describe_settings(self.cls.settings_type) if row.default == "required"}
        top = {name for name in required if "." not in name}
        settings, problems = self._load({"no-such-key": 1, "nor-this-one": "env:X"})
        assert settings is None
        assert {problem.key for problem in problems} == {
            "instance.sample." + n for n in top | {"no-such-key", "nor-this-one"}
        }

    def test_constructor_does_no_io(self) -> None:
        settings = self.settings()
        self.cls("sample", settings)
        with no_io():
            self.cls("sample", settings)

    def test_it_can_be_built_without_secrets(self) -> None:
        made = self.cls("sample", self.settings(reveal=False))
        assert isinstance(made.capabilities, Capabilities)
        again = pickle.loads(pickle.dumps(self.settings()))  # noqa: S301  # our own bytes, as a parse worker gets them
        self.cls("sample", again)

    def test_capabilities_cross_the_contract(self) -> None:
        capabilities = self.make().capabilities
        cross(capabilities, Capabilities)
        assert capabilities.max_body > 0

    def test_settings_and_instance_show_no_secret(self) -> None:
        made, settings = self.make(), self.settings()
        self._hides(repr(made), str(made), repr(settings), str(settings), pickle.dumps(settings))
        literal = {name: self._canaries()[0] if self._canaries() else "x" for name in self.table}
        self._hides(*(str(problem) for problem in self._load(literal)[1] if "env:" in problem.what))

    def test_plan_is_pure_and_its_steps_cross_the_contract(self) -> None:
        if "plan" not in dir(self.cls):
            self.cannot("sends nothing")
        for work in self.works():
            first = _planned(self.make(), work)
            made = self.make()
            with no_io():
                second = _planned(made, work)
            assert first == second
            cross(first, list[Step])
            self._hides(*(step.body for step in first))

    def test_plan_needs_no_secret(self) -> None:
        if "plan" not in dir(self.cls):
            self.cannot("sends nothing")
        blank = self.cls("sample", self.settings(reveal=False))
        for work in self.works():
            assert _planned(blank, work) == _planned(self.make(), work)

    async def test_step_has_one_effect_at_most(self) -> None:
        if "plan" not in dir(self.cls):
            self.cannot("sends nothing")
        made, done = self.make(), list[Done]()
        for work in self.works():
            for step in _planned(made, work):
                attempt = StubAttempt(self.answer, made=done, ticket="" if isinstance(work, Open) else "1")
                result = await made.perform(step, attempt)
                assert attempt.effects <= 1, f"step {step.kind} has {attempt.effects} effects"
                cross(result, Done)
                self._hides(repr(result), *(repr((call.url, call.headers)) for call in attempt.calls))
                done = [*done, result]

    def _load(self, table: Mapping[str, Any], *, reveal: bool = True, secret: Any = None) -> tuple[Any, list[Any]]:
        environ = {name: (secret or self.secret)(name) for name in self._secrets()}
        return load_settings(
            table,
            self.cls.settings_type,
            file="plugins.toml",
            key="instance.sample",
            environ=environ,
            base=Path("/nonexistent"),
            reveal=reveal,
        )

    def _canaries(self) -> list[str]:
        return [self.secret(name) for name in sorted(self._secrets())]

    def _secrets(self) -> set[str]:
        return references(self.table)

    def _hides(self, *shown: str | bytes) -> None:
        for canary in self._canaries():
            for text in shown:
                said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
                assert not any(guise in said for guise in guises(canary)), "a secret shows itself"

    def _raises_contract_errors_only(self, name: str, error: Exception) -> None:
        shown = "".join(traceback.format_exception_only(error))
        assert isinstance(error, TrunklineError), f"{name}: {shown}"
        self._hides(shown)


class ConnectorConformance(_Conformance, SiteChecks):
    """For connectors. Give `cls`, `table` and samples: `requests` of a webhook, else `envelopes`."""

    is_target = False
    signature_header: ClassVar[str | None]
    """Webhooks: lower-case name of the header that signs, or None where nothing can (a public form)."""
    signed_time: ClassVar[bool] = True
    """The scheme signs a timestamp, so a stale request is refused."""
    signed_body: ClassVar[bool] = True
    """The scheme signs the body; False where the source only sends a token."""

    def requests(self) -> Sequence[Request]:
        """Genuine requests of different events."""
        return ()

    def envelopes(self) -> Sequence[Envelope]:
        """Samples for `parse`; those of `requests` are added."""
        return ()

    def hostile_envelopes(self) -> Iterable[tuple[str, Envelope]]:
        """More of what is worst for this format, with names."""
        return ()

    def payloads(self) -> Iterable[tuple[str, Envelope]]:
        """Recorded payloads with their names: read, or skipped with a reason, and none of them is too odd."""
        return ()

    def test_every_payload_is_read_or_skipped_with_its_reason(self, record_property: Any) -> None:
        found: dict[str, int] = {}
        made = self.make()
        for name, envelope in self.payloads():
            items = self._parsed(made, envelope)
            assert items, f"{name}: nothing, and no reason"
            for item in items:
                word = f"skipped: {item.reason}" if isinstance(item, Skipped) else type(item).__name__.lower()
                found[word] = found.get(word, 0) + 1
        if not found:
            self.cannot("is given no recorded payloads")
        assert any(not word.startswith("skipped") for word in found), "all are skipped: the payloads show nothing"
        record_property(PAYLOADS, sorted(found.items()))

    def test_channel_is_a_word_of_the_contract(self) -> None:
        if not self.is_target:
            assert faults(type("Probe", (self.cls,), {"channel": self.make().channel})) == []

    def test_there_are_samples(self) -> None:
        assert self._samples()
        if "webhook" in roles(self.cls):
            assert self.requests()
            assert hasattr(self, "signature_header"), "name the header that signs, or None"

    def test_genuine_request_becomes_the_same_envelope_again(self) -> None:
        for request in self.requests():
            first = self.make().verify(request)
            made = self.make()
            with no_io():
                later = made.verify(msgspec.structs.replace(request, at=request.at + timedelta(seconds=60)))
            assert isinstance(first, Envelope)
            assert isinstance(later, Envelope)
            assert (first.key, first.lane, first.raw, first.facts) == (later.key, later.lane, later.raw, later.facts)
            cross(first, Envelope)
            self._hides(repr(first.facts), first.key, first.lane)

    def test_different_events_have_different_keys(self) -> None:
        keys = [envelope.key for envelope in self._samples()]
        assert len(keys) == len(set(keys))

    def test_forged_request_is_not_authentic(self) -> None:
        header = getattr(self, "signature_header", None)
        if not header:
            self.cannot("has no signature")
        for request in self.requests():
            for name, forgery in hostile.forged(request, header, timed=self.signed_time, whole=self.signed_body):
                try:
                    self.make().verify(forgery)
                except NotAuthentic as error:
                    self._hides(str(error), repr(error))
                else:
                    raise AssertionError(f"{name} was accepted")

    def test_request_is_refused_by_a_connector_without_secrets(self) -> None:
        blank = self.cls("sample", self.settings(reveal=False))
        for request in self.requests() if getattr(self, "signature_header", None) else ():
            try:
                blank.verify(request)
            except NotAuthentic:
                continue
            raise AssertionError("an empty key verifies")

    def test_hostile_request_raises_contract_errors_only(self) -> None:
        made = self.make()
        for request in self.requests():
            for name, bad in hostile.requests(request):
                try:
                    result = made.verify(bad)
                except Exception as error:  # noqa: BLE001  # what it is, is the check
                    self._raises_contract_errors_only(name, error)
                else:
                    assert isinstance(result, Envelope | Reply), name
                    cross(result, type(result))

    def test_parse_is_deterministic_and_pure(self) -> None:
        for envelope in self._samples():
            first = self._parsed(self.make(), envelope)
            blank = self.cls("sample", self.settings(reveal=False))
            with no_io():
                second = list(blank.parse(envelope))
            assert msgspec.msgpack.encode(first) == msgspec.msgpack.encode(second)

    def test_samples_yield_items_with_keys_of_their_own(self) -> None:
        for envelope in self._samples():
            items = self._parsed(self.make(), envelope)
            assert [item.reason for item in items if isinstance(item, Skipped) and item.park] == []
            keys = [(type(item), item.key) for item in items if hasattr(item, "key")]
            assert all(key for _, key in keys)
            assert len(keys) == len(set(keys))

    def test_hostile_envelope_raises_contract_errors_only(self) -> None:
        made = self.make()
        bad = [each for sample in self._samples() for each in hostile.envelopes(sample)]
        for name, envelope in [*bad, *self.hostile_envelopes()]:
            try:
                self._parsed(made, envelope)
            except AssertionError:
                raise
            except Exception as error:  # noqa: BLE001  # what it is, is the check
                self._raises_contract_errors_only(name, error)

    async def test_answer_is_the_same_for_a_redelivery(self) -> None:
        if "answering" not in roles(self.cls):
            self.cannot("answers nobody in real time")
        made, hub = self.make(), StubHub()
        for envelope in self._samples():
            first = await made.respond(envelope, hub.received(envelope), hub)
            again = await made.respond(envelope, hub.received(envelope, fresh=False), hub)
            assert isinstance(first, Reply)
            assert first == again
            self._hides(repr(first))

    def _samples(self) -> list[Envelope]:
        verified = [self.make().verify(request) for request in self.requests()]
        return [*(each for each in verified if isinstance(each, Envelope)), *self.envelopes()]

    def _parsed(self, made: Any, envelope: Envelope) -> list[Any]:
        """Items that crossed the contract and came back the same, with times that exist in UTC."""
        items = list(made.parse(envelope))
        packed = cross(items, list[Item])
        for item in items:
            if isinstance(item, Message):
                item.at.astimezone(UTC)
        self._hides(packed)
        return items


class TargetConformance(_Conformance):
    """For targets. Give `cls` and `table`; override `answer` with what the tool says, and `works` for native fields.

    One that hears of changes by webhooks is held against both: `(TargetConformance, ConnectorConformance)`.
    """

    is_target = True


def references(value: Any) -> set[str]:
    """The NAMEs of all `env:NAME` in a table."""
    if isinstance(value, str):
        return {value.removeprefix("env:")} if value.startswith("env:") else set()
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for each in inner for name in references(each)}
