"""The hub: composes the four other rooms, and is the only one that runs."""

__version__ = "0.1.0"
