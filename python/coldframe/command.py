"""The ``coldframe`` command, the same as the one that Rust builds."""

from __future__ import annotations

import sys

from coldframe import _coldframe


def main() -> None:
    """Runs the command with the arguments of this process, and ends it with its exit code."""
    sys.exit(_coldframe.run_command(sys.argv))
