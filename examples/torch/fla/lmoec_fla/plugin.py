"""Runs FLA's own tests with our functions: pytest -p lmoec_fla.plugin --lmoec-only chunk --lmoec-packages out tests/ops/test_gla.py

FLA's tests judge some of its functions by others, so only one kind is replaced at a time. A test that passes without a call of ours says nothing and is skipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import CALLS, install, use


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lmoec")
    group.addoption("--lmoec-only", default="chunk", help="names or beginnings of names to replace, with commas between (default: chunk)")
    group.addoption("--lmoec-packages", default=None, help="the folder given to `lmoec build -o`")
    group.addoption("--lmoec-report", default=None, help="a file for what becomes of each test, a line of JSON when it ends")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--lmoec-packages") is not None:
        use(config.getoption("--lmoec-packages"))
    import fla.ops  # noqa: F401

    install(config.getoption("--lmoec-only").split(","))
    if config.getoption("--lmoec-report") is not None:
        config.pluginmanager.register(Report(Path(config.getoption("--lmoec-report"))))


class Report:
    """Written as tests end: a process that is killed leaves what it has."""

    def __init__(self, path: Path):
        self.path = path
        path.write_text("")

    def say(self, **what: object) -> None:
        with self.path.open("a") as file:
            print(json.dumps(what), file=file)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.say(tests=len(session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.say(test=report.nodeid, outcome="failed", why=why(report), seconds=0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Of its three parts a test's own counts, and of the others what goes wrong.
        if report.when == "call" or report.outcome != "passed":
            self.say(test=report.nodeid.split("::", 1)[-1], outcome=report.outcome, why=why(report), seconds=round(report.duration, 2))


def why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """One line."""
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return "" if report.passed else (crash.message if crash is not None else str(report.longrepr)).strip().split("\n")[0]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):
    before = CALLS.total()
    try:
        result = yield
    except NotImplementedError as error:
        pytest.skip(f"lmoec_fla: {error}")
    if CALLS.total() == before:
        pytest.skip("lmoec_fla: no function of ours was called")
    return result


def pytest_terminal_summary(terminalreporter) -> None:
    terminalreporter.write_line("lmoec_fla: calls " + (", ".join(f"{name} {count}" for name, count in sorted(CALLS.items())) or "none"))
