"""A push between start_push and finish_push. It lives here, behind a token: the client's echo of it
is not believed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fenchel.definitions import (
    AnalyzedModule,
    AuthProvider,
    ComponentInstance,
    SchemaDefinition,
)
from fenchel.errors import bad_request
from fenchel.function_runner import DeployedCode
from fenchel.model import PackagedModule, SourcePackage, UdfConfig
from fenchel.runtime import Runtime

# Abandoned pushes (codegen, failed type checks) are forgotten oldest first.
_PUSH_COUNT_MAX = 8
# The CLI checks types between its first two requests, and then asks all the time.
_ABANDONED_SECONDS = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedDefinition:
    """The code of the app or of one component.

    `definition_json` is what `convex.config.ts` exports. `analysis` has an entry for each module
    that may hold functions. `schema_json` is None without a schema. `package_content` is what
    `package` describes, which is stored when the push is finished.
    """

    definition_json: str
    modules: Sequence[PackagedModule]
    package: SourcePackage
    package_content: bytes
    analysis: Mapping[str, AnalyzedModule]
    schema: SchemaDefinition
    schema_json: str | None
    udf_config: UdfConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedPush:
    """Everything that can be known from the request alone and the environment variables.

    `definitions` are by path, the app's at ROOT; `app` is the tree of their instances. `variables`
    are the developer's environment variables that evaluation saw; `codes` is the code exactly as it
    will run.
    """

    definitions: Mapping[str, EvaluatedDefinition]
    app: ComponentInstance
    codes: Sequence[DeployedCode]
    auth_providers: tuple[AuthProvider, ...]
    variables: Mapping[str, str]

    def definition_of(self, instance: ComponentInstance) -> EvaluatedDefinition:
        return self.definitions[instance.definition_path]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPush:
    """`schema_ids` are the rows to make active, by component path; None without a schema."""

    evaluated: EvaluatedPush
    schema_ids: Mapping[str, str | None]
    is_dry_run: bool


class PendingPushes:
    """Pushes by token, bounded in number; they do not survive a restart.

    `_seen_seconds` is when a push was last asked about, by the monotonic clock.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._randomness = runtime.randomness
        self._clock = runtime.clock
        self._pushes: OrderedDict[str, PendingPush] = OrderedDict()
        self._seen_seconds: dict[str, float] = {}

    def add(self, push: PendingPush) -> str:
        """An unguessable token for `get`."""
        token = self._randomness.token_bytes(16).hex()
        self._pushes[token] = push
        self._seen_seconds[token] = self._clock.monotonic()
        if len(self._pushes) > _PUSH_COUNT_MAX:
            self.remove(next(iter(self._pushes)))
        return token

    def get(self, token: str) -> PendingPush:
        """Raises: UnknownPush if it was finished, superseded, abandoned or lost in a restart."""
        push = self._pushes.get(token)
        if push is None:
            raise bad_request(
                "UnknownPush",
                "This push is no longer known: other pushes followed, it waited for too long, or "
                "the deployment restarted. Push again.",
            )
        self._seen_seconds[token] = self._clock.monotonic()
        return push

    def remove(self, token: str) -> None:
        self._pushes.pop(token, None)
        self._seen_seconds.pop(token, None)

    def remove_abandoned(self) -> bool:
        """Forget pushes that nobody has asked about for 15 minutes; True if the last one went."""
        oldest = self._clock.monotonic() - _ABANDONED_SECONDS
        abandoned = [token for token, seen in self._seen_seconds.items() if seen <= oldest]
        for token in abandoned:
            self.remove(token)
        return bool(abandoned) and not self._pushes
