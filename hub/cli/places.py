"""What the hub finds on its own machine before it serves: findings for `check` and `doctor`."""

from collections.abc import Iterator

from context_store import StoreRefused
from context_store.key_files import read_keys
from hub.config import Config
from plugins import Finding


def keys(config: Config) -> Iterator[Finding]:
    """Of both key files; neither is made here."""
    for path in (config.data / "signing.key", config.data / "vault.key"):
        if not path.exists():
            yield Finding(ok=True, what=f"{path.name} is not there yet: `trunkline serve` makes it")
            continue
        try:
            number = len(read_keys(path))
        except StoreRefused as error:
            what, _, fix = str(error).rpartition(": ")
            yield Finding(ok=False, what=what, fix=fix)
        else:
            yield Finding(ok=True, what=f"{path.name} holds {number} key{'s' if number > 1 else ''}")
