"""The chat example: its types, its page in a browser, and the demo that runs it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

from tests.end_to_end.fenchel_server import (
    HERE,
    NODE,
    ConvexApp,
    clean_environment,
    end_group,
    free_port,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.conftest import StartServer

EXAMPLE = HERE.parents[1] / "examples/chat"


@pytest.fixture(scope="module")
def chat(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> ConvexApp:
    """The example, deployed to a server of its own. The CLI checks the types of `convex/`."""
    server = start_server()
    folder = tmp_path_factory.mktemp("chat") / "chat"
    deployed = ConvexApp.copy(EXAMPLE, folder, server=server)
    deployed.deploy()
    return deployed


@pytest.fixture
def page(chat: ConvexApp) -> Iterator[str]:
    """The address of the built page, served by Vite."""
    vite = chat.folder / "node_modules/vite/bin/vite.js"
    built = chat.node(vite, "build", VITE_CONVEX_URL=chat.url)
    assert built.returncode == 0, built.stdout + built.stderr
    port = str(free_port())
    with subprocess.Popen(
        [NODE, vite, "preview", "--host", "127.0.0.1", "--port", port, "--strictPort"],
        cwd=chat.folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert any(port in line for line in process.stdout)
            yield f"http://127.0.0.1:{port}"
        finally:
            end_group(process)


def test_the_generated_types_fit_the_page(chat: ConvexApp) -> None:
    done = chat.node(chat.folder / "node_modules/typescript/bin/tsc", "--noEmit")
    assert done.returncode == 0, done.stdout


def test_a_message_sent_in_one_browser_appears_in_the_other(chat: ConvexApp, page: str) -> None:
    screenshot = chat.folder / "page.png"
    done = chat.node(HERE / "clients/chat_page.mjs", page, str(screenshot))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["seen"] == [
        "sent by Ada",
        "sent by Grace",
        "Welcome, Ada!",
        "Ada has written 1 messages so far.",
    ]
    assert result["errors"] == []


def test_the_demo_shows_messages_and_ctrl_c_ends_everything_it_started() -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", EXAMPLE / "demo.py"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(),
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        shown = read_until("server: Welcome, Ada!", process.stdout)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=90)
    finally:
        end_group(process)
    assert process.returncode == 0, rest
    assert "Grace: And it came back" in shown
    addresses = re.findall(r"http://127\.0\.0\.1:(\d+)", shown)
    assert len(set(addresses)) == 2
    assert not any(is_listening(int(port)) for port in addresses)


def read_until(text: str, output: IO[str]) -> str:
    """The output up to the line with the text; all of it if the line never comes."""
    shown = ""
    for line in output:
        shown += line
        if text in line:
            return shown
    raise AssertionError(shown)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
