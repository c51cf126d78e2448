import pytest

# as plugins/testing/pytest_plugin.py does where Trunkline is installed
pytest.register_assert_rewrite("plugins.testing.conformance")
