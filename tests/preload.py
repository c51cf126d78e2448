"""What the fork server loads before it forks: everything that commands would, and nothing that starts a thread."""

import smtplib

import alembic.command
import cyclopts
import psycopg
import rich.progress
import sqlalchemy.dialects.postgresql.psycopg
import uvloop

import hub.app
from hub.config import builtin_modules

for module in builtin_modules():
    __import__(module)
__all__ = ["alembic", "cyclopts", "hub", "psycopg", "rich", "smtplib", "sqlalchemy", "uvloop"]
