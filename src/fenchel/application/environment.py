"""Changing the environment variables of a deployment (deploy-protocol 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

from fenchel.application.deploy_messages import EnvironmentChange


class EnvironmentService:
    async def update(self, changes: Sequence[EnvironmentChange]) -> None:
        """Apply all changes or none. Raises FenchelError (400) with the codes of deploy-protocol
        3.3.
        """
        raise NotImplementedError
