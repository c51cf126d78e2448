"""Real mail of other projects, which is never copied here: without it these tests are not collected."""

from bench.corpus.manifest import folder

collect_ignore_glob = [] if folder() else ["test_*.py"]
