"""The deployed code as a transaction sees it: what the function runner needs from the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fenchel.database import Transaction
from fenchel.definitions import AnalyzedModule
from fenchel.isolate import ModuleSource


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedCode:
    """Names one component's code and what its modules observe while they are evaluated.

    `package_digest` names the pushed modules (equal digests, equal sources).
    """

    package_digest: str
    environment_variables: Mapping[str, str]
    import_seed: bytes
    import_unix_ms: int


class CodeSource(Protocol):
    """Look-ups in the model's tables. The `load_` methods record read dependencies in the
    transaction, except that `load_deployed_code` records none for environment variables:
    `read_environment_variables` adds those that the code really looked at."""

    async def load_analysis(
        self, transaction: Transaction, component: str, module: str
    ) -> AnalyzedModule | None:
        """Functions of one pushed module; None if there is no such module."""
        ...

    async def load_deployed_code(
        self, transaction: Transaction, component: str
    ) -> DeployedCode | None:
        """None before the first push."""
        ...

    async def fetch_modules(
        self, transaction: Transaction, component: str, package_digest: str
    ) -> Sequence[ModuleSource]:
        """All modules of the package, called once per digest and cached by the runner."""
        ...

    async def read_environment_variables(
        self, transaction: Transaction, names: Iterable[str]
    ) -> None: ...
