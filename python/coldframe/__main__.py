"""``python -m coldframe``: the command."""

from coldframe.command import main

if __name__ == "__main__":
    main()
