"""What the fork server loads before it forks: everything that `serve` would, and nothing that starts a thread."""

import alembic.command
import psycopg
import sqlalchemy.dialects.postgresql.psycopg

import hub.cli.run
from hub.config import builtin_modules

for module in builtin_modules():
    __import__(module)
__all__ = ["alembic", "hub", "psycopg", "sqlalchemy"]
