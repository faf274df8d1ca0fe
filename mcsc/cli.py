"""The command line `mcsc`."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from ._version import __version__
from .commands.demo import demo
from .commands.evaluate import evaluate
from .commands.fuse import fuse
from .commands.info import info
from .commands.learn import learn
from .commands.restore import restore
from .commands.solve import solve
from .errors import InvalidTypeError, MissingExtraError, Refusal, is_ours
from .lazy import cached_property

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["cli", "main"]

PLUGINS = "mcsc.commands"
_GROUPS = (
    PLUGINS, "mcsc.baselines", "mcsc.measures", "mcsc.methods", "mcsc.rules", "mcsc.solvers",
    "mcsc.tasks",
)  # fmt: skip
"""Groups of entry points by which other packages add to this one."""

# Matplotlib tells of the folders that it cannot write to, which is no concern of the user.
logging.getLogger("matplotlib").addHandler(logging.NullHandler())

# What cannot be done, and what the system says of files and memory. All else is a bug.
_REFUSALS = (Refusal, OSError, MemoryError)


class _OneLine(click.ClickException):
    """A refusal: one line and status 2."""

    exit_code = 2


class _Commands(click.Group):
    """Commands of this package and, looked up when they are needed, of others.

    Another package adds a `click.Command` by an entry point of group ``mcsc.commands``.
    """

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points

        return {entry.name: entry for entry in entry_points(group=PLUGINS)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands in the order of a first use, then those of plugins."""
        return [*self.commands, *sorted(set(self._plugins) - set(self.commands))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None; a plugin that cannot be loaded costs a warning.

        This is what --help asks for: one broken package must not take it away.
        """
        try:
            return self._find(ctx, cmd_name)
        except Exception as error:  # whatever somebody else's module raises
            _say(f"warning: the command {cmd_name!r} cannot be loaded: {_line(error)}")
            return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command to run; a plugin that cannot be loaded fails as it fails."""
        command = self._find(ctx, args[0])
        if command is not None:
            _refuse_empty(args)
        return (
            super().resolve_command(ctx, args) if command is None else (args[0], command, args[1:])
        )

    def _find(self, ctx: click.Context, name: str) -> click.Command | None:
        command = super().get_command(ctx, name)
        if command is not None or name not in self._plugins:
            return command
        entry = self._plugins[name]
        package = entry.dist.name if entry.dist else entry.module.partition(".")[0]
        try:
            loaded = entry.load()
        except Refusal:
            raise
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the command {name!r} of the package {package} needs {error.name}, which is not "
                "installed"
            ) from error
        if not isinstance(loaded, click.Command):
            raise InvalidTypeError(
                f"the command {name!r} of the package {package}, {entry.value}, is not a command "
                "of click"
            )
        return loaded

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; refusals and warnings become one line each."""
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # the reader has left; click knows what to do
                raise
            except (click.ClickException, click.exceptions.Exit, click.Abort):
                raise
            except _REFUSALS as error:
                if ctx.params["debug"]:
                    traceback.print_exc()
                raise _OneLine(_line(error)) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and exit with its status."""
        run = functools.partial(
            super().main,
            args,
            prog_name or "mcsc",
            complete_var,
            standalone_mode=False,
            windows_expand_args=windows_expand_args,
            **extra,
        )
        if not standalone_mode:
            return run()
        status: Any
        try:
            with _any_text(), _terminable():
                status = run()
        except click.UsageError as error:
            _say(f"error: {error.format_message()}")
            path = "mcsc" if error.ctx is None else error.ctx.command_path
            click.echo(f"Try '{path} --help'.", err=True)
            status = error.exit_code
        except click.ClickException as error:
            _say(f"error: {error.format_message()}")
            status = error.exit_code
        except click.Abort:
            _say("interrupted")
            status = 130
        except _REFUSALS as error:  # of the help, which is no command
            _say(f"error: {_line(error)}")
            status = 2
        except Exception as error:
            traceback.print_exc()
            other = _package_at_fault(error)
            place = f"in the package {other}, which is not of mcsc" if other else "in the program"
            _say(
                f"error: this is a mistake {place}. Please report it{' there' if other else ''} "
                "with the lines above, the command that you gave, and what 'mcsc info' says."
            )
            status = 1
        full = _flush()
        if full is not None and not status:
            _say(f"error: standard output: {full}")
            status = 2
        sys.exit(status if isinstance(status, int) else 0)


def _package_at_fault(error: Exception) -> str | None:
    """Return the package that adds to mcsc in whose code an error arose; None: in our own."""
    from importlib.metadata import entry_points

    packages = {
        entry.module.partition(".")[0]: entry.dist.name if entry.dist else None
        for group in _GROUPS
        for entry in entry_points(group=group)
    }
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        root = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if is_ours(frame):
            return None
        if root in packages:
            return packages[root] or root
    return None


@click.group(
    "mcsc",
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="mcsc")
@click.option("--debug", is_flag=True, help="Show where in the program a refusal comes from.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Take registered images of one scene apart into what they share and what each has alone.

    The decomposition is the exact solution of multi-modal convolutional sparse coding, with a
    certificate: a bound on its distance to the optimum.

    \b
    mcsc demo                          a real decomposition, in seconds
    mcsc solve depth.png photo.png     your own images
    mcsc restore, mcsc fuse            one better image from two
    mcsc learn, mcsc evaluate          filters of your own; tables of methods
    """  # noqa: D301  (click wants the backspace itself)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


cli.add_command(demo)
cli.add_command(solve)
cli.add_command(restore)
cli.add_command(fuse)
cli.add_command(learn)
cli.add_command(evaluate)
cli.add_command(info)


def main(args: Sequence[str] | None = None) -> None:
    """Run `mcsc` and exit: 0 done, 1 not converged or a bug, 2 refused, 130 interrupted."""
    cli.main(args)


def _refuse_empty(args: Sequence[str]) -> None:
    """Refuse an empty word, as of an unset variable of the shell.

    As a file it would stand for the folder that one is in, and as names for all of them.
    """
    options = args[: args.index("--")] if "--" in args else args
    for before, word in itertools.pairwise(args):
        named = word.startswith("--") and word.endswith("=") and word in options
        if word and not named:
            continue
        after = f"the word after {before}" if before[:1] == "-" != before[1:] else "an argument"
        raise click.UsageError(
            f"{word[:-1] if named else after} is empty: want something there, or leave it out"
        )


def _say(message: str) -> None:
    click.echo(f"mcsc: {message}", err=True)


def _line(error: BaseException) -> str:
    """What an error says, in one line."""
    full = _of_output(error)
    if full is not None:
        _flush()
        return f"standard output: {full}"
    if isinstance(error, OSError) and error.strerror:
        name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return f"{name}{error.strerror}"
    if type(error) is MemoryError:
        return " ".join(["there is too little memory.", *str(error).split()])
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _any_text() -> Iterator[None]:
    """Let the terminal escape what it cannot show, as names of files, instead of failing."""
    stream = sys.stdout
    errors = getattr(stream, "errors", None)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if isinstance(stream, io.TextIOWrapper) and not stream.closed:
            stream.reconfigure(errors=errors)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM, as of a batch system, as Ctrl-C: what is done is kept.

    Not by way of SIGINT, which is ignored in what a script starts in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous is not signal.SIG_DFL:  # somebody else's affair
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _of_output(error: BaseException) -> str | None:
    """Why standard output cannot be written to, if that is the error; files are named by theirs."""
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    frames = traceback.walk_tb(error.__traceback__)
    echoed = any(frame.f_code is click.echo.__code__ for frame, _ in frames)
    return str(error.strerror) if echoed else None


def _flush() -> str | None:
    """Notice now that standard output is full, and say so: at the interpreter's end it is late."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would fail again, with a traceback.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        return str(error.strerror)
    return None


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    _say("warning: " + " ".join(str(message).split()))


if __name__ == "__main__":
    main()
