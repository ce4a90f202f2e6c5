"""The command-line interface. Parsing the arguments does not import TensorFlow."""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import re
import sys
import tempfile
import textwrap
import traceback
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Optional

from tfrobust.cli.commands import COMMANDS
from tfrobust.options import flag_of
from tfrobust.validation import nearest
from tfrobust.version import __version__

#: Lines of a table in an error message.
_MOST_LINES = 8


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, without the usage message.
        wrong = re.search(r"invalid choice: '?(.*?)'? \(choose from (.*)\)$", message)
        if wrong:
            hint = nearest(wrong[1], re.findall(r"[^', ]+", wrong[2]))
            message = message.replace(" (choose from", f"{hint} (choose from", 1)
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs a command.

    Args:
        argv: Arguments without the program name. Default: `sys.argv[1:]`.

    Returns:
        Exit code: 0; 2 for what the user can mend: an invalid name, value, file or folder; 1 for
        what nobody expected, whose traceback is in a file; 130 if interrupted.
    """
    arguments = parser().parse_args(argv)
    # Set before TensorFlow is imported: without a GPU its C++ code logs spurious errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if isinstance(sys.stdout, io.TextIOWrapper):  # whatever the locale can show
        sys.stdout.reconfigure(errors="backslashreplace")
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
    except Exception as error:
        if arguments.traceback:
            raise
        message, *table = _message(error).split("\n  ")
        hint = re.search(r" \(did you mean [^?]*\?\)$|$", message)
        more = " ... (more with --traceback)" + (hint[0] if hint else "")
        message = textwrap.shorten(message, 400, placeholder=more)
        lines = [f"\n  {textwrap.shorten(line, 98)}" for line in table[:_MOST_LINES]]
        if _can_be_mended(error):
            _print_error(f"tfrobust {arguments.command}: error: {message}{''.join(lines)}")
            return 2
        with tempfile.NamedTemporaryFile(
            "w", prefix="tfrobust-", suffix=".txt", delete=False, errors="replace"
        ) as log:
            traceback.print_exc(file=log)
        _print_error(
            f"tfrobust {arguments.command}: unexpected {type(error).__name__}: {message} (the "
            f"traceback is in {log.name}; please report it)"
        )
        return 1
    return 0


#: Errors of TensorFlow that come from data and machines, not from the code.
_TENSORFLOW_ERRORS = {
    *("DataLossError", "FailedPreconditionError", "InvalidArgumentError", "NotFoundError"),
    *("OutOfRangeError", "PermissionDeniedError", "ResourceExhaustedError", "UnavailableError"),
}


def _can_be_mended(error: Exception) -> bool:
    """Whether the user's input or machine is the cause, whichever library raised the error."""
    kind = type(error)
    if kind.__module__.startswith("tensorflow."):
        return kind.__name__ in _TENSORFLOW_ERRORS
    known = (ValueError, TypeError, OSError, FloatingPointError, MemoryError, zipfile.BadZipFile)
    return isinstance(error, known)


def _message(error: Exception) -> str:
    """What happened; of TensorFlow's errors the sentence, without the nodes of the graph."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    if type(error).__module__.startswith("tensorflow."):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        skipped = ("Detected at node", "File ", "Node:", "Graph execution error", "[[", "<stack")
        told = [line for line in lines if not line.startswith(skipped)]
        text = (told or lines or [text])[0]
        asserted = re.search(r"assertion failed: \[(.*)\]", text)
        text = re.sub(r"\{\{[^}]*\}\} ?|\[\[[^\]]*\]\] ?", "", asserted[1] if asserted else text)
        text = text.replace("\\'", "'")
    return text


def _print_error(text: str) -> None:
    """Prints a line on standard error, whatever its encoding can show."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


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
    flag = flag_of(field)
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
