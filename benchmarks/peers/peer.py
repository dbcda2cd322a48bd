"""What a question may ask of a measured system."""

from __future__ import annotations

from typing import Protocol

from benchmarks.load import FanoutReport, Load, LoadReport


class Peer(Protocol):
    """A running system that holds the documents of the benchmark app."""

    @property
    def name(self) -> str: ...

    async def run(self, load: Load) -> LoadReport:
        """Runs the load. Raises RuntimeError on a wrong answer."""
        ...

    async def run_fanout(
        self,
        *,
        subscribers: int,
        is_distinct: bool,
        warm_up_sends: int,
        sends: int,
        first_sequence: int,
    ) -> FanoutReport | None:
        """Runs sends with subscribers; None when the system has no such subscriptions, or not
        so many.
        """
        ...
