"""A progress bar for long work, where somebody is watching."""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

_PATIENCE = 2.0
"""Seconds: work that is done sooner needs no bar."""
_REDRAW = 0.1
"""Seconds between two drawings."""


class Progress:
    """Shows how far a put or a scan is: rows, and the bytes that are stored or read.

    Nothing is shown before the work has taken two seconds, nor where nobody watches (standard error is no terminal, and
    this is no notebook), nor where tqdm is not installed. The bar goes away when the work is done.

    It is to be called from one thread only. It raises nothing: work does not fail because its bar cannot be drawn.

    Args:
        description: What is done, such as ``put etl/trips``.
        total_rows: How many rows there are in all; None if nobody knows.
        enabled: True shows the bar at once and wherever standard error goes, False never; None decides as above.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        description: str,
        total_rows: int | None,
        enabled: bool | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._description = description
        self._total_rows = total_rows
        self._forced = enabled is True
        self._over = enabled is False
        self._clock = clock
        self._began = clock()
        self._drawn_at: float | None = None
        self._bar: Any = None

    def __call__(self, rows: int, stored_bytes: int) -> None:
        """Tells how far the work is: all rows and all bytes since it began."""
        if self._over:
            return
        now = self._clock()
        if self._bar is None and not self._forced and now - self._began <= _PATIENCE:
            return
        if self._drawn_at is not None and now - self._drawn_at < _REDRAW:
            return
        self._drawn_at = now
        try:
            self._draw(rows, stored_bytes, now - self._began)
        # tqdm, widgets and a stream that was closed meanwhile raise whatever they like.
        except Exception:
            self.close()

    def _draw(self, rows: int, stored_bytes: int, elapsed: float) -> None:
        if self._bar is None:
            if not self._forced and not _is_watched():
                self._over = True
                return
            self._bar = _new_bar(self._description, self._total_rows)
            if self._bar is None or self._bar.disable:
                self.close()
                return
            # The bar comes late, and the rate is that of the whole work.
            self._bar.start_t -= elapsed
        self._bar.n = rows
        self._bar.set_postfix_str(f"{stored_bytes / 1e6:,.1f} MB", refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        """Takes the bar away. What is told afterwards is not shown."""
        self._over = True
        bar, self._bar = self._bar, None
        if bar is None:
            return
        try:
            bar.close()
        except Exception:
            # It could not be drawn, so there is nothing to take away.
            return

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _is_watched() -> bool:
    """Whether standard error is a terminal, or the kernel of a notebook runs this."""
    try:
        # Without a console, Python has no standard error at all.
        terminal = sys.stderr is not None and sys.stderr.isatty()
    except (AttributeError, OSError, ValueError):
        terminal = False
    return terminal or _in_notebook()


def _in_notebook() -> bool:
    # Looked up and not imported: where neither is loaded, this is no notebook.
    ipython = sys.modules.get("IPython")
    if "ipykernel" not in sys.modules or ipython is None:
        return False
    get_ipython = getattr(ipython, "get_ipython", None)
    shell = get_ipython() if callable(get_ipython) else None
    return getattr(shell, "kernel", None) is not None


def _new_bar(description: str, total_rows: int | None) -> Any:
    """A bar of tqdm, in a notebook one of its widgets; None where tqdm is not installed."""
    try:
        with warnings.catch_warnings():
            # In a notebook without ipywidgets, tqdm warns and draws text, which is what we want.
            warnings.simplefilter("ignore")
            tqdm = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return None
    return tqdm(total=total_rows, desc=description, unit=" rows", unit_scale=True, leave=False)
