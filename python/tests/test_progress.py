"""The progress bar: when it is shown, what it says, and that it never stands in the way."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import subprocess
import sys
import types
from typing import Any

import pytest

from coldframe import progress as module
from coldframe.progress import Progress


class _Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class _Terminal(io.StringIO):
    """Standard error, if it were a terminal."""

    def isatty(self) -> bool:
        return True


class _Bar:
    """Stands for a bar of tqdm, and keeps what it is told."""

    made: list[_Bar] = []

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.disable = False
        self.start_t = 50.0
        self.n = 0
        self.postfix = ""
        self.drawn: list[tuple[int, str]] = []
        self.closed = 0
        _Bar.made.append(self)

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        assert refresh is False
        self.postfix = text

    def refresh(self) -> None:
        self.drawn.append((self.n, self.postfix))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[_Bar]:
    """The bars that are made, with a fake tqdm in place of the real one."""
    fake = types.ModuleType("tqdm.auto")
    fake.tqdm = _Bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm.auto", fake)
    monkeypatch.setattr(_Bar, "made", [])
    return _Bar.made


def _replace_stderr(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    # Only where the module looks: what a fixture puts into sys.stderr, pytest replaces before the test begins.
    monkeypatch.setattr(module, "sys", types.SimpleNamespace(stderr=stream, modules=sys.modules))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """Standard error is a terminal."""
    stream = _Terminal()
    _replace_stderr(monkeypatch, stream)
    return stream


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error is no terminal, and this is no notebook."""
    stream = io.StringIO()
    _replace_stderr(monkeypatch, stream)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    return stream


def _notebook(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    """As if `shell` were IPython's, in a process that has loaded ipykernel."""
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))


def test_nothing_is_shown_of_short_work(bars: list[_Bar], clock: _Clock, terminal: _Terminal) -> None:
    with Progress("put k", 10, clock=clock) as progress:
        for _ in range(5):
            progress(1, 1)
            clock.now += 0.5
    assert clock.now == 1_002.5 and bars == []


def test_after_two_seconds_a_terminal_shows_a_bar(bars: list[_Bar], clock: _Clock, terminal: _Terminal) -> None:
    progress = Progress("put k", 1_000, clock=clock)
    clock.now += 2.0
    progress(100, 1_000_000)
    assert bars == []
    clock.now += 0.5
    progress(250, 2_500_000)
    (bar,) = bars
    assert (bar.settings["desc"], bar.settings["total"], bar.settings["unit"]) == ("put k", 1_000, " rows")
    assert bar.drawn == [(250, "2.5 MB")]
    # The rate counts from when the work began, not from when the bar came.
    assert bar.start_t == 47.5
    clock.now += 1
    progress(1_000, 1_234_567_890)
    assert bar.drawn[1:] == [(1_000, "1,234.6 MB")] and bar.start_t == 47.5 and len(bars) == 1


def test_it_draws_ten_times_a_second_at_most(bars: list[_Bar], clock: _Clock, terminal: _Terminal) -> None:
    progress = Progress("scan k", None, clock=clock)
    clock.now += 3
    progress(1, 0)
    clock.now += 0.0625
    progress(2, 0)
    clock.now += 0.0625
    progress(3, 0)
    assert [rows for rows, _ in bars[0].drawn] == [1, 3]
    assert bars[0].settings["total"] is None


def test_a_pipe_shows_nothing(bars: list[_Bar], clock: _Clock, pipe: io.StringIO) -> None:
    progress = Progress("put k", 10, clock=clock)
    for _ in range(3):
        clock.now += 10
        progress(1, 1)
    assert bars == [] and pipe.getvalue() == ""


def test_without_standard_error_nothing_is_shown(
    bars: list[_Bar], clock: _Clock, pipe: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed, object()):
        _replace_stderr(monkeypatch, stream)
        progress = Progress("put k", 10, clock=clock)
        clock.now += 10
        progress(1, 1)
    assert bars == []


def test_a_notebook_shows_a_bar(
    bars: list[_Bar], clock: _Clock, pipe: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    _notebook(monkeypatch, types.SimpleNamespace(kernel=object()))
    progress = Progress("put k", 10, clock=clock)
    clock.now += 3
    progress(1, 1)
    assert len(bars) == 1


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace(), types.SimpleNamespace(kernel=None)])
def test_ipython_without_a_kernel_is_no_notebook(
    shell: object, bars: list[_Bar], clock: _Clock, pipe: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    _notebook(monkeypatch, shell)
    progress = Progress("put k", 10, clock=clock)
    clock.now += 3
    progress(1, 1)
    assert bars == []


def test_it_can_be_forced(bars: list[_Bar], clock: _Clock, pipe: io.StringIO) -> None:
    Progress("put k", 10, True, clock=clock)(1, 1)
    assert len(bars) == 1 and bars[0].drawn == [(1, "0.0 MB")]


def test_it_can_be_forbidden(bars: list[_Bar], clock: _Clock, terminal: _Terminal) -> None:
    progress = Progress("put k", 10, False, clock=clock)
    clock.now += 10
    progress(1, 1)
    assert bars == []


def test_it_closes_once_and_is_quiet_afterwards(bars: list[_Bar], clock: _Clock, terminal: _Terminal) -> None:
    with pytest.raises(KeyError), Progress("put k", 10, True, clock=clock) as progress:
        progress(1, 1)
        raise KeyError
    progress.close()
    clock.now += 10
    progress(2, 2)
    assert len(bars) == 1 and bars[0].closed == 1 and bars[0].drawn == [(1, "0.0 MB")]


def test_closing_without_a_bar_does_nothing(bars: list[_Bar], clock: _Clock) -> None:
    Progress("put k", 10, clock=clock).close()
    assert bars == []


def test_without_tqdm_nothing_is_shown(clock: _Clock, terminal: _Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    asked: list[str] = []
    imported = importlib.import_module

    def ask(name: str) -> types.ModuleType:
        asked.append(name)
        return imported(name)

    monkeypatch.setattr(importlib, "import_module", ask)
    progress = Progress("put k", 10, True, clock=clock)
    with contextlib.redirect_stderr(terminal):
        for _ in range(3):
            clock.now += 1
            progress(1, 1)
        progress.close()
    assert asked == ["tqdm.auto"] and terminal.getvalue() == ""


@pytest.mark.parametrize("failing", ["refresh", "set_postfix_str", "close"])
def test_a_bar_that_fails_does_not_fail_the_work(
    failing: str, bars: list[_Bar], clock: _Clock, terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []

    def fail(*_: object, **__: object) -> None:
        failures.append(failing)
        raise BrokenPipeError

    monkeypatch.setattr(_Bar, failing, fail)
    with Progress("put k", 10, True, clock=clock) as progress:
        for _ in range(3):
            clock.now += 1
            progress(1, 1)
    assert failures == [failing]


def test_an_interrupt_goes_through(
    bars: list[_Bar], clock: _Clock, terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: _Bar) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_Bar, "refresh", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Progress("put k", 10, True, clock=clock)(1, 1)


def test_a_bar_that_tqdm_has_switched_off_is_left_alone(
    bars: list[_Bar], clock: _Clock, terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _Bar.__init__

    def switched_off(bar: _Bar, **settings: Any) -> None:
        made(bar, **settings)
        bar.disable = True

    monkeypatch.setattr(_Bar, "__init__", switched_off)
    progress = Progress("put k", 10, True, clock=clock)
    progress(1, 1)
    clock.now += 1
    progress(2, 2)
    assert len(bars) == 1 and bars[0].drawn == []


def test_with_the_real_tqdm(clock: _Clock, terminal: _Terminal) -> None:
    pytest.importorskip("tqdm")
    with contextlib.redirect_stderr(terminal), Progress("put etl/trips", 2_000, clock=clock) as progress:
        clock.now += 3
        progress(500, 1_500_000)
        clock.now += 1
        progress(1_000, 3_000_000)
        drawn = terminal.getvalue()
    assert "put etl/trips:" in drawn and "25%" in drawn and "50%" in drawn
    assert "1.00k/2.00k" in drawn and "3.0 MB" in drawn


def test_real_tqdm_switched_off_by_its_environment() -> None:
    pytest.importorskip("tqdm")
    # tqdm reads its environment when it is imported, so it takes another process.
    code = "from coldframe.progress import Progress\nwith Progress('k', 1, True) as progress: progress(1, 1)"
    environment = {**os.environ, "TQDM_DISABLE": "1"}
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_importing_loads_neither_tqdm_nor_ipython() -> None:
    code = "import sys, coldframe.progress; print('tqdm' in sys.modules, 'IPython' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["False", "False"]
