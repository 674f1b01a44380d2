"""The program's entry: arguments in, exit code out. Everything heavy is imported only when a command needs it."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code (product.md 3)."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments == ["--version"]:  # before anything is imported: it is asked often, by scripts
        from neonctl import __version__

        sys.stdout.write(f"neonctl {__version__}\n")
        return 0
    if argv is not None:
        from neonctl.cli.run import run

        return run(arguments)
    return _alone(arguments)


def _alone(arguments: list[str]) -> int:
    """The process is ours and short: what it imports stays until its end, so nothing looks there for garbage."""
    import gc
    import os

    gc.set_threshold(1_000_000)
    # pydantic would look through every installed package for one that wants a say in what the YAML means.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    try:
        from neonctl.cli.run import run

        return run(arguments)
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
