"""Are the five packages ours? `plugins` or `routing` are names that another distribution may carry too.

An import would then take a stranger's code, half of the time and without a word, so this looks before anything
else is imported. It imports nothing itself.
"""

import importlib.util
from collections.abc import Iterable
from pathlib import Path

PACKAGES = ("hub", "plugins", "connectors", "context_store", "routing")


def foreign_packages(names: Iterable[str] = PACKAGES, home: Path | None = None) -> list[str]:
    """One sentence for each package that doesn't lie beside this one; empty if all is well."""
    home = home or Path(__file__).resolve().parents[1]
    sentences = []
    for name in names:
        places = _places(name)
        if places != [home / name]:
            found = ", ".join(str(place) for place in places) or "nowhere"
            sentences.append(
                f"the package {name!r} is found in {found}, expected {home / name}: another distribution in this "
                f"environment carries the same name; install Trunkline into a private one"
            )
    return sentences


def _places(name: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a spec: put there by hand
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place).resolve() for place in spec.submodule_search_locations]
    return [Path(spec.origin).resolve()] if spec.origin else []
