"""Run by Alembic for every command; the connection comes from `context_store.migrations`."""

from typing import Any

from alembic import context

from context_store.tables import metadata

connection = context.config.attributes["connection"]
sqlite = connection.dialect.name == "sqlite"


def default_differs(_c: Any, _found: Any, _meant: Any, found: str | None, _default: Any, meant: str | None) -> bool:
    """Alembic's own comparison takes SQLite's '' for a difference from ''."""
    return (found or "").strip("'()") != (meant or "").strip("'()")


def both_have(_object: Any, name: str | None, _kind: str, _reflected: bool, _other: Any) -> bool:
    """SQLite's full-text index is a virtual table, with tables of its own, in the place of PostgreSQL's index."""
    return not sqlite or not (name or "").startswith(("search_index", "ix_search_terms"))


context.configure(
    connection=connection,
    target_metadata=metadata,
    include_object=both_have,
    render_as_batch=sqlite,
    transactional_ddl=True,
    compare_server_default=default_differs if sqlite else True,
)
with context.begin_transaction():
    context.run_migrations()
