"""Runs FLA's own tests with our functions: pytest -p lmoec_fla.plugin --lmoec-only chunk --lmoec-packages out tests/ops/test_gla.py

FLA's tests judge some of its functions by others, so only one kind is replaced at a time. A test that passes without a call of ours says nothing and is skipped."""

from __future__ import annotations

import pytest

from . import CALLS, install, use


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lmoec")
    group.addoption("--lmoec-only", default="chunk", help="names or beginnings of names to replace, with commas between (default: chunk)")
    group.addoption("--lmoec-packages", default=None, help="the folder given to `lmoec build -o`")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--lmoec-packages") is not None:
        use(config.getoption("--lmoec-packages"))
    import fla.ops  # noqa: F401

    install(config.getoption("--lmoec-only").split(","))


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
