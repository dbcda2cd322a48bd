"""Help for tests: a whole backend in this process."""

from fenchel.testing.running_backend import running_backend

__all__ = ["running_backend"]
