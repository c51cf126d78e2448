"""plugins.toml and the environment as one frozen `Config`. No other file reads the environment.

A file is read whole before anything is refused, so that an administrator sees every problem at once (R14):
`load_config` returns a usable `Config` or raises `BadConfig`. The settings themselves stand in `hub.settings`.
"""

import os
import pkgutil
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

import connectors.channels
import connectors.ticketing
from hub.doors import clashes, doors, listen_address
from hub.plain import read_plain
from hub.settings import (
    STORE_WORDS,
    Delivery,
    EgressConfig,
    HubSettings,
    Limits,
    Organisation,
    ParseLimits,
    Team,
    Threading,
    Triage,
    is_store,
    shared_domains,
)
from plugins import BadConfig, Problem, Secret
from plugins.instances import Configured, Instance, load_instances
from plugins.manager import Plugins, Sources, discover
from plugins.settings import load_settings

__all__ = [
    "Config",
    "Delivery",
    "EgressConfig",
    "HubSettings",
    "Limits",
    "Organisation",
    "ParseLimits",
    "Place",
    "Team",
    "Threading",
    "Triage",
    "builtin_modules",
    "config_path",
    "fault_switches",
    "listen_address",
    "load_config",
    "load_place",
    "load_plugins",
    "overriding",
    "read_document",
]

ENVIRON: Mapping[str, str] = os.environ  # noqa: TID251  # the one place
DEFAULT_FILE = "plugins.toml"
_SLUG = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_LARGEST = 4 << 20
"""Bytes: some ten thousand instances."""
_TABLES = ("hub", "plugins", "instance", "organisation", "team")

SettingsT = TypeVar("SettingsT", bound=Struct)


class Config(Struct, frozen=True, kw_only=True):
    """Everything that the hub is told at start: typed, checked, its paths absolute."""

    file: Path
    data: Path
    rules: Path
    blobs: Path
    """Large raw bytes and attachments, by their hashes."""
    store: str
    fabric: str
    fabric_password: Secret | None
    listen: str
    proxies: Sequence[str]
    public_url: str
    """Without a slash at its end; "" where `listen` has port 0, which is known only once it is bound."""
    name: str
    language: str
    metrics_token: Secret | None
    limits: Limits
    parse: ParseLimits
    delivery: Delivery
    egress: EgressConfig
    threading: Threading
    triage: Triage
    plugins: Plugins
    instances: Sequence[Configured]
    traces: bool
    """Are they asked for?"""
    organisations: Mapping[str, Organisation]
    teams: Mapping[str, Team]

    @property
    def socket(self) -> Path:
        """Where `serve` takes the CLI's writes; mode 0600, because whoever writes there is an administrator."""
        return self.data / "trunkline.sock"

    @property
    def shadow(self) -> Path | None:
        """A second file of rules, without effect."""
        return self.file.parent / self.triage.shadow if self.triage.shadow else None

    @property
    def templates(self) -> Path:
        """Acknowledgements that rules name."""
        return self.file.parent / self.triage.templates

    @property
    def articles(self) -> Path:
        """Help articles that rules name."""
        return self.file.parent / self.triage.articles

    @property
    def heads(self) -> Path:
        """Where the sealer publishes each head of the audit chain: a file that a log collector can follow."""
        return self.data / "audit-heads.jsonl"


def config_path(given: Path | None = None, environ: Mapping[str, str] = ENVIRON) -> Path:
    """The file to read: as given, else TRUNKLINE_CONFIG, else plugins.toml in the working folder."""
    return Path(given or environ.get("TRUNKLINE_CONFIG") or DEFAULT_FILE)


def overriding(environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """Variables that are set and lead to a configuration or a store, whatever lies in the working folder."""
    return [name for name in ("TRUNKLINE_CONFIG", "TRUNKLINE_STORE") if environ.get(name)]


def fault_switches(environ: Mapping[str, str] = ENVIRON) -> tuple[str, str]:
    """For fault tests alone: where the process kills itself, and which protections it leaves out."""
    return environ.get("TRUNKLINE_CRASH", ""), environ.get("TRUNKLINE_UNPROTECTED", "")


def traces_wanted(environ: Mapping[str, str] = ENVIRON) -> bool:
    """Does the environment name a collector for traces, in OpenTelemetry's own words?

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ ; what else stands in OTEL_* is
    read by its SDK. Nothing is exported unasked, though the SDK's own default would be a collector on this machine.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    named = any(environ.get(f"OTEL_EXPORTER_OTLP_{what}ENDPOINT") for what in ("", "TRACES_"))
    return "otlp" in exporters.split(",") if exporters else named


def load_config(
    path: Path, environ: Mapping[str, str] = ENVIRON, *, plugins: Plugins | None = None, reveal: bool = True
) -> Config:
    """The configuration in `path`; the environment wins over it.

    `plugins` are those of the running hub at a reload, because code is not loaded twice. `reveal=False` leaves secrets
    unread, for commands that only look.

    Raises:
        BadConfig: with everything that is wrong: file, key, what is allowed; Unusable if the file is TOML at least.
    """
    document = read_document(path)
    problems = [
        Problem(file=path.name, key=name, what="unknown table", fix=f"allowed: {', '.join(_TABLES)}")
        for name in document
        if name not in _TABLES
    ]
    reader = _Reader(path, environ, problems, reveal=reveal)
    hub = reader.settings(document.get("hub", {}), HubSettings, "hub")
    sources = reader.settings(document.get("plugins", {}), Sources, "plugins")
    if plugins is None:
        plugins = _discover(sources, path)
        problems += plugins.problems
    tables = reader.tables(document, "instance")
    configured, wrong = load_instances(
        tables,
        plugins,
        file=path.name,
        environ=environ,
        base=reader.base,
        reveal=reveal,
    )
    problems += wrong
    organisations = reader.named(reader.tables(document, "organisation"), "organisation", Organisation)
    problems += shared_domains(organisations, path.name)
    named_teams = reader.tables(document, "team")
    teams = reader.named(named_teams, "team", Team)
    place = reader.place(hub)
    listen = "" if any(problem.key == "hub.listen" for problem in problems) else hub.listen
    problems += clashes(doors(listen, configured), path.name)
    if problems:
        teams |= {slug: Team(name=slug) for slug in named_teams.keys() - teams.keys()}
        configured += _by_name(tables.keys() - {one.id for one in configured}, tables, plugins)
    config = Config(
        file=path.resolve(),
        data=place.data,
        rules=place.rules,
        blobs=place.blobs,
        store=place.store,
        fabric=hub.fabric,
        fabric_password=hub.fabric_password,
        listen=hub.listen,
        public_url=hub.public_url.rstrip("/") or _local_url(hub.listen),
        proxies=hub.proxies,
        name=hub.name,
        language=hub.language,
        metrics_token=hub.metrics_token,
        limits=hub.limits,
        parse=hub.parse,
        delivery=hub.delivery,
        egress=hub.egress,
        threading=hub.threading,
        triage=hub.triage,
        plugins=plugins,
        instances=configured,
        traces=traces_wanted(environ),
        organisations=organisations,
        teams=teams,
    )
    if problems:
        raise Unusable(problems, config)
    return config


def _by_name(names: Collection[str], tables: Mapping[str, Any], plugins: Plugins) -> Iterator[Configured]:
    """Instances of which more than the name can't be used; one of an unknown kind may be a connector or a target."""
    for name in names:
        kind = tables[name].get("kind") if isinstance(tables[name], dict) else None
        kind = kind if isinstance(kind, str) else ""
        for target in (False, True):
            if plugins.find(kind) is None or target is (kind in plugins.targets):
                yield Configured(id=name, instance=Instance(kind=kind), target=target)


class Unusable(BadConfig):
    """A configuration with mistakes."""

    def __init__(self, problems: Sequence[Problem], config: Config) -> None:
        """`config` has what fits, and every name: to hold other files against it, not to run."""
        super().__init__(problems)
        self.config = config


class Place(Struct, frozen=True, kw_only=True):
    """Where things are, for commands that only read."""

    data: Path
    store: str
    rules: Path
    blobs: Path


def load_place(path: Path, environ: Mapping[str, str] = ENVIRON) -> Place:
    """From `[hub]` alone: no plugin is imported, no secret read. Raises BadConfig."""
    problems: list[Problem] = []
    reader = _Reader(path, environ, problems, reveal=False)
    place = reader.place(reader.settings(read_document(path).get("hub", {}), HubSettings, "hub"))
    if problems:
        raise BadConfig(problems)
    return place


def read_document(path: Path) -> dict[str, Any]:
    """The file as TOML. Raises BadConfig, with line and column where there are any."""
    try:
        return tomllib.loads(read_plain(path, _LARGEST).decode("utf-8-sig"))
    except OSError as error:
        fix = "`trunkline init` writes one" if isinstance(error, FileNotFoundError) else ""
        what = f"can't be read: {error.strerror}"
    except UnicodeDecodeError as error:
        what, fix = f"is not UTF-8 text, see byte {error.start}", "save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        what, fix = f"is not TOML: {error}", ""
    except ValueError:  # Python reads no longer ones
        what, fix = "has a number of thousands of digits", ""
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


class _Reader:
    """One file on its way to a `Config`: gathers problems instead of raising the first."""

    def __init__(self, path: Path, environ: Mapping[str, str], problems: list[Problem], *, reveal: bool) -> None:
        self.base = path.resolve().parent
        self._file = path.name
        self._environ = environ
        self._problems = problems
        self._reveal = reveal

    def settings(self, table: Any, kind: type[SettingsT], key: str) -> SettingsT:
        """A table as a struct; what does not fit is as if it were left out, so that what hangs on the rest is seen."""
        loaded, wrong = self._load(table, kind, key)
        self._problems += wrong
        if loaded is None and isinstance(table, dict):
            for problem in wrong:
                table = _without(table, problem.key.removeprefix(f"{key}.").partition("[")[0].split("."))
            loaded, _ = self._load(table, kind, key)
        return loaded or kind()

    def _load(self, table: Any, kind: type[SettingsT], key: str) -> tuple[SettingsT | None, list[Problem]]:
        return load_settings(
            table, kind, file=self._file, key=key, environ=self._environ, base=self.base, reveal=self._reveal
        )

    def tables(self, document: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The tables `[key.*]`."""
        tables = document.get(key, {})
        if isinstance(tables, dict):
            return tables
        self._problems.append(Problem(file=self._file, key=key, what="expected tables", fix=f"[{key}.NAME]"))
        return {}

    def named(self, tables: Mapping[str, Any], key: str, kind: type[SettingsT]) -> dict[str, SettingsT]:
        """The tables `[key.SLUG]`, by their slugs."""
        found: dict[str, SettingsT] = {}
        for slug, table in tables.items():
            if not _SLUG.match(slug):
                what = "a slug is lower-case letters, digits, - and _, 63 at most"
                self._problems.append(Problem(file=self._file, key=f"{key}.{slug}", what=what))
            one, wrong = self._load(table, kind, f"{key}.{slug}")
            self._problems += wrong
            if one is not None:
                found[slug] = one
        return found

    def place(self, hub: HubSettings) -> Place:
        """Absolute, so that no working folder matters."""
        data = self.base / hub.data
        store = self._store(hub.store) or f"sqlite:///{data / 'trunkline.db'}"
        blobs = self.base / hub.blobs if hub.blobs else data / "blobs"
        return Place(data=data, store=store, rules=self.base / hub.rules, blobs=blobs)

    def _store(self, written: str) -> str:
        """The store's address, TRUNKLINE_STORE first."""
        given = self._environ.get("TRUNKLINE_STORE", "")
        store = given or written
        if given and not is_store(given):
            what = f"expected {STORE_WORDS}"
            self._problems.append(Problem(file="environment", key="TRUNKLINE_STORE", what=what))
        if store.startswith("sqlite:///"):
            return f"sqlite:///{self.base / store.removeprefix('sqlite:///')}"
        return store


def _without(table: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The table less what stands at this path in it."""
    kept = {name: value for name, value in table.items() if name != path[0]}
    inner = table.get(path[0])
    return kept | {path[0]: _without(inner, path[1:])} if path[1:] and isinstance(inner, dict) else kept


def load_plugins(path: Path) -> Plugins:
    """The built-in plugins, and those that the file names, if there is one."""
    table = read_document(path).get("plugins", {}) if path.exists() else {}
    sources, problems = load_settings(table, Sources, file=path.name, key="plugins", environ={}, base=path.parent)
    if sources is None:
        raise BadConfig(problems)
    return _discover(sources, path)


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
