"""The conformance kit for authors of plugins: `conformance`, `hostile`, `stubs` and the pytest plugin."""
