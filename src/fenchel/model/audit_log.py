"""`_deployment_audit_log`: who changed what in the deployment."""

from __future__ import annotations

from fenchel.database import Transaction
from fenchel.values import Value

_TABLE = "_deployment_audit_log"


async def record_audit_entry(tx: Transaction, action: str, metadata: dict[str, Value]) -> None:
    """One row, in the transaction of the change itself. `action` is a short name: `push_config`."""
    await tx.system().insert(_TABLE, {"memberId": None, "action": action, "metadata": metadata})
