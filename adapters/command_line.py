"""What the commands for people share: one line for a mistake, an exit status, and no traceback for what a person can mend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import click
import msgspec
import orjson

from adapters.asterisk.config import load as load_pbxes
from adapters.embedded_postgres import EmbeddedPostgresError
from adapters.environment import BadEnvironment, Environment
from adapters.postgres.migrations import MigrationError
from adapters.vault import WrongKey
from core.errors import StoreUnavailable


def complain(line: str) -> None:
    """Tell a person something that is not the answer: it goes to standard error."""
    click.echo(line, err=True)


def fail(line: str, status: int = 1) -> NoReturn:
    """End with one line on standard error."""
    complain(line)
    raise SystemExit(status)


def environment() -> Environment:
    """The environment, or one line and exit status 2 for a value that cannot be understood."""
    try:
        return Environment.from_env(os.environ)
    except BadEnvironment as error:
        fail(str(error), 2)


def ready_environment() -> Environment:
    """The same for whatever starts the service: the file of PBXes is understood too."""
    env = environment()
    try:
        load_pbxes(env.pbx_file)
    except BadEnvironment as error:
        fail(str(error), 2)
    return env


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop, at half the processor time for each read and write; where there is none, asyncio's own."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


async def until_told(work: Coroutine[Any, Any, int]) -> int:
    """The work, or its orderly end on SIGTERM, or when its terminal is closed: given up as by Ctrl-C, so that it ends what it
    started. Returns its exit status."""
    task, told = asyncio.ensure_future(work), 0

    def tell(number: signal.Signals) -> None:
        nonlocal told
        if not told:  # a terminal that is closed may say so twice, and the orderly end is not to be given up
            told = number
            task.cancel()

    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows
        loop.add_signal_handler(signal.SIGTERM, tell, signal.SIGTERM)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # whom nohup started outlives his terminal
            loop.add_signal_handler(signal.SIGHUP, tell, signal.SIGHUP)
    try:
        return await task
    except asyncio.CancelledError:
        if told:
            return 128 + told
        raise


def in_one_line(error: OSError) -> str:
    """What the system refused, and of which file. Whoever waited in vain may have been told nothing but that."""
    return f"{error.strerror or str(error) or type(error).__name__}{f': {error.filename}' if error.filename else ''}"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a command to its end. What a person can do something about is one line; a bug keeps its traceback in the log."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)
    except BadEnvironment as error:
        fail(str(error), 2)
    except (msgspec.ValidationError, orjson.JSONDecodeError):
        raise  # ValueErrors that are bugs: the last resort tells them
    except (EmbeddedPostgresError, MigrationError, WrongKey, StoreUnavailable, ValueError) as error:
        fail(": ".join(str(part) for part in error.args))
    except BrokenPipeError:
        raise  # whoever reads has read enough: click ends in silence
    except OSError as error:
        fail(in_one_line(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
