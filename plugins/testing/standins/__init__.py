"""Local servers that stand in for vendors, as strict as their documentation: tests and `trunkline sample` use them."""

import importlib
import pkgutil
from collections.abc import Mapping

from plugins.testing.standins.base import Fault, Heard, StandIn

__all__ = ["Fault", "Heard", "StandIn", "kinds", "serve"]


def kinds() -> Mapping[str, type[StandIn]]:
    """Kind of connector → its stand-in: every class in a module of this folder that names kinds."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    ours = [cls for cls in StandIn.__subclasses__() if cls.__module__.startswith(f"{__name__}.")]
    return {kind: cls for cls in ours for kind in cls.kinds}


def serve(kind: str) -> StandIn:
    """A stand-in for one kind, with secrets of its own; it runs inside `async with`.

    `far.table` is what an instance's table in plugins.toml needs, `far.environ` the secrets that it refers to.

    Raises:
        KeyError: no stand-in speaks for this kind.
    """
    return kinds()[kind]()
