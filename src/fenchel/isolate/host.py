"""What running code needs from the rooms above; they implement it, this room only calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from fenchel.database import Namespace, Transaction
from fenchel.definitions import FunctionPath
from fenchel.isolate.addresses import Address
from fenchel.runtime.settings import TransactionLimits
from fenchel.udf import FileAccess, UdfOutcome, UdfRequest


class NestedKind(Enum):
    """What `runUdf` asks for. SNAPSHOT_QUERY sees the caller's begin snapshot without its
    writes.
    """

    QUERY = "query"
    MUTATION = "mutation"
    SNAPSHOT_QUERY = "snapshotQuery"


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedCall:
    """One function called inside another's transaction. `args_json` is one encoded object; `seed`
    is drawn from the caller's seed, 32 bytes. `limits`: caps of what the whole transaction may have
    used while the call runs.
    """

    path: FunctionPath
    kind: NestedKind
    args_json: str
    seed: bytes
    limits: TransactionLimits


class FunctionNames(Protocol):
    """Which function user code means. Methods raise FenchelError of a developer kind for names that
    lead nowhere.
    """

    async def resolve_address(
        self, transaction: Transaction | None, address: Address, component: str
    ) -> FunctionPath:
        """The function that `address` means for a caller in `component`, in the transaction or, for
        an action, at the latest snapshot.
        """
        ...

    async def create_function_handle(
        self, transaction: Transaction | None, address: Address, component: str
    ) -> str:
        """A text by which every component can call the function (execution 6.5)."""
        ...


class UdfHost(FunctionNames, Protocol):
    """Services of one query or mutation beyond its transaction's tables.

    A method that fails because of the request or the code raises FenchelError of a developer kind:
    user code may catch it. Every other exception ends the execution as a system failure.
    """

    async def run_nested(
        self, parent: UdfRequest, transaction: Transaction, call: NestedCall
    ) -> UdfOutcome:
        """Run a function inside the caller's transaction (execution 6.9)."""
        ...

    async def schedule(
        self,
        parent: UdfRequest,
        transaction: Transaction,
        path: FunctionPath,
        args_json: str,
        unix_seconds: float,
    ) -> str:
        """Record a job in the transaction; its id (execution 6.1). `args_json` is an array with one
        object.
        """
        ...

    async def cancel_job(
        self, parent: UdfRequest, transaction: Transaction, job_id: str
    ) -> None: ...

    def files(self, transaction: Transaction, component: Namespace) -> FileAccess: ...

    async def read_environment_variables(
        self, transaction: Transaction, names: Iterable[str]
    ) -> None:
        """Add read dependencies on the variables that the code looked at (execution 3.9)."""
        ...

    def sign_token(self, request: UdfRequest, claims: Mapping[str, Any], seconds: float) -> str:
        """A token for the outside world (execution 2.8). Raises: InvalidArgument."""
        ...

    def seal_cursor(self, plain: bytes) -> str:
        """Opaque, authenticated text for clients (execution 2.7)."""
        ...

    def open_cursor(self, text: str) -> bytes:
        """The bytes that were sealed. Raises: bad request `InvalidCursor`."""
        ...
