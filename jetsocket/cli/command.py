"""The command with its subcommands, and how it ends."""

from __future__ import annotations

import sys
from typing import Any

import click

from jetsocket.errors import JetSocketError
from jetsocket.version import __version__

from .demo import demo
from .doctor import doctor
from .info import info
from .interrupt import INTERRUPTED
from .listen import listen
from .replay import replay
from .terminal import leave_closed_stdout, tell


class _Command(click.Group):
    """click takes a closed pipe for an error."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            leave_closed_stdout()
            return 0


@click.group(
    cls=_Command,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Exit codes:
  0    done; or whoever read the output has closed it
  1    the connection failed or was lost for good; doctor: a step failed
  2    wrong usage
  3    demo: the account does not balance
  130  interrupted by Ctrl-C

Every option can be set in the environment too, as JETSOCKET_<OPTION>: JETSOCKET_CHANNEL_KEY=stream. NO_COLOR and
FORCE_COLOR are honoured. Data goes to stdout, everything else to stderr.
""",
)
@click.version_option(__version__, prog_name="jetsocket")
@click.pass_context
def command(ctx: click.Context) -> int:
    """WebSocket streams at exchange speed."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return 2
    return 0


for subcommand in (demo, listen, doctor, info, replay):
    command.add_command(subcommand)


def run() -> int:
    """Runs what the command line says; the exit code. Whatever goes wrong is one line on stderr."""
    try:
        # A subcommand returns its exit code; --help and --version return nothing.
        return command.main(prog_name="jetsocket", standalone_mode=False) or 0
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "jetsocket"
        tell(f"jetsocket: {error.format_message()} (see {path} --help)")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (JetSocketError, OSError, ValueError) as error:
        tell(f"jetsocket: {str(error) or type(error).__name__}")
        return 1
    finally:
        _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        leave_closed_stdout()
