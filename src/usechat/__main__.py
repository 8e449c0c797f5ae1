"""``python -m usechat``, and the ``usechat`` command."""

from __future__ import annotations

import sys

from usechat.errors import ConfigurationError
from usechat.extras import Extra, needing

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say which packages it needs."""
    try:
        with needing(*needed(sys.argv[1:])):
            from usechat.cli import main as run
    except ConfigurationError as error:
        # The same text and exit code as the command line has for a wrong configuration.
        print(f"usechat: {error}", file=sys.stderr)  # noqa: T201 - the command's own output
        sys.exit(2)
    run()


def needed(arguments: list[str]) -> list[Extra]:
    """Return the extras that bring what a command needs."""
    return ["doctor"] if arguments[:1] == ["doctor"] else ["server"]


if __name__ == "__main__":
    main()
