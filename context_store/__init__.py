"""The only room with SQL: SQLite and PostgreSQL from one code."""

from context_store.engine import Store
from context_store.errors import CommitUnknown, DamagedBlob, StoreAway, StoreBroken, StoreError, StoreRefused

__all__ = ["CommitUnknown", "DamagedBlob", "Store", "StoreAway", "StoreBroken", "StoreError", "StoreRefused"]
