"""Deploys: what the official CLI's push endpoints do (deploy-protocol, section 2)."""

from __future__ import annotations

from fenchel.application.deploy_messages import (
    CanonicalUrls,
    ConfigHashes,
    EvaluatePushResponse,
    EvaluateSchemaResponse,
    FinishPushRequest,
    FinishPushResponse,
    SchemaStatus,
    StartPushRequest,
    StartPushResponse,
    WaitForSchemaRequest,
)


class DeployService:
    """The caller has checked that the request comes from an admin. All methods raise FenchelError.
    """

    async def config_hashes(self) -> ConfigHashes:
        raise NotImplementedError

    async def start_push(self, request: StartPushRequest) -> StartPushResponse:
        raise NotImplementedError

    async def evaluate_push(self, request: StartPushRequest) -> EvaluatePushResponse:
        raise NotImplementedError

    async def evaluate_schema(self, request: StartPushRequest) -> EvaluateSchemaResponse:
        raise NotImplementedError

    async def wait_for_schema(self, request: WaitForSchemaRequest) -> SchemaStatus:
        raise NotImplementedError

    async def finish_push(self, request: FinishPushRequest) -> FinishPushResponse:
        raise NotImplementedError

    def canonical_urls(self) -> CanonicalUrls:
        raise NotImplementedError
