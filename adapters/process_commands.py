"""Commands about processes: the service as a daemon, the sandbox, the demonstrations. None of them opens the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from adapters import daemon
from adapters.command_line import environment, ready_environment, run, until_told
from adapters.daemon_process import MAX_SHOWN_LINES
from adapters.later import later

if TYPE_CHECKING:
    from adapters import demo, pbx_demo, sandbox
else:
    demo, pbx_demo, sandbox = later("adapters.demo"), later("adapters.pbx_demo"), later("adapters.sandbox")

_SERVE: Final = [sys.executable, str(Path(__file__).resolve().parents[1] / "server.py"), "serve"]
"""What the daemon runs."""


@click.command("sandbox")
@click.option("--port", default=8024, show_default=True, type=click.IntRange(1, 65_535))
def sandbox_command(port: int) -> None:
    """Run a MoySklad of our own, for trying things out."""
    click.echo(f"MoySklad sandbox: http://127.0.0.1:{port}/")
    run(sandbox.serve_sandbox("127.0.0.1", port, sandbox.SandboxOptions(demo=True)))


@click.command("demo")
@click.option("--once", is_flag=True, help="End when the calls are played instead of staying for a look.")
@click.option("--speed", default=4.0, show_default=True, type=click.FloatRange(0.1, 50.0), help="How much faster than life.")
def demo_command(once: bool, speed: float) -> None:
    """Play recorded calls through the service beside a sandbox, and show what MoySklad then has."""
    raise SystemExit(run(until_told(demo.play_demo(once=once, speed=speed, echo=click.echo))))


@click.command("pbx-demo")
@click.option("--once", is_flag=True, help="End when the calls are made instead of staying for a look.")
@click.option("--asterisk", "version", default=16, show_default=True, type=click.Choice([16, 22]), help="Which one to fetch.")
def pbx_demo_command(once: bool, version: int) -> None:
    """Make real calls on a real Asterisk beside a sandbox, and show what MoySklad then has. Fetches Asterisk (once)."""
    raise SystemExit(run(until_told(pbx_demo.play_pbx_demo(once=once, version=version, echo=click.echo))))


@click.command("start")
def start_command() -> None:
    """Start as a daemon; returns once it is ready."""
    env = ready_environment()
    raise SystemExit(daemon.start(_SERVE, env, click.echo))


@click.command("stop")
def stop_command() -> None:
    """Stop the daemon."""
    raise SystemExit(daemon.stop(environment(), click.echo))


@click.command("restart")
def restart_command() -> None:
    """Stop and start again; what was acknowledged is kept."""
    env = ready_environment()
    if status := daemon.stop(env, click.echo):
        raise SystemExit(status)
    raise SystemExit(daemon.start(_SERVE, env, click.echo))


@click.command("status")
def status_command() -> None:
    """Say whether the daemon runs and is ready; then instances, backlog, accounts in trouble, parked calls."""
    raise SystemExit(daemon.status(environment(), click.echo))


@click.command("logs")
@click.option("--follow", "-f", is_flag=True, help="Go on showing what comes.")
@click.option("--lines", "-n", default=100, show_default=True, type=click.IntRange(1, MAX_SHOWN_LINES))
def logs_command(follow: bool, lines: int) -> None:
    """Show the daemon's log."""
    raise SystemExit(daemon.logs(environment(), click.echo, follow=follow, lines=lines))


PROCESS_COMMANDS: Final[tuple[click.Command, ...]] = (
    sandbox_command,
    demo_command,
    pbx_demo_command,
    start_command,
    stop_command,
    restart_command,
    status_command,
    logs_command,
)
