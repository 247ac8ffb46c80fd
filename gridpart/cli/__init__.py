"""The command line: parse, call, print, exit code; no logic of its own.

Exit codes: 0 output written; 1 `audit` found errors; 2 input that cannot be used, nothing written;
70 an error of gridpart itself; 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Any

import click

from gridpart._version import __version__
from gridpart.cli import audit, codes, partition, plans, redraw, renew, staff
from gridpart.cli.options import EXIT_INPUT, say
from gridpart.errors import GridpartError, GridpartWarning

__all__ = ["cli", "main", "run"]

EXIT_OWN_ERROR = 70
EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        See the module.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("default", GridpartWarning)
        warnings.showwarning = _say
        try:
            return int(cli.main(arguments, prog_name="gridpart", standalone_mode=False) or 0)
        except click.ClickException as error:
            error.show()
            return EXIT_INPUT
        except GridpartError as error:
            say(f"gridpart: {error}", err=True)
            return EXIT_INPUT
        except (KeyboardInterrupt, click.Abort):
            click.echo("gridpart: interrupted; nothing was written", err=True)
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            # the reader went away, as `gridpart ... | head` does
            sys.stderr.close()
            return 0
        except Exception:  # noqa: BLE001 - the last door: whatever is left is our own error
            traceback.print_exc()
            click.echo("gridpart: an error of gridpart itself; please report it", err=True)
            return EXIT_OWN_ERROR


def _say(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Print what was done to the input as a note; pass over what concerns only developers."""
    if issubclass(category, GridpartWarning):
        say(f"note: {message}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gridpart")
def cli() -> None:
    """Divide communities into service grids, code them, audit them, staff them."""


for _command in (
    partition.partition, codes.code, codes.register, audit.audit, staff.staff, staff.beats,
    staff.workers, plans.map_, plans.demo, plans.warm, renew.redraw, redraw.diff,
    redraw.edit,
):  # fmt: skip
    cli.add_command(_command)


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
