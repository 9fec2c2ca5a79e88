"""``python -m coldframe``: the command."""

from coldframe.command import main

main()
