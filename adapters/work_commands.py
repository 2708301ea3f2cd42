"""Commands that look at the service's work and put it right: parked calls, retries, read models, the doctor.

How the parts are opened on the database is not known here: ``server.py`` brings it along (``Opened``, the context's object).
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click
import msgspec
import orjson

from adapters.call_search import must_be_known, no_such_call, resolve
from adapters.command_line import complain, environment, fail, run
from adapters.counted import counted
from adapters.environment import Environment
from adapters.later import later
from adapters.parked import MAX_SHOWN, Ordered, Parked, in_words
from adapters.postgres.rebuild import rebuild
from adapters.service import Service

if TYPE_CHECKING:
    from adapters import doctor
else:
    doctor = later("adapters.doctor")

Opened = Callable[[Environment], AbstractAsyncContextManager[Service]]
"""The parts on a migrated database, for as long as the block runs; nothing of them works."""


@click.command("parked")
@click.argument("enterprise", required=False)
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, MAX_SHOWN), help="So many calls, the latest.")
@click.pass_obj
def parked_command(opened: Opened, enterprise: str | None, as_json: bool, limit: int) -> None:
    """List calls that need a person (of one ENTERPRISE): what MoySklad refused, since when, what helps."""
    env = environment()

    async def work() -> Parked:
        async with opened(env) as service:
            if enterprise is not None:
                await must_be_known(service.pool, enterprise)
            return await service.parked.listing(enterprise, limit)

    found: Parked = run(work())
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(found), option=orjson.OPT_INDENT_2).decode())
        return
    for line in in_words(found, ZoneInfo(env.timezone)):
        click.echo(line)


@click.command("retry")
@click.argument("enterprise", required=False)
@click.argument("call", required=False)
@click.option("--all", "everybody", is_flag=True, help="For every enterprise.")
@click.option("--reason", default="", help="Why now; it is kept with the call.")
@click.pass_obj
def retry_command(opened: Opened, enterprise: str | None, call: str | None, everybody: bool, reason: str) -> None:
    """Ask MoySklad again for what is parked: one CALL, or everything of an ENTERPRISE. The running service does it."""
    if everybody == bool(enterprise):
        fail("say which enterprise, or --all", 2)
    env, by = environment(), f"{_who()} (ms.sh)"

    async def work() -> None:
        async with opened(env) as service:
            if enterprise:
                await must_be_known(service.pool, enterprise)
            if call is not None and enterprise is not None:
                click.echo(await _retry_call(service, enterprise, call, by, reason))
                return
            wanted = [enterprise] if enterprise else sorted(await service.parked.counts())
            if not wanted:
                click.echo("nothing is parked")
            for each in wanted:
                ordered, count = await service.parked.retry_enterprise(each, by=by, reason=reason)
                told = "nothing is parked" if ordered is Ordered.NOT_PARKED else f"{ordered}, {counted(count, 'call')}"
                click.echo(f"{each}: {told}")

    run(work())


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return f"uid {os.getuid()}"


async def _retry_call(service: Service, enterprise: str, name: str, by: str, reason: str) -> str:
    call = await resolve(service.pool, enterprise, name, service.options.zone)
    if call is None:
        fail(await no_such_call(service.pool, enterprise, name))
    return f"{enterprise} {call}: {await service.parked.retry_call(enterprise, call, by=by, reason=reason)}"


@click.command("rebuild")
@click.argument("names", nargs=-1)
@click.pass_obj
def rebuild_command(opened: Opened, names: tuple[str, ...]) -> None:
    """Derive the read models again from the events (all, or the NAMES given)."""
    env = environment()

    async def work() -> None:
        async with opened(env) as service:
            known = service.runner.rebuildable()
            for name in names:
                if name not in known:
                    fail(f"there is no read model {name}; there are {', '.join(known)}", 2)
            told, started = ", ".join(names or known), time.monotonic()
            models = [known[name] for name in names or known]
            count = await rebuild(service.options.dsn, models, partial(_progress, told, started))
            click.echo(f"{told}: rebuilt from {counted(count, 'event')} in {time.monotonic() - started:.1f} s")

    run(work())


def _progress(names: str, started: float, done: int, count: int) -> None:
    rate = done / max(time.monotonic() - started, 1e-3)
    complain(f"{names}: {done:,} of {counted(count, 'event')}" + (f", {rate:,.0f} a second" if done else ""))


@click.command("doctor")
@click.pass_obj
def doctor_command(opened: Opened) -> None:
    """Look at the service's health: database, instances, backlog, accounts in trouble, calls that need a person."""
    env = environment()

    async def work() -> bool:
        async with opened(env) as service:
            return await doctor.examine(service, env, click.echo)

    if not run(work()):
        raise SystemExit(1)


WORK_COMMANDS: Final[tuple[click.Command, ...]] = (parked_command, retry_command, rebuild_command, doctor_command)
