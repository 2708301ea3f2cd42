"""The composition root and the command line: environment to adapters to application. Nothing else is decided here."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click
import msgspec
import orjson
import structlog

from adapters import daemon
from adapters.access import Access
from adapters.admin_password import AdminPassword, load_or_create_password
from adapters.archive_command import archive_command
from adapters.asterisk.config import load as load_pbxes
from adapters.audit import Audit
from adapters.board import Board
from adapters.call_legs import legs_of
from adapters.call_search import no_such_call, resolve, search
from adapters.command_line import complain, environment, fail, in_one_line, ready_environment, run
from adapters.embedded_postgres import embedded_postgres, is_absent
from adapters.environment import Environment, load_or_create_secret_key
from adapters.histories import Histories
from adapters.http.app import VERSION, build_app
from adapters.http.guard import Guard
from adapters.http.services import Holder, Services
from adapters.http.serving import Server
from adapters.http.stream import Streams
from adapters.key_check import agree_on_key, agree_once_joined
from adapters.later import later, load_the_rest
from adapters.logs import configure_logs, install_last_resort
from adapters.postgres.database import close_pool, connect, create_pool, wait_for_database
from adapters.postgres.migrations import migrate
from adapters.process_commands import PROCESS_COMMANDS
from adapters.replay_command import Asked, Words, answered, asked, history_of
from adapters.service import Service, ServiceOptions, assembled, calm_the_collector
from adapters.spool import SPOOL, Spool
from adapters.status import Sources, accounts_spoken_for, gather
from adapters.vault import Vault
from adapters.what_ifs import WhatIfs
from adapters.work_commands import WORK_COMMANDS
from adapters.zones import pbx_zone
from core.click_joining import CHOSEN
from core.clicks import STREAM as CLICKS
from core.decisions import Limits
from core.ports import Projection, RecordedEvent, StreamId
from projections.calls import Calls
from projections.clicks import Clicks
from projections.folded import FoldedCalls
from projections.journal import Journal
from projections.statistics import Statistics, quantile_ms

if TYPE_CHECKING:
    from adapters import import_command as importing
    from adapters import metrics
    from adapters.directory import figures as directory_figures
    from projections import (
        click_story,
        difference_text,
        disguise,
        disguise_history,
        import_text,
        picture,
        story,
        story_ru,
        story_text,
    )
else:  # nothing of this is needed for the first event
    importing, import_text = later("adapters.import_command"), later("projections.import_text")
    disguise_history, story_text = later("projections.disguise_history"), later("projections.story_text")
    metrics = later("adapters.metrics", for_requests=True)
    directory_figures = later("adapters.directory.figures", for_requests=True)
    click_story = later("projections.click_story", for_requests=True)
    difference_text = later("projections.difference_text", for_requests=True)
    disguise = later("projections.disguise", for_requests=True)
    picture = later("projections.picture", for_requests=True)
    story = later("projections.story", for_requests=True)
    story_ru = later("projections.story_ru", for_requests=True)

log = structlog.get_logger("server")


def shapes() -> dict[str, type]:
    """Answers whose types are the read models' own."""
    return {"Replay": picture.Replay, "ClickStory": click_story.ClickStory, "Difference": difference_text.DifferenceShown}


def wall_ms() -> int:
    """Now, in milliseconds since the epoch, UTC: the only clock of the service."""
    return time.time_ns() // 1_000_000


def projections() -> tuple[Projection, ...]:
    """Every read model; those of calls share what is folded."""
    folded = FoldedCalls()
    return (Calls(folded), Clicks(), Journal(folded), Statistics(folded))


def service_options(env: Environment, dsn: str, address: str = "") -> ServiceOptions:
    """What the service is told, from the environment. ``address``: under which it takes part among the instances."""
    return ServiceOptions(
        dsn=dsn,
        phone_api_url=env.phone_api_url,
        main_api_url=env.main_api_url,
        zone=ZoneInfo(env.timezone),
        api_zone=ZoneInfo(env.api_timezone),
        public_url=env.public_url or env.local_url,
        asterisk_api_url=env.asterisk_api_url,
        pbxes=load_pbxes(env.pbx_file),
        vault=Vault(load_or_create_secret_key(env)),
        limits=Limits(call_max_ms=env.call_max_s * 1_000),
        now_ms=wall_ms,
        version=VERSION,
        address=address,
        database="" if env.database_url else str(env.data_dir),
    )


async def find_story(service: Service, enterprise: str, name: str) -> story.Story | None:
    """The replay of one call, named by UniqueId, MoySklad's id of it, or ``phone@time``; None when nobody knows it."""
    found = await _find_replay(service, enterprise, name)
    return found[0] if found is not None else None


async def _find_replay(
    service: Service, enterprise: str, name: str
) -> tuple[story.Story, picture.Picture, Sequence[RecordedEvent]] | None:
    call = await resolve(service.pool, enterprise, name, service.options.zone)
    if call is None:
        return None
    history = await service.store.read(StreamId(enterprise=enterprise, name=f"call/{call}"))
    revision = next((int(number) for each in history if (number := each.data.get("settings_revision"))), 0)
    settings = await service.settings.at_revision(enterprise, revision)
    told = story.tell(enterprise, call, history, settings, service.options.limits)
    others = await legs_of(service.pool, enterprise, call, told.start_ms, told.end_ms)
    told = replace(told, legs=(*told.legs, *(each for each in others if each not in told.legs)))
    return told, picture.draw(told, history, settings), history


def _in_russian(sentence: str) -> str:
    """A sentence of the history, for a page."""
    return story_ru.in_russian(sentence)


async def _status_in_russian(sources: Sources) -> dict[str, Any]:
    """How the service is, for those who watch the board: what kept MoySklad's answers away in their language."""
    told = await gather(sources)
    return {**told, "accounts": [{**each, "reason": story_ru.in_russian(each["reason"])} for each in told["accounts"]]}


async def _replay(service: Service, enterprise: str, name: str, *, disguised: bool, russian: bool) -> dict[str, Any] | None:
    """The replay with its picture, as JSON; ``disguised``: without anybody's number or name; ``russian``: its sentences."""
    found = await _find_replay(service, enterprise, name)
    if found is None:
        return None
    told, drawn, history = found
    replay: dict[str, Any] = {**msgspec.to_builtins(told), "picture": msgspec.to_builtins(drawn)}
    if disguised:
        replay = disguise.disguise(replay, history)
    return story_ru.replay_in_russian(replay) if russian else replay


async def find_click(service: Service, enterprise: str, click: str) -> click_story.ClickStory | None:
    """The story of one click in MoySklad, named by its id, with ``click-`` before it or without; None when nobody knows it."""
    name = click.removeprefix(CHOSEN)
    if not name.isalnum() or len(name) > MAX_CLICK_ID:
        return None
    history = await service.store.read(StreamId(enterprise=enterprise, name=f"{CLICKS}{name}"))
    return click_story.tell_click(enterprise, name, history) if history else None


async def _click_story(service: Service, enterprise: str, click: str, *, russian: bool) -> dict[str, Any] | None:
    found = await find_click(service, enterprise, click)
    if found is None:
        return None
    told: dict[str, Any] = msgspec.to_builtins(click_story.click_in_russian(found) if russian else found)
    return told


def _figures(service: Service, board: Board, streams: Streams | None) -> metrics.Figures:
    """Where ``/metrics`` looks; made for each answer, because what makes them is loaded later."""
    sources = service.sources
    return metrics.Figures(
        backlog=lambda: service.backlog.last,
        nodes=sources.nodes,
        accounts=lambda: accounts_spoken_for(sources),
        traffic=lambda: {str(api): asked for api, asked in service.moysklad.limits.traffic().items()},
        streams=streams,
        latency=lambda: service.store.latency,
        pool=lambda: metrics.pool_use(service.pool, service.derived),
        listeners=lambda: board.listeners,
        pbxes=lambda: service.duty.states() if service.duty is not None else (),
        deliveries=lambda: {answer.value: count for answer, count in service.clicks.answers.items()},
        clicks=lambda: service.caller.outcomes,
        more=lambda: directory_figures.families(service.directory),
    )


def http_parts(service: Service, password: AdminPassword | None = None, streams: Streams | None = None) -> Services:
    """The parts as the HTTP edge sees them; without a password nobody can log in; ``streams`` are the edge's own."""
    sources = service.sources
    board = Board(service.pool, partial(_status_in_russian, sources), now_ms=wall_ms)
    return Services(
        ingest=service.ingest,
        clicks=service.clicks,
        click_story=partial(_click_story, service),
        settings=service.settings,
        moysklad=service.moysklad,
        access=Access(service.pool, password),
        audit=Audit(service.pool),
        board=board,
        pool=service.pool,
        replay=partial(_replay, service),
        in_russian=_in_russian,
        quantile=quantile_ms,
        self_tests=service.self_tests,
        trial_cards=service.trial_cards,
        what_if=WhatIfs(
            Histories(service.pool, service.options.vault, limits=service.options.limits, now_ms=wall_ms),
            as_json=lambda verdict, zone: difference_text.as_json(verdict, zone, russian=True),
            tally=lambda: difference_text.Tally(),
            zone=service.options.zone,
        ),
        search=partial(search, service.pool),
        find_call=lambda enterprise, name: resolve(service.pool, enterprise, name, service.options.zone),
        parked=service.parked,
        desk=service.directory.desk,
        hooks=service.directory.hooks,
        keeper=service.directory.keeper,
        integrations=service.directory.integrations,
        status=lambda: gather(sources),
        metrics=lambda: metrics.exposition(service.ingest, service.reactor, _figures(service, board, streams)),
        now_ms=wall_ms,
        zone=service.options.zone,
    )


COMMAND_WAITS_S: Final = 20.0
"""A person waits for an answer; the service, which others wait for, waits for its database however long that takes."""


@contextlib.asynccontextmanager
async def database(
    env: Environment, report: Callable[[str], None], *, makes: bool, within_s: float | None = COMMAND_WAITS_S
) -> AsyncIterator[str]:
    """A migrated database: the configured one, or the embedded server's, for as long as the block runs.

    ``makes``: where the data folder has none, one is made; whoever only looks would see an empty one and not know why.
    Raises StoreUnavailable where it does not answer ``within_s`` (None: it is waited for), ValueError where there is none.
    """
    async with contextlib.AsyncExitStack() as stack:
        dsn = env.database_url
        if dsn is None:
            if is_absent(env.data_dir):
                if not makes:
                    raise ValueError(f"no database in {env.data_dir}: start the service there first, or correct MS_DATA_DIR")
                report(f"there is no database in {env.data_dir} yet: a new, empty one is made")
            dsn = await stack.enter_async_context(embedded_postgres(env.data_dir, on_progress=report))
        await wait_for_database(dsn, report, within_s=within_s)
        connection = await connect(dsn)
        try:
            await migrate(connection, report=report)
        finally:
            await connection.close()
        yield dsn


@contextlib.asynccontextmanager
async def opened(env: Environment, *, makes: bool = False) -> AsyncIterator[Service]:
    """The parts for a command that looks at the history or works on the read models; the reactor does not run."""
    async with contextlib.AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(database(env, complain, makes=makes))
        options = replace(service_options(env, dsn), looks_only=True)
        yield await stack.enter_async_context(assembled(options, projections()))


@contextlib.asynccontextmanager
async def looked_at(env: Environment) -> AsyncIterator[tuple[Any, Histories]]:
    """A database to read recorded calls from; nothing of the service runs."""
    async with database(env, complain, makes=False) as dsn, contextlib.AsyncExitStack() as stack:
        pool = await create_pool(dsn, max_size=2)
        stack.push_async_callback(close_pool, pool)
        vault, limits = Vault(load_or_create_secret_key(env)), Limits(call_max_ms=env.call_max_s * 1_000)
        yield pool, Histories(pool, vault, limits=limits, now_ms=wall_ms)


MAX_CLICK_ID = 64
READY_FIRST_S = 0.5
READY_LOOK_S = 0.02
LOAD_THE_REST_AFTER_S = 1.0


async def serve(env: Environment) -> None:
    """Run until SIGTERM or SIGINT.

    The port opens once events can be recorded, so that a balancer sends none before; where that takes longer than a usual start
    (the database is away, or is started too), it opens all the same: single posts go into the spool, the rest is 503 in words.
    """
    calm_the_collector()
    holder = Holder()
    guard = Guard(env.internal_networks, env.internal_token or "", env.admin_token or "", env.public_url or "")
    server = Server(build_app(holder, guard, shapes))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working = asyncio.create_task(_work(env, holder), name="service")
    stopping = asyncio.create_task(stop.wait())
    try:
        await _ready_or_late(holder, {working, stopping})
        await server.start(env.host, env.port)
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await server.stop()  # first nothing new comes in and what came is answered, then the parts stop
        stopping.cancel()
        if not working.done():
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


async def _ready_or_late(holder: Holder, tasks: set[asyncio.Task[Any]]) -> None:
    """Until events can be kept, one of the tasks has ended, or it has taken long."""
    loop = asyncio.get_running_loop()
    late_at = loop.time() + READY_FIRST_S
    while holder.parts is None and loop.time() < late_at and not any(task.done() for task in tasks):
        await asyncio.wait(tasks, timeout=READY_LOOK_S, return_when=asyncio.FIRST_COMPLETED)


async def _work(env: Environment, holder: Holder) -> None:
    def waiting(reason: str) -> None:
        holder.waiting = reason
        log.info("waiting", reason=reason)

    password = AdminPassword(load_or_create_password(env))
    holder.spool = Spool(env.data_dir / SPOOL, Vault(load_or_create_secret_key(env)))
    async with contextlib.AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(database(env, waiting, makes=True, within_s=None))
        options = replace(service_options(env, dsn, env.local_url), spool=holder.spool)
        connection = await connect(dsn)
        try:
            await agree_on_key(connection, options.vault)
        finally:
            await connection.close()
        service = await stack.enter_async_context(
            assembled(options, projections(), streams_open=lambda: holder.streams.open)
        )
        holder.parts = http_parts(service, password, holder.streams)
        stack.push_async_callback(holder.parts.what_if.close)
        log.info("ready", host=env.host, port=env.port)
        stack.enter_context(_loading_the_rest())
        try:
            await _run(service, options.vault)
        finally:
            holder.parts, holder.waiting = None, "the service is stopping"
            log.info("stopping")


async def _run(service: Service, vault: Vault) -> None:
    """Work until cancelled, or until another instance turns out to have another key (KeysDiffer)."""
    running = asyncio.create_task(service.run(), name="service run")
    agreeing = asyncio.create_task(agree_once_joined(service.pool, vault, service.ownership)) if service.ownership else running
    try:
        await asyncio.wait({running, agreeing}, return_when=asyncio.FIRST_COMPLETED)
        if agreeing.done():
            agreeing.result()
        await running
    finally:
        agreeing.cancel()
        running.cancel()
        await asyncio.gather(agreeing, running, return_exceptions=True)


def _settle_down() -> None:
    load_the_rest()
    calm_the_collector()  # of what came in since it was told first


@contextlib.contextmanager
def _loading_the_rest() -> Iterator[None]:
    """What requests need is loaded beside the work, once the first events are taken in; a daemon thread holds up no end."""
    timer = threading.Timer(LOAD_THE_REST_AFTER_S, _settle_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# -- the command line ---------------------------------------------------------------------------------------------


@click.group(context_settings={"help_option_names": ["-h", "--help"], "obj": opened})
def main() -> None:
    """Call service between Asterisk and MoySklad."""


for _command in (*PROCESS_COMMANDS, *WORK_COMMANDS, archive_command):
    main.add_command(_command)


@main.command("serve")
def serve_command() -> None:
    """Run in the foreground."""
    env = ready_environment()
    configure_logs(env.log_level, sink=daemon.log_sink(env))
    run(serve(env))


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database's schema up to date."""
    env = environment()

    async def work() -> None:
        async with database(env, click.echo, makes=True):
            click.echo("the schema is up to date")

    run(work())


@main.command("replay")
@asked
@click.option("--full", is_flag=True, help="With raw bodies, requests and answers.")
def replay_command(question: Asked, full: bool) -> None:
    """Tell one call's whole story, or what would have been otherwise.

    CALL is its UniqueId, MoySklad's id of it, phone@time, or a click in MoySklad (click-…).

    With --against only differences are told: of one CALL, a --day of ENTERPRISE, --all, or a --corpus.
    """
    env = environment()
    if question.is_what_if:
        raise SystemExit(run(answered(question, _words(env, as_json=question.as_json), partial(looked_at, env))))
    if not question.name:
        fail("name the enterprise and the call: ./ms.sh replay ENTERPRISE CALL", 2)
    found, zone = _story(env, question.enterprise, question.name)
    if question.as_json:
        click.echo(_story_json(found).decode())
    elif isinstance(found, click_story.ClickStory):
        click.echo(click_story.render_click(found, zone), nl=False)
    else:
        click.echo(story_text.render(found, zone, full=full), nl=False)


def _words(env: Environment, *, as_json: bool) -> Words:
    """How differences are told."""
    return Words(
        render=difference_text.render,
        as_json=difference_text.as_json,
        tally=difference_text.Tally,
        echo=click.echo,
        complain=complain,
        zone=ZoneInfo(env.timezone),
        json=as_json,
    )


@main.command("export")
@click.argument("enterprise")
@click.argument("call")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write here instead of to standard output.")
@click.option("--as-test", is_flag=True, help="A test instead: without numbers and names, to be run by any checkout.")
@click.option("--expect", multiple=True, help="With --as-test: what should have happened, e.g. 'card 103: shown'.")
@click.option("--shrink", is_flag=True, help="With --as-test: without all that its fault does not need.")
def export_command(
    enterprise: str, call: str, output: Path | None, as_test: bool, expect: tuple[str, ...], shrink: bool
) -> None:
    """Write one call's replay as a file for a ticket: everything that happened, without secrets.

    With --as-test: the history and what is expected of it, for tests/from_production/ (docs/time-machine.md).
    """
    if not as_test and (expect or shrink):
        fail("--expect and --shrink are about --as-test: without it the replay is written as it is", 2)
    env = environment()
    test = run(_as_test(env, enterprise, call, expect, shrink=shrink)) if as_test else None
    text = test or _story_json(_story(env, enterprise, call)[0])
    if output is None:
        click.echo(text.decode())
    else:
        _write(output, text.rstrip() + b"\n")
        complain(f"written to {output}")


def _write(output: Path, text: bytes) -> None:
    """Into the file that was asked for, or one line about why not."""
    try:
        output.write_bytes(text)
    except OSError as error:
        fail(in_one_line(error))


async def _as_test(env: Environment, enterprise: str, name: str, expect: tuple[str, ...], *, shrink: bool) -> bytes:
    async with looked_at(env) as (pool, histories):
        history = await history_of(pool, histories, enterprise, name, ZoneInfo(env.timezone))
    text, wrong = disguise_history.as_test(history, expect, shrink=shrink)
    complain(f"as today's code runs it: {'; '.join(wrong) or 'all is as expected'}")
    return text


def _story(env: Environment, enterprise: str, call: str) -> tuple[story.Story | click_story.ClickStory, tzinfo]:
    """The replay of one call or click and the zone of its PBX, or one line that says how to name it."""

    async def work() -> tuple[story.Story | click_story.ClickStory, tzinfo]:
        async with opened(env) as service:
            found = await find_story(service, enterprise, call) or await find_click(service, enterprise, call)
            zone = await pbx_zone(service.pool, enterprise, service.options.zone)
            return found or fail(await no_such_call(service.pool, enterprise, call)), zone

    told: tuple[story.Story | click_story.ClickStory, tzinfo] = run(work())
    return told


def _story_json(told: story.Story | click_story.ClickStory) -> bytes:
    return orjson.dumps(msgspec.to_builtins(told), option=orjson.OPT_INDENT_2)


@main.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--into", "enterprise", required=True, help="As whose calls: an enterprise's number.")
@click.option("--settings", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Under these, as JSON.")
@click.option("--keep", is_flag=True, help="Put it into the database, which must be empty, to be looked at in the pages.")
@click.option("--json", "as_json", is_flag=True, help="The same for programs, a line for each call.")
def import_command(files: tuple[Path, ...], enterprise: str, settings: Path | None, keep: bool, as_json: bool) -> None:
    """Play old logs (integration_logs, a PBX's log) and tell what would have happened. No request is sent."""
    env = environment()
    told = importing.Told(lines=import_text.told, as_json=import_text.as_json, echo=click.echo, complain=complain, json=as_json)
    limits = Limits(call_max_ms=env.call_max_s * 1_000)
    place = partial(opened, env, makes=True) if keep else None
    raise SystemExit(
        run(importing.import_logs(files, enterprise, settings, told, zone=ZoneInfo(env.timezone), limits=limits, opened=place))
    )


if __name__ == "__main__":
    install_last_resort()
    configure_logs("warning")  # to standard error: what a command answers is read by programs, too
    for _stream in (sys.stdout, sys.stderr):
        if isinstance(_stream, io.TextIOWrapper):  # a letter that the charset has not must not end a command half-way
            if _stream.isatty():
                _stream.reconfigure(errors="replace")
            else:
                # A file is not read on this terminal alone, and JSON is UTF-8; a file's name may be in any charset.
                _stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        main(prog_name="./ms.sh")
    except OSError as error:  # the answer cannot be written: the disk that it goes to is full
        fail(in_one_line(error))
