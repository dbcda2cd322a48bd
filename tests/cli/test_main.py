"""The command line: keys, versions, and errors that are one clear line. What starts to serve is a
process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fenchel import __version__
from fenchel.auth import Admin, KeyBroker
from fenchel.cli.main import main

FENCHEL = Path(sys.executable).with_name("fenchel")
SECRET = bytes(range(32)).hex()
SECONDS_MAX = 240


def fenchel(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FENCHEL, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=os.environ | environment,
    )


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the same command prints, run here: starting a process costs more than most tests."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert all(word in line for word in words), line


class TestSettings:
    def test_a_bad_value_is_one_clear_line(self) -> None:
        done = command("serve", "--in-memory", "--set", "isolate.heap_mebibytes_max=1")
        assert_one_clear_line(done, "isolate.heap_mebibytes_max", "'1'", "Expected `int` >= 48")

    def test_several_may_come_from_the_environment(self) -> None:
        values = "isolate.call_depth_max=4 isolate.heap_mebibytes_max=1"
        done = command("serve", "--in-memory", FENCHEL_SET=values)
        assert_one_clear_line(done, "isolate.heap_mebibytes_max", "'1'", "Expected `int` >= 48")

    def test_all_are_listed_with_their_bounds(self) -> None:
        lines = command("settings").stdout.splitlines()
        assert "isolate.user_time_seconds_max=1.0  (0.01 to 600)" in lines


class TestKeys:
    def test_a_key_for_a_name_and_a_secret_opens_that_deployment(self) -> None:
        done = command("keys", "--instance-name", "mine", "--instance-secret", SECRET)
        broker = KeyBroker("mine", bytes.fromhex(SECRET))
        assert broker.check_admin_key(done.stdout.strip()) == Admin()

    def test_a_key_that_only_reads(self) -> None:
        options = ("--instance-name", "mine", "--instance-secret", SECRET, "--read-only")
        broker = KeyBroker("mine", bytes.fromhex(SECRET))
        key = command("keys", *options).stdout.strip()
        assert broker.check_admin_key(key) == Admin(is_read_only=True)

    def test_the_secret_may_come_from_the_environment(self) -> None:
        done = command("keys", "--instance-name", "mine", FENCHEL_INSTANCE_SECRET=SECRET)
        assert done.stdout.startswith("mine|")

    def test_a_data_folder_gets_a_secret_once_for_its_owner_only(self, tmp_path: Path) -> None:
        folder = tmp_path / "new" / "data"
        first = command("keys", "--data-dir", folder)
        second = command("keys", "--data-dir", folder)
        assert first.stdout == second.stdout
        assert first.stdout.startswith("convex-self-hosted|")
        (kept,) = folder.iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("secret", ["", "00", "g" * 64])
    def test_a_bad_secret_is_one_clear_line(self, secret: str) -> None:
        assert_one_clear_line(command("keys", "--instance-secret", secret), "64 hexadecimal")

    def test_a_bad_name_is_one_clear_line(self) -> None:
        done = command("keys", "--instance-name", "a|b", "--instance-secret", SECRET)
        assert_one_clear_line(done, "a|b")

    def test_a_damaged_secret_is_one_clear_line(self, tmp_path: Path) -> None:
        (tmp_path / "instance.json").write_text("{")
        assert_one_clear_line(command("keys", "--data-dir", tmp_path), "instance.json")


class TestServe:
    def test_a_taken_port_is_one_clear_line(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            done = fenchel("serve", "--port", port, "--data-dir", tmp_path)
        assert_one_clear_line(done, port, "--port")

    def test_an_address_of_another_machine_is_one_clear_line(self, tmp_path: Path) -> None:
        done = fenchel("serve", "--host", "192.0.2.1", "--port", "0", "--data-dir", tmp_path)
        assert_one_clear_line(done, "192.0.2.1", "--host")

    def test_a_folder_that_cannot_be_made_is_one_clear_line(self, tmp_path: Path) -> None:
        in_the_way = tmp_path / "file"
        in_the_way.write_text("")
        done = fenchel("serve", "--port", "0", "--data-dir", in_the_way / "data")
        assert_one_clear_line(done, str(in_the_way))

    @pytest.mark.parametrize("option", ["--port", "--site-port"])
    @pytest.mark.parametrize("port", ["-1", "65536", "x"])
    def test_a_port_that_cannot_be_is_refused(self, option: str, port: str) -> None:
        done = command("serve", "--in-memory", option, port)
        assert done.returncode == 2
        assert f"Error: Invalid value for '{option}'" in done.stderr

    def test_two_listeners_need_two_ports(self) -> None:
        done = command("serve", "--in-memory", "--port", "4567", "--site-port", "4567")
        assert done.returncode == 2
        assert "Error: --port and --site-port must differ." in done.stderr

    @pytest.mark.parametrize("option", ["--url", "--site-url"])
    @pytest.mark.parametrize(
        "url",
        ["nonsense", "ftp://host", "http://", "http://[bad", "http://h:99999", "http://a b", ""],
    )
    def test_an_address_that_no_client_can_use_is_refused(self, option: str, url: str) -> None:
        done = command("serve", "--in-memory", option, url)
        assert done.returncode == 2
        expected = f"Invalid value for '{option}': {url!r} is not like https://host"
        assert expected in done.stderr

    def test_memory_and_a_folder_exclude_each_other(self, tmp_path: Path) -> None:
        done = command("serve", "--in-memory", "--data-dir", tmp_path)
        assert done.returncode == 2
        assert "exclude each other" in done.stderr

    @pytest.mark.parametrize(
        "option", [("--production",), ("--database-url", "postgres://user@host/data")]
    )
    def test_production_has_no_test_mode(self, option: tuple[str, ...]) -> None:
        done = command("serve", "--test-mode", *option)
        assert done.returncode == 2
        assert "not production" in done.stderr

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_in_order(self, number: signal.Signals) -> None:
        ports = ("--port", "0", "--site-port", "0")
        with subprocess.Popen(
            [FENCHEL, "serve", *ports, "--in-memory"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "Fenchel is ready.\n"
            process.send_signal(number)
            assert process.wait(SECONDS_MAX) == 0
            rest = process.stdout.read()
            assert process.stderr is not None
            assert process.stderr.read() == ""
        assert "CONVEX_SELF_HOSTED_ADMIN_KEY='convex-self-hosted|" in rest

    def test_a_signal_during_the_start_ends_it_too(self, tmp_path: Path) -> None:
        ports = ("--port", "0", "--site-port", "0")
        with subprocess.Popen(
            [FENCHEL, "serve", *ports, "--data-dir", tmp_path], stderr=subprocess.PIPE, text=True
        ) as process:
            # The lock is taken early in the start, after the signal handlers are in place.
            while not (tmp_path / "fenchel.lock").exists():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
                    pytest.fail("it ended by itself")
            process.terminate()
            assert process.wait(SECONDS_MAX) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""

    def test_a_locked_folder_is_one_clear_line(self, tmp_path: Path) -> None:
        arguments = ("serve", "--port", "0", "--site-port", "0", "--data-dir", tmp_path)
        with subprocess.Popen([FENCHEL, *arguments], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                assert_one_clear_line(fenchel(*arguments), str(tmp_path))
            finally:
                process.terminate()
                process.communicate(timeout=SECONDS_MAX)
        assert process.returncode == 0


def test_version() -> None:
    assert fenchel("version").stdout == f"{__version__}\n"


WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
# A kernel without Landlock, as seccomp can play it: call 444 does not exist.
program = b"".join(struct.pack("=HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7FFF0000)))
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, program)), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_sandbox_that_is_required_but_incomplete_is_one_clear_line(tmp_path: Path) -> None:
    serve = (FENCHEL, "serve", "--require-sandbox", "--port", "0", "--data-dir", tmp_path)
    done = subprocess.run(
        (sys.executable, "-c", WITHOUT_LANDLOCK, *map(str, serve)),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert_one_clear_line(done, "--require-sandbox", "Missing: Landlock")
