"""The command-line interface. Parsing the arguments does not import TensorFlow."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Optional

from tfrobust.cli.commands import COMMANDS
from tfrobust.version import __version__

#: Lines of a table in an error message.
_MOST_LINES = 8


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, without the usage message.
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs a command.

    Args:
        argv: Arguments without the program name. Default: `sys.argv[1:]`.

    Returns:
        Exit code: 0, 2 for an invalid name or value, 130 if interrupted.
    """
    arguments = parser().parse_args(argv)
    # Set before TensorFlow is imported: without a GPU its C++ code logs spurious errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if getattr(arguments, "resume", False) and not os.path.isdir(arguments.out):
            raise FileNotFoundError(
                f"there is no run to resume in {arguments.out}; give its folder with --out, or "
                "omit --resume to start one"
            )
        command = COMMANDS[arguments.command]
        command.run(*(settings_of(kind, arguments) for kind in command.takes))
    except KeyboardInterrupt:
        print("\ntfrobust: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the output pipe was closed: tfrobust ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, TypeError, OSError) as error:
        if arguments.traceback:
            raise
        message, *table = str(error).split("\n  ")
        message = textwrap.shorten(message, 400, placeholder=" ... (more with --traceback)")
        lines = [f"  {textwrap.shorten(line, 98)}" for line in table[:_MOST_LINES]]
        print(f"tfrobust {arguments.command}: error: {message}", *lines, sep="\n", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser for all commands."""
    root = _Parser(prog="tfrobust", description="Robust image classifiers in Keras.")
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.text, description=command.text)
        sub.add_argument(
            "--traceback", action="store_true", help="show the full traceback of an error"
        )
        for kind in command.takes:
            for field in dataclasses.fields(kind):
                _add_option(sub, field)
    return root


def _add_option(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    """Adds an argument for a field that `settings.option` made."""
    flag = field.metadata["flag"] or f"--{field.name.replace('_', '-')}"
    kind, text = dict(field.metadata["kind"]), field.metadata["help"]
    if "type" in kind:
        kind["type"] = _in_one_sentence(kind["type"])
    if flag.startswith("--"):
        kind["dest"] = field.name
    if field.default is dataclasses.MISSING:  # a mapping
        kind.update(action="append", metavar="NAME=VALUE")
    if isinstance(field.default, tuple) and "action" not in kind:
        kind = {"nargs": "+", **({} if "choices" in kind else {"metavar": "NAME"}), **kind}
    if field.default is False:
        kind["action"] = "store_true"
    elif kind.get("action") == "append":
        kind["default"], text = [], f"{text}; repeatable"
    else:
        kind["default"] = field.default
        if field.default is not None and field.default not in ("", ()):
            shown = field.default if isinstance(field.default, tuple) else (field.default,)
            text += f"; default: {' '.join(map(str, shown))}"
    parser.add_argument(flag, help=text, **kind)


def _in_one_sentence(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same, with errors whose messages argparse shows."""

    def typed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def settings_of(kind: type, arguments: argparse.Namespace) -> Any:
    """The parsed arguments as an object of a dataclass."""
    given = {}
    for field in dataclasses.fields(kind):
        value = getattr(arguments, field.name)
        if field.default is dataclasses.MISSING:
            value = dict(value)
        given[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)
