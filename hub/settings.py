"""The hub's own tables of plugins.toml as rows of data: name, type, default and description of every setting.

docs/configuration.md is generated from here. What is read when, and from where, stands in `hub.config`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from plugins import Domain, Fits, HostPort, Network, Problem, Secret, canonical_domain
from plugins.addresses import is_host_port, is_network, is_url

STORES = ("sqlite:///", "postgresql+psycopg://")
FABRICS = ("redis://", "rediss://", "unix://")
STORE_WORDS = '"sqlite:///path" or "postgresql+psycopg://user:password@host/name"'
_MEBI = 1 << 20
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_Language = Annotated[
    str, Fits('a language, such as "en" or "pt-BR"', lambda text: _LANGUAGE.fullmatch(text) is not None)
]

Seconds = Annotated[float, Meta(gt=0, le=315_360_000)]
"""Ten years at most: added to any time of today, it is one that dates and databases hold."""
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Size = Annotated[int, Meta(ge=1, le=1 << 40)]
"""Bytes on this machine, a tebibyte at most."""
Body = Annotated[int, Meta(ge=1, le=1 << 30)]
"""Bytes of one answer, which memory holds whole; aiohttp takes 32 bits for those of a WebSocket."""
Allowed = Annotated[
    str, Fits('a network ("10.2.0.0/16") or "host:port"', lambda text: is_network(text) or is_host_port(text))
]


def is_store(text: str) -> bool:
    """What SQLAlchemy can read: it raises at a port of letters, and at half an IPv6 address."""
    if not text.startswith(STORES):
        return False
    try:
        port = make_url(text).port
    except (ArgumentError, ValueError):
        return False
    return port is None or 0 < port < 1 << 16


def is_fabric(text: str) -> bool:
    """What redis-py takes; a password stands in `fabric_password`, as a reference."""
    return text.startswith(FABRICS) and not urlsplit(text).password


class Limits(Struct, frozen=True, kw_only=True):
    """What the hub takes before it says "later" (R10)."""

    waiting: Annotated[Count, Meta(description="Envelopes that may wait in memory for a commit; more get 503.")] = 2000
    waiting_bytes: Annotated[Size, Meta(description="Bytes that may wait in memory for a commit; more get 503.")] = (
        64 * _MEBI
    )
    pending: Annotated[
        Count, Meta(description="Envelopes on disk that are not processed yet; past it sources get 503 or pause.")
    ] = 200_000
    peer_per_minute: Annotated[
        Count,
        Meta(
            description="Requests of one address to one instance in a minute; more get 429, lines of an open chat wait."
        ),
    ] = 600
    disk_reserve: Annotated[
        int,
        Meta(
            ge=0, le=1 << 50, description="Bytes of free disk below which nothing new is taken; what is there goes on."
        ),
    ] = 200 * _MEBI
    batch: Annotated[int, Meta(ge=1, le=100_000, description="Envelopes that share a transaction at most.")] = 256


class ParseLimits(Struct, frozen=True, kw_only=True):
    """The worker processes that take mails apart: a hostile one harms its worker, nothing else."""

    workers: Annotated[int, Meta(ge=1, le=256, description="Worker processes for parsing.")] = 1
    seconds: Annotated[Seconds, Meta(description="Time for one envelope, in seconds; then its worker is ended.")] = 5.0
    memory_mb: Annotated[int, Meta(ge=128, le=1 << 20, description="Memory of a worker, in MiB.")] = 512


class Delivery(Struct, frozen=True, kw_only=True):
    """How work leaves the hub. The schedule is that of Standard Webhooks; each pause gets full jitter (R6)."""

    schedule: Annotated[
        tuple[Seconds, ...],
        Meta(min_length=1, description="Pauses between the tries of one step, in seconds; the last one repeats."),
    ] = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    horizon: Annotated[Seconds, Meta(description="After so many seconds without success work is parked.")] = 270_000.0
    lease: Annotated[
        Seconds, Meta(description="A worker that is silent for so many seconds loses the work that it holds.")
    ] = 60.0
    concurrency: Annotated[
        int, Meta(ge=1, le=10_000, description="Deliveries and dispatches that run at the same time.")
    ] = 16
    unproved_an_hour: Annotated[
        Count,
        Meta(description="Acknowledgements and sign-in links within an hour to addresses that nobody vouches for."),
    ] = 500
    poll: Annotated[Seconds, Meta(description="Look for due work at least every so many seconds.")] = 1.0


class EgressConfig(Struct, frozen=True, kw_only=True):
    """The one way out by HTTP: https and public addresses, unless listed here."""

    allow: Annotated[
        tuple[Allowed, ...],
        Meta(description='Internal places that may be called: networks ("10.2.0.0/16") or "host:port", also by http.'),
    ] = ()
    timeout: Annotated[Seconds, Meta(description="Seconds for a whole call.")] = 30.0
    max_answer: Annotated[Body, Meta(description="Bytes of an answer that are read; a longer one is refused.")] = (
        10 * _MEBI
    )
    max_file: Annotated[
        Body, Meta(description="The same for files that people sent, if their vendor takes such long ones.")
    ] = 25 * _MEBI


class Threading(Struct, frozen=True, kw_only=True):
    """When a contact without a token belongs to an open query."""

    window_days: Annotated[
        int,
        Meta(
            ge=0,
            le=3650,
            description="Days in which a proved sender's chat line or post joins their open query; 0: never.",
        ),
    ] = 7


class Triage(Struct, frozen=True, kw_only=True):
    """What stands beside the rules. Paths go from the folder of this file."""

    languages: Annotated[
        tuple[_Language, ...],
        Meta(description="Languages that a message is told apart in, where its channel does not say: two or more."),
    ] = ()
    shadow: Annotated[
        str, Meta(description="A second file of rules, judged beside the first without effect. Unset: none.")
    ] = ""
    classifier: Annotated[
        bool, Meta(description="Suggest type and service from what agents decided before; it never sets anything.")
    ] = False
    templates: Annotated[str, Meta(min_length=1, description="Folder of acknowledgements: NAME.LANGUAGE.md.")] = (
        "templates"
    )
    articles: Annotated[str, Meta(min_length=1, description="Folder of help articles: [SERVICE/]NAME.LANGUAGE.md.")] = (
        "articles"
    )


class HubSettings(Struct, frozen=True, kw_only=True):
    """The `[hub]` table as it is written; `Config` holds it with its paths resolved."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="The desk's name, in mails and pages.")] = (
        "Service desk"
    )
    language: Annotated[_Language, Meta(description="Language of the desk (BCP 47).")] = "en"
    listen: Annotated[HostPort, Meta(description="Address of the web server, port 0 for a free one.")] = (
        "127.0.0.1:8080"
    )
    public_url: Annotated[
        str,
        Fits(
            'a web address without query and fragment, such as "https://desk.acme.test"',
            lambda text: is_url(text) and "?" not in text,
        ),
        Meta(description='How people and providers reach the hub: "https://desk.acme.test". Unset: http on `listen`.'),
    ] = ""
    proxies: Annotated[
        tuple[Network, ...],
        Meta(description="Networks of your own reverse proxies, whose X-Forwarded-For tells limits apart."),
    ] = ()
    data: Annotated[str, Meta(min_length=1, description="Folder of the database, keys and large attachments.")] = "var"
    store: Annotated[
        str,
        Fits(STORE_WORDS, is_store),
        Meta(
            description='"sqlite:///path" or "postgresql+psycopg://user:password@host/name". Unset: '
            "trunkline.db in `data`. TRUNKLINE_STORE wins, and keeps a password out of this file."
        ),
    ] = ""
    blobs: Annotated[
        str,
        Meta(description="Folder of large raw bytes and attachments; all nodes share one. Unset: blobs in `data`."),
    ] = ""
    fabric: Annotated[
        str,
        Fits('"redis://host:6379/0", "rediss://…" with TLS or "unix:///path", without a password', is_fabric),
        Meta(description="The Redis that several nodes share; nothing in it is the truth. Unset: this node is alone."),
    ] = ""
    fabric_password: Annotated[Secret | None, Meta(description="Password of that Redis.")] = None
    rules: Annotated[str, Meta(min_length=1, description="The triage rules.")] = "rules.toml"
    metrics_token: Annotated[
        Secret | None,
        Meta(description="Opens /metrics and the figures of /healthz to a collector (Bearer)."),
    ] = None
    limits: Annotated[Limits, Meta(description="What is taken before the hub says: later.")] = Limits()
    parse: Annotated[ParseLimits, Meta(description="Worker processes for parsing.")] = ParseLimits()
    delivery: Annotated[Delivery, Meta(description="Tries, leases and parking of outgoing work.")] = Delivery()
    egress: Annotated[EgressConfig, Meta(description="The guarded outgoing HTTP client.")] = EgressConfig()
    threading: Annotated[Threading, Meta(description="When a message joins an open query.")] = Threading()
    triage: Annotated[Triage, Meta(description="What stands beside the rules.")] = Triage()


class Organisation(Struct, frozen=True, kw_only=True):
    """A group of users, `[organisation.SLUG]`."""

    name: Annotated[str, Meta(min_length=1, max_length=200, description="The organisation's name.")]
    domains: Annotated[
        tuple[Domain, ...],
        Meta(description="Mail domains whose users belong to it; a claimed sender (A0) gains nothing by it."),
    ] = ()
    issuers: Annotated[
        tuple[str, ...],
        Meta(description="Who may vouch for addresses of these domains: authserv-ids, workspaces, identity providers."),
    ] = ()


def shared_domains(organisations: Mapping[str, Organisation], file: str) -> Iterator[Problem]:
    """Every domain that an earlier organisation has: whose its users are would hang on the order of the tables."""
    owners = dict[str, str]()
    for slug, one in organisations.items():
        for number, domain in enumerate(one.domains):
            owner = owners.setdefault(canonical_domain(domain), slug)
            if owner != slug:
                key = f"organisation.{slug}.domains[{number}]"
                yield Problem(file=file, key=key, what=f"belongs to organisation.{owner} already")


class Team(Struct, frozen=True, kw_only=True):
    """A group of agents, `[team.SLUG]`; rules name it by its slug."""

    name: Annotated[str, Meta(min_length=1, max_length=200, description="The team's name.")]
