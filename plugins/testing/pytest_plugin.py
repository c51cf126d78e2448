"""The kit as a pytest plugin (entry point group `pytest11`).

It is not decoration: without it a failing check in a subclass shows a bare AssertionError, because
pytest rewrites assertions only in test files and in modules that are named here before their import.
"""

import pytest

pytest.register_assert_rewrite("plugins.testing.conformance")
