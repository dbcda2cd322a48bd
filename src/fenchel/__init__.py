"""Fenchel: a Convex-compatible function runner and reactive backend."""

__version__ = "0.1.0"
