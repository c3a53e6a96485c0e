"""``python -m local``: the commands behind the Makefile."""

import argparse
import sys

from local import LocalError
from local.commands import clean, execute, reset
from local.run import run


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error that the user can fix is one sentence and exit code 1, not a traceback."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start everything, until Ctrl-C")
    commands.add_parser("reset", help="drop the embedded database and load a fresh demo for today")
    commands.add_parser("clean", help="stop everything and remove the data folder")
    exec_parser = commands.add_parser("exec", help="run a command with the database and secrets from the data folder")
    exec_parser.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="COMMAND", help="after --, such as: -- manage.py shell"
    )
    options = parser.parse_args(arguments)
    try:
        if options.command == "exec":
            words = options.words[options.words[:1] == ["--"] :]
            return execute(words) if words else exec_parser.error("exec needs a COMMAND")
        if options.command == "reset":
            return reset()
        run() if options.command == "run" else clean()
    except (LocalError, OSError) as error:  # an OSError names the file it is about
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before our signal handlers were installed: nothing had been started
    return 0


sys.exit(main())
