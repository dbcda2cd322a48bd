"""`fenchel`: serve a deployment, print its admin key, print the version.

Expected failures are one line on stderr and exit code 1; a traceback means a bug.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import click
import platformdirs

from fenchel import __version__
from fenchel.cli.serve import ServeArguments, serve, serve_settings
from fenchel.cli.usage import fetch_usage, render_usage
from fenchel.errors import FenchelError
from fenchel.file_storage import parse_s3_address
from fenchel.runtime import Runtime, Settings, describe_settings, with_values
from fenchel.runtime.settings import IsolateSettings
from fenchel.server import (
    DEFAULT_NAME,
    SECRET_BYTES,
    Instance,
    decode_secret,
    load_or_create_instance,
    open_key_broker,
)

_PORT = click.IntRange(0, 65_535)


def _check_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """An address that clients can be given. Raises: BadParameter."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not value.isprintable() or " " in value:
        text = f"{value!r} is not like https://host or http://host:3210."
        raise click.BadParameter(text, ctx, param)
    return value


_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of database, files and instance secret; default: the user's data folder.",
)
_INSTANCE_NAME = click.option("--instance-name", help="Default: the one stored in the data folder.")
_INSTANCE_SECRET = click.option(
    "--instance-secret",
    envvar="FENCHEL_INSTANCE_SECRET",
    help="64 hexadecimal digits; default: made once and stored in the data folder.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A Convex-compatible backend in Python."""


@main.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=_PORT, default=3210, show_default=True, help="Port of the API.")
@click.option(
    "--site-port", type=_PORT, default=3211, show_default=True, help="Port of HTTP actions."
)
@_DATA_DIR
@click.option(
    "--database-url",
    envvar="FENCHEL_DATABASE_URL",
    help="postgres://user:password@host:port/database to keep the database there. A server that "
    "uses it already is taken over and stops.",
)
@click.option(
    "--file-storage",
    envvar="FENCHEL_FILE_STORAGE",
    help="s3://bucket/prefix?endpoint=https://host to keep the files there, with the usual AWS_* "
    "variables; default: the data folder.",
)
@click.option("--in-memory", is_flag=True, help="Keep nothing: all data is gone at the end.")
@_INSTANCE_NAME
@_INSTANCE_SECRET
@click.option(
    "--url",
    callback=_check_url,
    help="URL under which clients reach the API; default: host and port.",
)
@click.option("--site-url", callback=_check_url, help="URL under which clients reach HTTP actions.")
@click.option(
    "--require-sandbox",
    is_flag=True,
    help="Refuse to start unless seccomp and Landlock isolate user code.",
)
@click.option(
    "--production",
    is_flag=True,
    help="Hide error texts from clients; keep actions away from private network addresses.",
)
@click.option(
    "--allow-private-addresses",
    is_flag=True,
    help="With --production: let actions fetch from private network addresses.",
)
@click.option(
    "--test-mode",
    is_flag=True,
    help="Let holders of the admin key put the clock forward and reset the data.",
)
@click.option(
    "--log-level",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="`info` writes a line for every request.",
)
@click.option(
    "--warm-realms",
    default=None,
    show_default=str(IsolateSettings().warm_realms_max),
    type=click.IntRange(0, 16),
    help="Realms per worker that run many queries and mutations, each as if it were fresh: several "
    "times faster. 0: a fresh context for each.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    envvar="FENCHEL_SET",
    show_envvar=True,
    help="A limit or knob, as `isolate.user_time_seconds_max=2`; `fenchel settings` lists all. "
    "Several in the variable stand between spaces.",
)
def serve_command(
    host: str,
    port: int,
    site_port: int,
    data_dir: Path | None,
    database_url: str | None,
    file_storage: str | None,
    in_memory: bool,
    instance_name: str | None,
    instance_secret: str | None,
    url: str | None,
    site_url: str | None,
    require_sandbox: bool,
    production: bool,
    allow_private_addresses: bool,
    test_mode: bool,
    log_level: str,
    warm_realms: int | None,
    assignments: tuple[str, ...],
) -> None:
    """Run a deployment until SIGINT or SIGTERM."""
    if in_memory and (data_dir or database_url or file_storage):
        raise click.UsageError("--in-memory and a place to keep data exclude each other.")
    if test_mode and (production or database_url is not None):
        raise click.UsageError("--test-mode is for data in memory or in a folder, not production.")
    if port == site_port != 0:
        raise click.UsageError("--port and --site-port must differ.")
    settings = serve_settings(
        is_production=production,
        allows_private_addresses=allow_private_addresses,
        warm_realms_max=warm_realms,
    )
    try:
        runtime = Runtime(settings=with_values(settings, assignments))
        folder = None if in_memory else data_dir or _default_data_dir()
        arguments = ServeArguments(
            host=host,
            port=port,
            site_port=site_port,
            data_dir=folder,
            instance=_instance(folder, instance_name, instance_secret, runtime),
            database_url=database_url,
            file_storage=parse_s3_address(file_storage) if file_storage else None,
            url=url,
            site_url=site_url,
            require_sandbox=require_sandbox,
            test_mode=test_mode,
            log_level=log_level,
        )
        serve(arguments, runtime)
    except FenchelError as error:
        raise click.ClickException(error.message) from error


@main.command(name="keys")
@_DATA_DIR
@_INSTANCE_NAME
@_INSTANCE_SECRET
@click.option("--read-only", is_flag=True, help="A key that runs queries and reads data only.")
def keys_command(
    data_dir: Path | None, instance_name: str | None, instance_secret: str | None, read_only: bool
) -> None:
    """Print an admin key of a deployment."""
    try:
        key = _admin_key(data_dir, instance_name, instance_secret, is_read_only=read_only)
        click.echo(key)
    except FenchelError as error:
        raise click.ClickException(error.message) from error


@main.command(name="usage")
@click.option(
    "--url",
    callback=_check_url,
    default="http://127.0.0.1:3210",
    show_default=True,
    help="The server's API.",
)
@click.option(
    "--admin-key",
    envvar="CONVEX_SELF_HOSTED_ADMIN_KEY",
    help="Default: a key of the deployment in the data folder.",
)
@_DATA_DIR
@_INSTANCE_NAME
@_INSTANCE_SECRET
@click.option("--from", "from_day", help="First day (UTC), like 2026-11-21; default: the last.")
@click.option("--through", "through_day", help="Last day (UTC); default: today.")
@click.option("--json", "is_json", is_flag=True, help="Print what the server answers.")
def usage_command(
    url: str,
    admin_key: str | None,
    data_dir: Path | None,
    instance_name: str | None,
    instance_secret: str | None,
    from_day: str | None,
    through_day: str | None,
    is_json: bool,
) -> None:
    """Print what functions, tables and files used: calls, times, documents, bytes."""
    try:
        key = admin_key or _admin_key(data_dir, instance_name, instance_secret)
    except FenchelError as error:
        raise click.ClickException(error.message) from error
    report = fetch_usage(url, key, from_day, through_day)
    click.echo(json.dumps(report) if is_json else render_usage(report))


@main.command(name="settings")
def settings_command() -> None:
    """Print all limits and knobs with their defaults and bounds, as `serve --set` takes them."""
    for line in describe_settings(Settings()):
        click.echo(line)


@main.command(name="version")
def version_command() -> None:
    """Print the version."""
    click.echo(__version__)


def _admin_key(
    data_dir: Path | None,
    name: str | None,
    secret_text: str | None,
    *,
    is_read_only: bool = False,
) -> str:
    """A key of the deployment in the folder. Raises: FenchelError."""
    instance = _instance(data_dir or _default_data_dir(), name, secret_text, Runtime())
    return open_key_broker(instance).issue_admin_key(is_read_only=is_read_only)


def _default_data_dir() -> Path:
    return platformdirs.user_data_path("fenchel")


def _instance(
    data_dir: Path | None, name: str | None, secret_text: str | None, runtime: Runtime
) -> Instance:
    """Options first, then the data folder; without a folder, a name and secret for this run."""
    if secret_text is not None:
        return Instance(name=name or DEFAULT_NAME, secret=decode_secret(secret_text))
    if data_dir is None:
        stored = Instance(name=DEFAULT_NAME, secret=runtime.randomness.token_bytes(SECRET_BYTES))
    else:
        stored = load_or_create_instance(data_dir, runtime)
    return Instance(name=name or stored.name, secret=stored.secret)
