"""Two real nodes that answer each other's questions about halves."""

from tests.use.conftest import two_nodes  # noqa: F401 - a fixture
