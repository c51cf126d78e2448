"""Real mail of other projects: what is a mail there, what is expected of it, how well we agree."""
