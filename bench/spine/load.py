"""A cheap client: requests made beforehand, plain sockets, one epoll; it shares the processors with the server."""

import select
import socket
import time
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from random import Random

import msgspec

from plugins import Secret, standard_sign

SECRET = Secret("whsec_" + b64encode(b"what the spine costs, 32 bytes..").decode())
CONNECTIONS = 64
WORDS = 5000
PEOPLE = 5000
_numbers = count(time.time_ns())


@dataclass
class Sent:
    """What came back within `seconds`."""

    seconds: float = 0.0
    statuses: Counter[bytes] = field(default_factory=Counter)

    @property
    def well(self) -> int:
        return self.statuses[b"200"]

    @property
    def rate(self) -> float:
        return self.well / self.seconds


def requests(size: int = 450) -> Iterator[bytes]:
    """Signed webhooks without end, of 5,000 people, each a matter of its own: `size` bytes of JSON each."""
    random = Random(7)
    while True:
        number = next(_numbers)
        words = " ".join(f"word{random.randrange(WORDS)}" for _ in range(size // 15))
        body = {
            "id": f"m{number}",
            "sender": {"scheme": "crm", "value": f"user-{random.randrange(PEOPLE)}", "name": "Ann Example"},
            "subject": f"Matter {number} of somebody",
            "text": words,
        }
        raw = msgspec.json.encode(body).ljust(size)
        signed = standard_sign([SECRET], key=f"msg_{number}", at=datetime.now(UTC), body=raw)
        headers = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        head = f"POST /in/hook/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
        yield f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


class Client:
    """Keep-alive connections with one request under way on each."""

    def __init__(self, port: int, connections: int = CONNECTIONS) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._free: deque[socket.socket] = deque()
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[one.fileno()] = one
            self._epoll.register(one, select.EPOLLIN)
            self._free.append(one)

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._epoll.close()

    def closed(self, made: Sequence[bytes], seconds: float) -> Sent:
        """As fast as the answers come, until the time is over or nothing is left to send."""
        return self._run(made, seconds, rate=None)

    def paced(self, made: Sequence[bytes], rate: float) -> Sent:
        """`rate` requests a second, whatever the answers do; one that finds no free connection waits for it."""
        return self._run(made, len(made) / rate, rate=rate)

    def _run(self, made: Sequence[bytes], seconds: float, rate: float | None) -> Sent:
        sent, waiting = Sent(), iter(made)
        begun = time.perf_counter()
        left, under_way = len(made), 0
        while True:
            passed = time.perf_counter() - begun
            due = left if rate is None else min(left, int(passed * rate) - len(made) + left + 1)
            if passed < seconds or rate is not None:
                for _ in range(min(due, len(self._free))):
                    self._free.popleft().send(next(waiting))
                    left -= 1
                    under_way += 1
            if not under_way and (not left or (rate is None and passed >= seconds)):
                sent.seconds = time.perf_counter() - begun
                return sent
            under_way -= self._receive(sent, 0.001 if rate is not None else 1.0)

    def _receive(self, sent: Sent, patience: float) -> int:
        answered = 0
        for number, _ in self._epoll.poll(patience):
            one = self._sockets[number]
            said = one.recv(65536)
            while not _whole(said):
                more = one.recv(65536)
                if not more:
                    raise ConnectionError(f"the server hung up after {said[:200]!r}")
                said += more
            sent.statuses[said[9:12]] += 1
            self._free.append(one)
            answered += 1
        return answered


def _whole(said: bytes) -> bool:
    head = said.find(b"\r\n\r\n")
    if head < 0:
        return False
    at = said.lower().find(b"content-length:", 0, head)
    return at < 0 or len(said) >= head + 4 + int(said[at + 15 : said.find(b"\r\n", at)])
