"""Real mail of other projects, which is never copied here: without it these tests are not collected."""

from bench.corpus.manifest import folder

DATA = folder()
collect_ignore_glob = [] if DATA else ["test_*.py"]


def pytest_report_header() -> str:
    return f"corpus: {DATA}" if DATA else "corpus: shared data is absent, its tests are not collected"
