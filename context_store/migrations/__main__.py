"""Write the next revision: for developers, see `context_store.migrations`."""

import sys

from alembic import command
from sqlalchemy import create_engine

from context_store.migrations import config_for, head


def main(what: str) -> None:
    """Compare `tables.py` with an empty store brought to the last revision."""
    with create_engine("sqlite://").connect() as conn:
        command.upgrade(config_for(conn), "head")
        command.revision(config_for(conn), what, autogenerate=True, rev_id=f"{head() + 1:04d}")


if __name__ == "__main__":
    main(sys.argv[1])
