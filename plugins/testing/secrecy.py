"""No secret in any output: how one would look, and the checks of what a connector says when a secret is wrong.

Part of `VendorConformance`, which has the stand-in.
"""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

from plugins.errors import Pause
from plugins.fit import roles
from plugins.model import Finding
from plugins.testing.crossing import cross
from plugins.testing.lines import LiveHub


def guises(secret: str) -> frozenset[str]:
    """The secret but for its last sign, as text, in a URL, in base64 wherever it stands (Basic credentials), in hex.

    All but the last sign, because that is most of it, and the wrong secrets of `wrong` have this in common.
    """
    most = secret[:-1]
    return frozenset((most, quote(most, safe=""), quote_plus(most), most.encode().hex(), *_in_base64(most.encode())))


def _in_base64(raw: bytes) -> Iterator[str]:
    """The signs that `raw` alone decides, for each of the three places where it can begin."""
    for lead in range(3):
        coded = base64.b64encode(bytes(lead) + raw).decode()[-(-8 * lead // 6) : 8 * (lead + len(raw)) // 6]
        yield coded
        yield coded.translate({ord("+"): "-", ord("/"): "_"})


class SecrecyChecks:
    """Mixed into `VendorConformance`."""

    cls: ClassVar[type[Any]]
    table: ClassVar[Mapping[str, Any]]
    polling: Any
    secret: Any
    cannot: Any
    make: Any
    _hides: Any
    _live: Any
    _new: Any
    _work: Any
    _fails: Any

    def wrong(self, name: str) -> str:
        """A secret of the same form as `secret(name)` that the far side does not know; all but the last sign alike."""
        right: str = self.secret(name)
        return right[:-1] + ("0" if right[-1] != "0" else "1")

    async def test_wrong_secret_pauses_all_work_and_is_never_shown(self) -> None:
        async with self._live() as (far, _):
            made = self._new(far, self.table, self.wrong)
            [step] = made.plan(self._work(far))
            error = await self._fails(made, step)
            assert isinstance(error, Pause), "what a wrong secret does to one message it does to all"
            assert far.heard == []

    async def test_runner_with_a_wrong_secret_says_so_and_never_shows_it(self) -> None:
        if "runner" not in roles(self.cls):
            self.cannot("has no runner")
        async with self._live() as (far, _):
            hub = LiveHub()
            task = asyncio.ensure_future(self._new(far, self.polling(), self.wrong).run(hub))
            await asyncio.wait({task}, timeout=5)
            ended = task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                error = (await asyncio.gather(task, return_exceptions=True))[0]
            assert ended, "it goes on asking"
            self._hides(*words(error))
            assert isinstance(error, Pause), repr(error)

    async def test_check_says_what_is_wrong_and_shows_no_secret(self) -> None:
        if "checkable" not in roles(self.cls):
            self.cannot("can't test its own connections")
        async with self._live() as (far, made):
            assert any(each.ok for each in await self._checked(made))
            refused = await self._checked(self._new(far, self.table, self.wrong))
            assert [each for each in refused if not each.ok and each.fix], "what shall be done about a wrong secret?"
        unreached = [each.what for each in await self._checked(made) if not each.ok]
        assert unreached, "nobody is there, and that is well"
        assert not {each.what for each in refused} & set(unreached), "nobody is there: that is no wrong secret"

    async def _checked(self, made: Any) -> list[Finding]:
        hub = LiveHub()
        found = list(await made.check(hub))
        self._hides(cross(found, list[Finding]), repr([(call.url, call.headers) for call in hub.calls]))
        return found


def words(error: BaseException | None) -> Iterator[str]:
    """What may be logged or stored of an error, and of those that it came from."""
    while error is not None:
        yield from (str(error), repr(error))
        error = error.__cause__ or error.__context__
