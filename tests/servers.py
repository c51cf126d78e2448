"""Real servers that the fixtures start themselves: Dovecot, PostgreSQL, Redis, and an SMTP sink.

Each runs in a folder of its own under the system's temporary folder (short paths: a socket's name is limited to
107 bytes) on a free port or a unix socket, and dies with the test session. A missing program is an error, not a
skip: `make test` installs what the tests need.
"""

import contextlib
import getpass
import glob
import hashlib
import hmac
import imaplib
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.certificates import Authority

ROOT = os.geteuid() == 0
START_LIMIT = 30.0
MEMORY = Path("/dev/shm")
ENOUGH = 4 << 30
"""Bytes. A container's may have 64 MB."""


def program(name: str, *patterns: str) -> str:
    """The path of a program, looked for on PATH, in sbin and where Debian hides it."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    found = found or next((path for pattern in patterns for path in sorted(glob.glob(pattern), reverse=True)), None)
    if not found:
        raise FileNotFoundError(f"{name} is not installed, and nothing is skipped without it: run `make test`")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def room(prefix: str, owner: str | None = None) -> Iterator[Path]:
    """A folder that an unprivileged server can enter, unlike pytest's own (0700); in memory, where there is enough."""
    large = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    path = Path(tempfile.mkdtemp(prefix=f"tl-{prefix}-", dir=MEMORY if large else None))
    path.chmod(0o755)
    if owner and ROOT:
        shutil.chown(path, owner)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def wait_until(ready: Callable[[], bool], what: str, log: Path | None = None) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not ready():
        if time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log and log.exists() else ""
            raise TimeoutError(f"{what} did not start in {START_LIMIT:.0f} s\n{said}")
        time.sleep(0.02)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


# ---- Dovecot -----------------------------------------------------------------------------------------------

DOVECOT_CONF = """
base_dir = {room}/run
state_dir = {room}/state
log_path = {room}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login oauthbearer xoauth2
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
mail_location = maildir:{room}/mail/%u
mail_max_userip_connections = 0
first_valid_uid = 1
first_valid_gid = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {room}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner_group} home={room}/mail/%u
}}
"""

DOVECOT_OAUTH2 = (
    "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix=%s/keys/\nusername_attribute = sub\n"
)


class Dovecot:
    """An IMAP server on `port` (plain and STARTTLS) and `tls_port`; any user name, password `secret`."""

    password = "secret"

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.room = folder
        self.port, self.tls_port = free_port(), free_port()
        self._owner = "nobody" if ROOT else getpass.getuser()
        cert, key = authority.issue("localhost")
        internal = "dovecot" if ROOT else self._owner
        facts = {
            "room": folder, "cert": cert, "key": key, "port": self.port, "tls_port": self.tls_port,
            "internal": internal, "group": _group(internal), "login": "dovenull" if ROOT else self._owner,
            "owner": self._owner, "owner_group": _group(self._owner),
        }  # fmt: skip
        (folder / "dovecot.conf").write_text(DOVECOT_CONF.format_map(facts))
        (folder / "oauth2.conf").write_text(DOVECOT_OAUTH2 % folder)
        self._jwt_key = os.urandom(32)
        key_file = folder / "keys" / "default" / "HS256" / "default"
        key_file.parent.mkdir(parents=True)
        key_file.write_bytes(b64encode(self._jwt_key))
        (folder / "mail").mkdir()
        self._own(folder / "mail")
        self._process = subprocess.Popen([program("dovecot"), "-F", "-c", str(folder / "dovecot.conf")])
        wait_until(lambda: answers(self.port) and answers(self.tls_port), "dovecot", folder / "log")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def folder(self, user: str, name: str = "INBOX") -> Path:
        """The maildir of one folder; it exists after `deliver` or a log-in."""
        return self.room / "mail" / user / ("" if name == "INBOX" else f".{name}")

    def deliver(self, user: str, raw: bytes, name: str = "INBOX", *, age: float = 0) -> str:
        """Put a mail into a maildir as an MTA did `age` seconds ago; Dovecot gives it a UID when it next looks.

        Returns the file's name, by which `uids` knows it.
        """
        maildir = self.folder(user, name)
        for part in ("cur", "new", "tmp"):
            if not (maildir / part).is_dir():
                (maildir / part).mkdir(parents=True)
                self._own(maildir, maildir / part, self.folder(user))
        seconds, nanos = divmod(time.time_ns(), 10**9)
        file = maildir / "tmp" / f"{seconds}.M{nanos // 1000:06}P{os.getpid()}Q{next(_serial)}.test"  # Dovecot's order
        file.write_bytes(raw)
        self._own(file)
        os.utime(file, (seconds - age, seconds - age))  # INTERNALDATE
        file.rename(maildir / "new" / file.name)
        return file.name

    def uids(self, user: str, name: str = "INBOX") -> dict[str, int]:
        """File name → UID, from Dovecot's own list: `17 W512 :1795305600.M1P2Q3.test`."""
        listed = (self.folder(user, name) / "dovecot-uidlist").read_text().splitlines()[1:]
        return {file: int(facts.split()[0]) for facts, _, file in (line.partition(" :") for line in listed)}

    def forget_uids(self, user: str, name: str = "INBOX") -> None:
        """Make UIDVALIDITY change, as a rebuilt mailbox does (F53); a session that is ending may undo it."""
        before = self._uidvalidity(user, name)

        def forgotten() -> bool:
            for pattern in ("dovecot.index*", "dovecot-uidlist"):  # dovecot-uidvalidity stays: so the next one differs
                for file in self.folder(user, name).glob(pattern):
                    file.unlink(missing_ok=True)
            return self._uidvalidity(user, name) != before

        wait_until(forgotten, "another UIDVALIDITY")

    def _uidvalidity(self, user: str, name: str) -> object:
        with self.client(user) as client:
            client.select(name, readonly=True)
            return client.response("UIDVALIDITY")[1]

    def client(self, user: str) -> imaplib.IMAP4:
        """A second client: the phone that reads, flags and moves mail behind our back."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=10)
        client.login(user, self.password)
        return client

    def bearer(self, user: str, seconds: int = 600) -> str:
        """An OAuth access token (RFC 7519, HS256) that this server takes."""
        now = int(time.time())
        claims = {"sub": user, "iat": now - 1, "exp": now + seconds}
        parts = [_b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signed = ".".join(parts)
        return f"{signed}.{_b64(hmac.new(self._jwt_key, signed.encode(), hashlib.sha256).digest())}"

    def _own(self, *paths: Path) -> None:
        if ROOT:
            for path in paths:
                shutil.chown(path, self._owner, _group(self._owner))


_serial = itertools.count()


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _group(user: str) -> str:
    import grp

    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


# ---- PostgreSQL --------------------------------------------------------------------------------------------


class PostgreSQL:
    """One cluster on a unix socket; `database()` is fresh and copied from a template. fsync is off: no power fails.

    `tcp`: on a loopback port too, for what stands between a client and its server.
    """

    def __init__(self, folder: Path, *, tcp: bool = False) -> None:
        self.room = folder
        self.port = free_port() if tcp else 5432
        self._user = "postgres" if ROOT else getpass.getuser()
        debian = "/usr/lib/postgresql/*/bin/"
        initdb = program("initdb", debian + "initdb")
        self._server = program("postgres", debian + "postgres")
        self._as_user = {"user": self._user, "group": _group(self._user), "cwd": folder} if ROOT else {"cwd": folder}
        if ROOT:
            shutil.chown(folder, self._user)
        subprocess.run(
            [initdb, "-D", folder / "data", "-A", "trust", "-U", "trunkline", "-E", "UTF8", "--locale=C", "-N"],
            check=True, stdout=subprocess.DEVNULL, **self._as_user,
        )  # fmt: skip
        self._listen = "127.0.0.1" if tcp else ""
        self.start()

    def start(self) -> None:
        """At first, and again after `crash`: it recovers by itself."""
        log = self.room / "log"
        options = {
            "listen_addresses": self._listen, "port": self.port, "unix_socket_directories": self.room,
            "fsync": "off", "full_page_writes": "off", "max_connections": 200, "shared_buffers": "64MB",
        }  # fmt: skip
        flags = [flag for name, value in options.items() for flag in ("-c", f"{name}={value}")]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [self._server, "-D", self.room / "data", *flags], stdout=out, stderr=subprocess.STDOUT, **self._as_user
            )
        wait_until(self._accepts, "postgresql", log)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # "fast": clients are cut off
        self._process.wait(20)

    def crash(self) -> None:
        """`stop -m immediate`: every backend ends where it stands, nothing is written."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def url(self, database: str) -> str:
        """For SQLAlchemy; psycopg itself takes it without `+psycopg`."""
        port = "" if self.port == 5432 else f"&port={self.port}"
        return f"postgresql+psycopg://trunkline@/{database}?host={self.room}{port}"

    def database(self, template: str = "template1") -> str:
        """The URL of a fresh database. A prepared one (migrated, say) makes a good template: close it first.

        As files: through the log takes twice the time.
        """
        name = f"t{next(_serial)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def drop(self, url: str) -> None:
        self._run(f"DROP DATABASE IF EXISTS {url.partition('@/')[2].partition('?')[0]} WITH (FORCE)")

    def _accepts(self) -> bool:
        try:
            self._run("SELECT 1")
        except OSError:
            return False
        return True

    def _run(self, statement: str) -> None:
        import psycopg

        try:
            with psycopg.connect(
                f"postgresql://trunkline@/postgres?host={self.room}&port={self.port}", autocommit=True
            ) as connection:
                connection.execute(statement)
        except psycopg.OperationalError as error:
            raise OSError(str(error)) from error


# ---- Redis -------------------------------------------------------------------------------------------------


class Redis:
    """A server on a unix socket that keeps nothing on disk; `url` is for redis-py."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.start()

    def start(self) -> None:
        """At first, and again after `stop`: empty, on the same socket."""
        command = [
            program("redis-server"), "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", self._folder
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        wait_until(self._accepts, "redis", self._folder / "log")

    def stop(self) -> None:
        """As a crash does: kill -9."""
        self._process.kill()
        self._process.wait(10)

    def flush(self) -> None:
        self._ask(b"FLUSHALL")

    def set_password(self, password: str) -> None:
        self._ask(b"CONFIG SET requirepass " + password.encode())

    def _ask(self, command: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            client.sendall(command + b"\r\n")
            answer = client.recv(100)
            assert answer == b"+OK\r\n", answer

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
            return True
        return False
