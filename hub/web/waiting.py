"""What sockets hold in memory, counted (R10): bytes from when they come until their frame is taken.

aiohttp keeps an unfinished message, and of whole ones as much as half a megabyte while their reader is busy, of each
socket, in no count. So `Waiting` stands before its parser, sees where frames end (RFC 6455 §5.2), and lets nothing
in that the room does not have. A message must come whole in time too, as bodies must.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from hub.web.bodies import READ_SECONDS

FREE = 4 << 10
"""Bytes of each socket that are in no count: most lines fit, and pass however full the room is."""
PIECE = 256
"""What each piece that comes, and each frame that waits, costs besides its bytes."""


class Parser(Protocol):
    """aiohttp's."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """(is it over, what is left)."""

    def feed_eof(self) -> None:
        """No more comes."""


class Held:
    """Bytes that all sockets hold, beyond what each has `FREE`; one peer has half of them."""

    def __init__(self, most: int) -> None:
        """`most` bytes."""
        self.most, self.total = most, 0
        self.seconds = READ_SECONDS
        self._of: Counter[str] = Counter()

    def grow(self, peer: str, more: int) -> bool:
        """False, and nothing is changed: there is no room for so much. What frees room always passes."""
        if more > 0 and (self._of[peer] + more > self.most // 2 or self.total + more > self.most):
            return False
        self.total += more
        self._of[peer] += more
        if not self._of[peer]:
            del self._of[peer]
        return True


class Waiting:
    """One socket's: a parser before aiohttp's own, which is set when the socket is accepted."""

    __slots__ = ("_bytes", "_counted", "_cut_off", "_head", "_held", "_is_cut", "_left", "_length", "_message", "_peer",
                 "_pieces", "_timer", "_whole", "parser")  # fmt: skip

    def __init__(self, held: Held, peer: str, cut: Callable[[], None]) -> None:
        """`cut` ends the connection without a word: nothing more of it may be kept."""
        self.parser: Parser
        self._held, self._peer, self._cut_off = held, peer, cut
        self._is_cut = False
        self._bytes = self._counted = 0
        self._head, self._length, self._left = b"", 0, 0
        self._message = self._pieces = 0
        self._whole: list[int] = []  # a deque takes 700 bytes when it is empty
        self._timer: asyncio.TimerHandle | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """What has come, if there is room for it."""
        if self._is_cut:
            return True, b""
        self._pieces += PIECE
        self._bytes += len(data) + PIECE
        self._walk(bytes(data))
        if not self._count():
            self._cut()
            return True, b""
        self._watch()
        return self.parser.feed_data(data)

    def feed_eof(self) -> None:
        """As the parser says."""
        self.parser.feed_eof()

    def taken(self) -> None:
        """The first whole message or control frame."""
        if self._whole:
            self._bytes -= self._whole.pop(0)
            self._count()

    def leave(self) -> None:
        """The connection is over."""
        self._is_cut, self._bytes = True, 0
        self._count()
        self._stop_watch()

    def _count(self) -> bool:
        counted = max(0, self._bytes - FREE)
        fits = self._held.grow(self._peer, counted - self._counted)
        if fits:
            self._counted = counted
        return fits

    def _cut(self) -> None:
        self._is_cut = True
        self._cut_off()

    def _watch(self) -> None:
        """An unfinished message has so much time, whatever control frames come in between."""
        if not (self._head or self._message):
            self._stop_watch()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._held.seconds, self._cut)

    def _stop_watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _walk(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if not self._left:
                more = data[at : at + _head_size(self._head) - len(self._head)]
                self._head += more
                at += len(more)
                if len(self._head) < _head_size(self._head):
                    continue
                self._length = self._left = _payload_size(self._head)
            step = min(self._left, len(data) - at)
            self._left -= step
            at += step
            if not self._left:
                self._frame_ends()

    def _frame_ends(self) -> None:
        size = len(self._head) + self._length + self._pieces + PIECE
        self._bytes += PIECE
        opcode, last = self._head[0] & 0x0F, self._head[0] & 0x80
        self._head, self._pieces = b"", 0
        if opcode < 8:  # control frames may stand between the parts of a message
            self._message += size
            if not last:
                return
            size, self._message = self._message, 0
            self._stop_watch()
        self._whole.append(size)


def _head_size(head: bytes) -> int:
    """Bytes of the head that begins so: 2 until these are there."""
    if len(head) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + (4 if head[1] & 0x80 else 0)


def _payload_size(head: bytes) -> int:
    said = head[1] & 0x7F
    if said < 126:
        return said
    return int.from_bytes(head[2 : 4 if said == 126 else 10])
