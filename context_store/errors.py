"""What can go wrong at the store, named by what the caller does next."""


class StoreError(Exception):
    """Root of everything that the store raises by itself."""


class StoreRefused(StoreError):
    """The store can't be opened: the text says why and what to do. Nothing was changed."""


class StoreAway(StoreError):
    """The store can't serve now (unreachable, locked, disk full). Nothing was changed: try again later."""


class CommitUnknown(StoreError):
    """COMMIT failed: the rows may be there or not. Never answer "not recorded": the retry meets the unique key."""


class StoreBroken(StoreError):
    """The disk or the file failed: this process must stop, since a second fsync may succeed without the data."""


class DamagedBlob(StoreError):
    """The bytes of a blob are gone or no longer have their hash."""
