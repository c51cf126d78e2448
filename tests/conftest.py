"""Servers as fixtures. Session-wide where starting costs; a fresh user or database for every test."""

import itertools
import shutil
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import structlog

from bench.corpus import manifest
from tests import prepared
from tests.certificates import Authority
from tests.servers import Dovecot, PostgreSQL, Redis, room
from tests.smtpsink import SmtpSink

_users = itertools.count()

structlog.configure(  # the default draws tracebacks with all variables: half a second on the loop, secrets among them
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_report_header() -> str:
    """Said here, because pytest asks only the conftest at the root."""
    data = manifest.folder()
    return f"corpus: {data}" if data else "corpus: shared data is absent, its tests are not collected"


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """An own CA: `authority.file` is its certificate, `authority.issue(names)` gives certificate and key files."""
    with room("ca") as folder:
        yield Authority(folder)


@pytest.fixture(scope="session")
def dovecot(authority: Authority) -> Iterator[Dovecot]:
    with room("imap") as folder:
        server = Dovecot(folder, authority)
        yield server
        server.stop()


@pytest.fixture
def mail_user(dovecot: Dovecot) -> Iterator[str]:
    """A mailbox nobody else has; the password is `dovecot.password`."""
    user = f"user{next(_users)}"
    yield user
    shutil.rmtree(dovecot.folder(user), ignore_errors=True)


@pytest.fixture
async def smtp_sink() -> AsyncIterator[SmtpSink]:
    """Plain and open; build `SmtpSink(...)` yourself for TLS and log-in."""
    async with SmtpSink() as sink:
        yield sink


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with room("pg") as folder:
        server = PostgreSQL(folder)
        yield server
        server.stop()


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """An empty database for this test alone, as an SQLAlchemy URL."""
    url = postgresql.database()
    yield url
    postgresql.drop(url)


@pytest.fixture(scope="session")
def migrated(postgresql: PostgreSQL) -> str:
    """The name of a database that is a good template."""
    return prepared.template(postgresql)


@pytest.fixture
def prepared_url(postgresql: PostgreSQL, migrated: str) -> Iterator[str]:
    """As `postgresql_url`, with the schema in it."""
    url = postgresql.database(migrated)
    yield url
    postgresql.drop(url)


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    with room("redis") as folder:
        server = Redis(folder)
        yield server
        server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hostile text in a captured log must not stop a test worker: execnet sends UTF-8, which has no lone surrogates."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report
