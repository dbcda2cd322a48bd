"""`fenchel serve`: compose the backend, say how to connect, wait for a signal, drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import click
import uvloop

from fenchel.application import AUDIT_LOG
from fenchel.file_storage import S3Address
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import ApplicationSettings, EgressSettings, IsolateSettings
from fenchel.server import Backend, Instance, ServeOptions, compose

logger = logging.getLogger(__name__)

# Twice the sockets that are served at most, and some for the data.
FILES_WANTED = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeArguments:
    """`data_dir` None keeps everything in memory; a `database_url` moves the database there, a
    `file_storage` the files."""

    host: str
    port: int
    site_port: int
    data_dir: Path | None
    instance: Instance
    database_url: str | None
    url: str | None
    site_url: str | None
    log_level: str
    file_storage: S3Address | None = None
    require_sandbox: bool = False
    test_mode: bool = False


def serve_settings(
    *,
    is_production: bool,
    allows_private_addresses: bool,
    warm_realms_max: int | None = None,
) -> Settings:
    """Production serves strangers: they see no error texts, and developers' code no inner network,
    unless `allows_private_addresses`. `warm_realms_max` None leaves the default.
    """
    isolate = IsolateSettings()
    if warm_realms_max is not None:
        isolate = replace(isolate, warm_realms_max=warm_realms_max)
    if not is_production:
        return Settings(isolate=isolate)
    return Settings(
        isolate=isolate,
        application=ApplicationSettings(redact_errors=True),
        egress=EgressSettings(private_addresses_allowed=allows_private_addresses),
    )


def serve(arguments: ServeArguments, runtime: Runtime) -> None:
    """Return after an orderly stop. Raises FenchelError if the backend cannot start or go on."""
    _configure_logging(arguments.log_level)
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(arguments, runtime))


def raise_file_limit() -> None:
    """Every client is an open file. The usual limit of 1,024 is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(arguments: ServeArguments, runtime: Runtime) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    backend = await _start(arguments, runtime, stop)
    if backend is None:
        return
    try:
        _tame_garbage_collector()
        click.echo(_welcome(backend, arguments))
        await backend.wait_until(stop)
    finally:
        await backend.close()
    logger.info("stopped")


async def _start(
    arguments: ServeArguments, runtime: Runtime, stop: asyncio.Event
) -> Backend | None:
    """The running backend, or None if the signal came first."""
    starting = asyncio.create_task(compose(_options(arguments), runtime), name="start")
    stopping = asyncio.create_task(stop.wait(), name="stop signal")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            return starting.result()
        starting.cancel()
        await asyncio.wait({starting})
        return None
    finally:
        stopping.cancel()


def _tame_garbage_collector() -> None:
    """Look for cycles seldom: requests leave next to none, and a search visits every document in
    memory. Measured at 16 connections: a quarter more mutations, half the 99th percentile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _options(arguments: ServeArguments) -> ServeOptions:
    return ServeOptions(
        host=arguments.host,
        port=arguments.port,
        site_port=arguments.site_port,
        data_dir=arguments.data_dir,
        instance=arguments.instance,
        database_url=arguments.database_url,
        file_storage=arguments.file_storage,
        url=arguments.url,
        site_url=arguments.site_url,
        require_sandbox=arguments.require_sandbox,
        test_mode=arguments.test_mode,
    )


def _welcome(backend: Backend, arguments: ServeArguments) -> str:
    data = str(arguments.data_dir or "in memory, gone at the end")
    files = data if arguments.file_storage is None else str(arguments.file_storage)
    if arguments.database_url is not None:
        data = "in Postgres"
    if files != data:
        data = f"{data}, files in {files}"
    return "\n".join(
        (
            "Fenchel is ready.",
            f"  API   {backend.url}",
            f"  Site  {backend.site_url}",
            f"  Data  {data}",
            f"  User code runs with: {', '.join(backend.sandbox.in_force)}",
            *(["  Test mode: the clock can be moved, data can be reset"] * arguments.test_mode),
            *(f"  Missing on this system: {name}" for name in backend.sandbox.missing),
            "",
            "Put these lines into .env.local of your app, then run `npx convex dev`:",
            f"CONVEX_SELF_HOSTED_URL='{backend.url}'",
            f"CONVEX_SELF_HOSTED_ADMIN_KEY='{backend.admin_key}'",
        )
    )


def _configure_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # uvicorn's own lines repeat what the request log says.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # What functions write there is the developers' business, however quiet the rest is.
    logging.getLogger(AUDIT_LOG).setLevel(logging.INFO)
