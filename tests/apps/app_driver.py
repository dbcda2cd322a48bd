"""Carries out a case: the app's folder, the official CLI, the calls, and what is compared."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from tests.apps.app_case import (
    CASES,
    Advance,
    AppCase,
    Call,
    Cli,
    Edit,
    File,
    HttpCall,
    Step,
    read_case,
)
from tests.end_to_end.fenchel_server import ConvexApp

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from fenchel.testing import ServedBackend
    from tests.apps.identity_provider import IdentityProvider

_HTTP_SECONDS_MAX = 60.0


@dataclass(slots=True, kw_only=True)
class AppDriver:
    """One backend, to which the cases of one thread are deployed after each other.

    `variables` are the environment variables that the last case left behind.
    """

    backend: ServedBackend
    provider: IdentityProvider
    folder: Path
    variables: set[str] = field(default_factory=set)

    def run(self, name: str) -> None:
        """Deploy the case and take its steps. Raises: AssertionError with what was different."""
        case = read_case(name, self.provider.places)
        app = self._copy(name, case)
        self.backend.reset()
        self._set_variables(case.environment)
        self._push(app, case)
        if not case.push.fails:
            # What the push replaced, and would still be there, may need its variables.
            self._forget_variables(case.environment.keys())
        for number, step in enumerate(case.steps, 1):
            try:
                self._take(app, step)
            except AssertionError as error:
                raise AssertionError(f"{name}, step {number}, {step}:\n{error}") from error

    def _copy(self, name: str, case: AppCase) -> ConvexApp:
        folder = self.folder / name
        shutil.copytree(CASES / name, folder)
        (folder / "node_modules").symlink_to(CASES.parent / "node_modules")
        if not (folder / "package.json").exists():
            shutil.copy(CASES.parent / "package.json", folder)
        for file, size in case.padding.items():
            with (folder / file).open("a") as opened:
                opened.write(f'export const padding = "{"x" * size}";\n')
        return ConvexApp(folder=folder, url=self.backend.url, admin_key=self.backend.admin_key)

    def _push(self, app: ConvexApp, case: AppCase) -> None:
        before = self._deployed_code()
        done = app.convex("deploy", *case.push.options)
        printed = done.stdout + done.stderr
        assert done.returncode == int(case.push.fails), printed
        assert "Retrying" not in printed, printed
        assert "Unexpected Error" not in printed, printed
        _check_text(printed, case.push.shows, case.push.hides)
        if case.push.fails:
            assert self._deployed_code() == before, "a push that failed changed the code"

    def _take(self, app: ConvexApp, step: Step) -> None:
        match step:
            case Call():
                self._call(step)
            case HttpCall():
                self._call_http(step)
            case Advance():
                self.backend.advance_clock(step.seconds)
            case Cli():
                _check_cli(app.convex(*step.arguments), step)
            case Edit():
                _edit(app.folder / step.file, step)
            case File():
                _check_text((app.folder / step.file).read_text(), step.shows, step.hides)
            case _:
                assert_never(step)

    def _call(self, step: Call) -> None:
        body = {"path": step.path, "format": "convex_encoded_json", "args": step.args}
        if step.component is not None:
            body["componentPath"] = step.component
        headers = {"Convex-Client": "npm-1.48.0"}
        if step.token is not None:
            headers["Authorization"] = f"Bearer {self.provider.sign(step.token)}"
        elif step.kind == "function":
            headers["Authorization"] = f"Convex {self.backend.admin_key}"
        _, text = self._post(f"/api/{step.kind}", body, headers)
        answer = json.loads(text)
        if step.fails is not None:
            assert step.fails in answer.get("errorMessage", answer.get("message", "")), text
        else:
            assert answer.get("status") == "success", text
            assert step.gives is msgspec.UNSET or answer["value"] == step.gives, text
        if step.logs is not None:
            assert tuple(answer["logLines"]) == step.logs, text

    def _call_http(self, step: HttpCall) -> None:
        request = urllib.request.Request(
            f"{self.backend.url}/http{step.path}",
            data=None if step.body is None else step.body.encode(),
            headers=step.headers,
            method=step.method,
        )
        status, text, headers = _open(request)
        assert status == step.status, text
        assert step.gives is None or text == step.gives, text
        _check_text(text, step.shows, step.hides)
        for name, value in step.has_headers.items():
            assert headers.get(name) == value, headers

    def _set_variables(self, values: dict[str, str]) -> None:
        changes = [{"name": name, "value": value} for name, value in values.items()]
        self._change_variables(changes)
        self.variables |= values.keys()

    def _forget_variables(self, kept: Any) -> None:
        """Those of the case before: only now, because its auth config may have needed them."""
        self._change_variables([{"name": name, "value": None} for name in self.variables - kept])
        self.variables = set(kept)

    def _change_variables(self, changes: list[dict[str, Any]]) -> None:
        if changes:
            headers = {"Authorization": f"Convex {self.backend.admin_key}"}
            path = "/api/update_environment_variables"
            status, text = self._post(path, {"changes": changes}, headers)
            assert status == 200, text

    def _deployed_code(self) -> str:
        body = {"version": "1.48.0", "adminKey": self.backend.admin_key}
        return self._post("/api/get_config_hashes", body, {})[1]

    def _post(self, path: str, body: Any, headers: dict[str, str]) -> tuple[int, str]:
        request = urllib.request.Request(
            self.backend.url + path,
            data=json.dumps(body).encode(),
            headers=headers | {"Content-Type": "application/json"},
        )
        status, text, _ = _open(request)
        return status, text


def _open(request: urllib.request.Request) -> tuple[int, str, dict[str, str]]:
    try:
        with urllib.request.urlopen(request, timeout=_HTTP_SECONDS_MAX) as response:
            return response.status, response.read().decode(), dict(response.headers.items())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers.items())


def _check_cli(done: CompletedProcess[str], step: Cli) -> None:
    printed = done.stdout + done.stderr
    assert done.returncode == step.exit_code, printed
    _check_text(printed, step.shows, step.hides)
    if step.gives is not msgspec.UNSET:
        assert json.loads(done.stdout) == step.gives, printed


def _check_text(text: str, shows: tuple[str, ...], hides: tuple[str, ...]) -> None:
    for part in shows:
        assert part in text, f"{part!r} is not in:\n{text}"
    for part in hides:
        assert part not in text, f"{part!r} is in:\n{text}"


def _edit(path: Path, step: Edit) -> None:
    text = path.read_text()
    assert step.old in text, f"{step.old!r} is not in {step.file}"
    path.write_text(text.replace(step.old, step.new))
