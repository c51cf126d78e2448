"""plugins.toml and the environment as one frozen `Config`. No other file reads the environment.

Settings are rows of data: name, type, default and description stand in the structs below, and
docs/configuration.md is generated from them. A file is read whole before anything is refused, so that an
administrator sees every problem at once (R14): `load_config` returns a usable `Config` or raises `BadConfig`.
"""

import ipaddress
import os
import pkgutil
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

import connectors.channels
import connectors.ticketing
from plugins import BadConfig, Problem
from plugins.instances import Configured, load_instances
from plugins.manager import Plugins, Sources, discover
from plugins.settings import load_settings

MEBI = 1 << 20
ENVIRON: Mapping[str, str] = os.environ  # noqa: TID251  # the one place
STORES = ("sqlite:///", "postgresql+psycopg://")
_STORE_WORDS = '"sqlite:///path" or "postgresql+psycopg://user:password@host/name"'
DEFAULT_FILE = "plugins.toml"
_HOST_PORT = re.compile(r"^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):(\d{1,5})$")
_PUBLIC_URL = re.compile(r"^https?://[^/?#\s]+(/[^?#\s]*)?$")
_SLUG = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_TABLES = ("hub", "plugins", "instance", "organisation", "team")

SettingsT = TypeVar("SettingsT", bound=Struct)

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Limits(Struct, frozen=True, kw_only=True):
    """What the hub takes before it says "later" (R10)."""

    waiting: Annotated[Count, Meta(description="Envelopes that may wait in memory for a commit; more get 503.")] = 2000
    waiting_bytes: Annotated[Count, Meta(description="Bytes that may wait in memory for a commit; more get 503.")] = (
        64 * MEBI
    )
    pending: Annotated[
        Count, Meta(description="Envelopes on disk that are not processed yet; past it sources get 503 or pause.")
    ] = 200_000
    peer_per_minute: Annotated[
        Count, Meta(description="Requests of one address to one instance in a minute; more get 429.")
    ] = 600
    disk_reserve: Annotated[
        int, Meta(ge=0, description="Bytes of free disk below which nothing new is taken; what is there goes on.")
    ] = 200 * MEBI
    batch: Annotated[Count, Meta(description="Envelopes that share a transaction at most.")] = 256


class ParseLimits(Struct, frozen=True, kw_only=True):
    """The worker processes that take mails apart: a hostile one harms its worker, nothing else."""

    workers: Annotated[Count, Meta(description="Worker processes for parsing.")] = 1
    seconds: Annotated[Seconds, Meta(description="Time for one envelope, in seconds; then its worker is ended.")] = 5.0
    memory_mb: Annotated[int, Meta(ge=128, description="Memory of a worker, in MiB.")] = 512


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
    concurrency: Annotated[Count, Meta(description="Deliveries and dispatches that run at the same time.")] = 16
    poll: Annotated[Seconds, Meta(description="Look for due work at least every so many seconds.")] = 1.0


class EgressConfig(Struct, frozen=True, kw_only=True):
    """The one way out by HTTP: https and public addresses, unless listed here."""

    allow: Annotated[
        tuple[str, ...],
        Meta(description='Internal places that may be called: networks ("10.2.0.0/16") or "host:port", also by http.'),
    ] = ()
    timeout: Annotated[Seconds, Meta(description="Seconds for a whole call.")] = 30.0
    max_answer: Annotated[Count, Meta(description="Bytes of an answer that are read; a longer one is refused.")] = (
        10 * MEBI
    )

    def __post_init__(self) -> None:
        """Raises ValueError, naming every entry that is neither a network nor host:port."""
        bad = [entry for entry in self.allow if not (_network(entry) or _host_port(entry))]
        if bad:
            raise ValueError(f'allow: {", ".join(bad)}: expected networks ("10.2.0.0/16") or "host:port"')


class Threading(Struct, frozen=True, kw_only=True):
    """When a contact without a token belongs to an open query."""

    window_days: Annotated[
        int,
        Meta(ge=0, description="Days in which a proved sender's new message joins their open query there; 0: never."),
    ] = 7


class HubSettings(Struct, frozen=True, kw_only=True):
    """The `[hub]` table as it is written; `Config` holds it with its paths resolved."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="The desk's name, in mails and pages.")] = (
        "Service desk"
    )
    language: Annotated[
        str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="Language of the desk (BCP 47).")
    ] = "en"
    listen: Annotated[str, Meta(description="Address of the web server: host:port, port 0 for a free one.")] = (
        "127.0.0.1:8080"
    )
    public_url: Annotated[
        str,
        Meta(description='How people and providers reach the hub: "https://desk.acme.test". Unset: http on `listen`.'),
    ] = ""
    data: Annotated[str, Meta(min_length=1, description="Folder of the database, keys and large attachments.")] = "var"
    store: Annotated[
        str,
        Meta(
            description='"sqlite:///path" or "postgresql+psycopg://user:password@host/name". Unset: '
            "trunkline.db in `data`. TRUNKLINE_STORE wins, and keeps a password out of this file."
        ),
    ] = ""
    rules: Annotated[str, Meta(min_length=1, description="The triage rules.")] = "rules.toml"
    limits: Annotated[Limits, Meta(description="What is taken before the hub says: later.")] = Limits()
    parse: Annotated[ParseLimits, Meta(description="Worker processes for parsing.")] = ParseLimits()
    delivery: Annotated[Delivery, Meta(description="Tries, leases and parking of outgoing work.")] = Delivery()
    egress: Annotated[EgressConfig, Meta(description="The guarded outgoing HTTP client.")] = EgressConfig()
    threading: Annotated[Threading, Meta(description="When a message joins an open query.")] = Threading()

    def __post_init__(self) -> None:
        """Raises ValueError for what a type can't say."""
        if not _host_port(self.listen):
            raise ValueError('listen: expected "host:port", such as "127.0.0.1:8080" or "[::1]:8080"')
        if self.public_url and not _PUBLIC_URL.match(self.public_url):
            raise ValueError('public_url: expected "https://host" without a query or fragment')
        if self.store and not self.store.startswith(STORES):
            raise ValueError(f"store: expected {_STORE_WORDS}")


class Organisation(Struct, frozen=True, kw_only=True):
    """A group of users, `[organisation.SLUG]`."""

    name: Annotated[str, Meta(min_length=1, max_length=200, description="The organisation's name.")]
    domains: Annotated[
        tuple[str, ...],
        Meta(description="Mail domains whose users belong to it; a claimed sender (A0) gains nothing by it."),
    ] = ()
    issuers: Annotated[
        tuple[str, ...],
        Meta(description="Who may vouch for addresses of these domains: authserv-ids, workspaces, identity providers."),
    ] = ()


class Team(Struct, frozen=True, kw_only=True):
    """A group of agents, `[team.SLUG]`; rules name it by its slug."""

    name: Annotated[str, Meta(min_length=1, max_length=200, description="The team's name.")]


class Config(Struct, frozen=True, kw_only=True):
    """Everything that the hub is told at start: typed, checked, its paths absolute."""

    file: Path
    data: Path
    rules: Path
    store: str
    listen: str
    public_url: str
    """Without a slash at its end; "" where `listen` has port 0, which is known only once it is bound."""
    name: str
    language: str
    limits: Limits
    parse: ParseLimits
    delivery: Delivery
    egress: EgressConfig
    threading: Threading
    plugins: Plugins
    instances: Sequence[Configured]
    organisations: Mapping[str, Organisation]
    teams: Mapping[str, Team]

    @property
    def socket(self) -> Path:
        """Where `serve` takes the CLI's writes; mode 0600, because whoever writes there is an administrator."""
        return self.data / "trunkline.sock"


def config_path(given: str | None = None, environ: Mapping[str, str] = ENVIRON) -> Path:
    """The file to read: as given, else TRUNKLINE_CONFIG, else plugins.toml in the working folder."""
    return Path(given or environ.get("TRUNKLINE_CONFIG") or DEFAULT_FILE)


def load_config(
    path: Path, environ: Mapping[str, str] = ENVIRON, *, plugins: Plugins | None = None, reveal: bool = True
) -> Config:
    """The configuration in `path`; the environment wins over it.

    `plugins` are those of the running hub at a reload, because code is not loaded twice. `reveal=False` leaves secrets
    unread, for commands that only look. Raises BadConfig with everything that is wrong: file, key, what is allowed.
    """
    document = read_document(path)
    problems = [
        Problem(file=path.name, key=name, what="unknown table", fix=f"allowed: {', '.join(_TABLES)}")
        for name in document
        if name not in _TABLES
    ]
    reader = _Reader(path, environ, problems)
    hub = reader.settings(document.get("hub", {}), HubSettings, "hub")
    sources = reader.settings(document.get("plugins", {}), Sources, "plugins")
    if plugins is None:
        plugins = _discover(sources or Sources(), path)
        problems += plugins.problems
    configured, wrong = load_instances(
        reader.tables(document, "instance"),
        plugins,
        file=path.name,
        environ=environ,
        base=reader.base,
        reveal=reveal,
    )
    problems += wrong
    organisations = reader.named(document, "organisation", Organisation)
    teams = reader.named(document, "team", Team)
    place = reader.place(hub or HubSettings())
    if problems or hub is None:
        raise BadConfig(problems)
    return Config(
        file=path.resolve(),
        data=place.data,
        rules=place.rules,
        store=place.store,
        listen=hub.listen,
        public_url=hub.public_url.rstrip("/") or _local_url(hub.listen),
        name=hub.name,
        language=hub.language,
        limits=hub.limits,
        parse=hub.parse,
        delivery=hub.delivery,
        egress=hub.egress,
        threading=hub.threading,
        plugins=plugins,
        instances=configured,
        organisations=organisations,
        teams=teams,
    )


class Place(Struct, frozen=True, kw_only=True):
    """Where things are, for commands that only read."""

    data: Path
    store: str
    rules: Path


def load_place(path: Path, environ: Mapping[str, str] = ENVIRON) -> Place:
    """From `[hub]` alone: no plugin is imported, no secret read. Raises BadConfig."""
    problems: list[Problem] = []
    reader = _Reader(path, environ, problems)
    hub = reader.settings(read_document(path).get("hub", {}), HubSettings, "hub")
    place = reader.place(hub or HubSettings())
    if problems:
        raise BadConfig(problems)
    return place


def read_document(path: Path) -> dict[str, Any]:
    """The file as TOML. Raises BadConfig, with line and column where there are any."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        what, fix = f"can't be read: {error.strerror}", "`trunkline init` writes one"
    except UnicodeDecodeError as error:
        what, fix = f"is not UTF-8 text, see byte {error.start}", "save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        what, fix = f"is not TOML: {error}", ""
    except RecursionError:  # what tomllib raises on hundreds of nested arrays
        what, fix = "is nested too deeply", ""
    raise BadConfig([Problem(file=str(path), key="", what=what, fix=fix)])


def builtin_modules() -> list[str]:
    """The plugins that come with the hub: every module of the two folders is one."""
    return [
        f"{package.__name__}.{module.name}"
        for package in (connectors.channels, connectors.ticketing)
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    ]


def listen_address(listen: str) -> tuple[str, int]:
    """Host and port of `host:port`, the host without the brackets of IPv6."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


class _Reader:
    """One file on its way to a `Config`: gathers problems instead of raising the first."""

    def __init__(self, path: Path, environ: Mapping[str, str], problems: list[Problem]) -> None:
        self.base = path.resolve().parent
        self._file = path.name
        self._environ = environ
        self._problems = problems

    def settings(self, table: Any, kind: type[SettingsT], key: str) -> SettingsT | None:
        """A table as a struct, or None."""
        loaded, wrong = load_settings(table, kind, file=self._file, key=key, environ=self._environ, base=self.base)
        self._problems += wrong
        return loaded

    def tables(self, document: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The tables `[key.*]`."""
        tables = document.get(key, {})
        if isinstance(tables, dict):
            return tables
        self._problems.append(Problem(file=self._file, key=key, what="expected tables", fix=f"[{key}.NAME]"))
        return {}

    def named(self, document: Mapping[str, Any], key: str, kind: type[SettingsT]) -> dict[str, SettingsT]:
        """The tables `[key.SLUG]`, by their slugs."""
        found: dict[str, SettingsT] = {}
        for slug, table in self.tables(document, key).items():
            if not _SLUG.match(slug):
                what = "a slug is lower-case letters, digits, - and _, 63 at most"
                self._problems.append(Problem(file=self._file, key=f"{key}.{slug}", what=what))
            one = self.settings(table, kind, f"{key}.{slug}")
            if one is not None:
                found[slug] = one
        return found

    def place(self, hub: HubSettings) -> Place:
        """Absolute, so that no working folder matters."""
        data = self.base / hub.data
        store = self._store(hub.store) or f"sqlite:///{data / 'trunkline.db'}"
        return Place(data=data, store=store, rules=self.base / hub.rules)

    def _store(self, written: str) -> str:
        """The store's address, TRUNKLINE_STORE first."""
        given = self._environ.get("TRUNKLINE_STORE", "")
        store = given or written
        if given and not given.startswith(STORES):
            what = f"expected {_STORE_WORDS}"
            self._problems.append(Problem(file="environment", key="TRUNKLINE_STORE", what=what))
        if store.startswith("sqlite:///"):
            return f"sqlite:///{self.base / store.removeprefix('sqlite:///')}"
        return store


def _discover(sources: Sources, path: Path) -> Plugins:
    folders = [path.resolve().parent / folder for folder in sources.folders]
    return discover(
        builtin_modules(),
        entry_points=sources.entry_points,
        modules=sources.modules,
        folders=folders,
        file=path.name,
    )


def _local_url(listen: str) -> str:
    host, port = listen_address(listen)
    if port == 0:
        return ""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _host_port(text: str) -> bool:
    match = _HOST_PORT.match(text)
    return match is not None and int(match[2]) < 65536


def _network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
