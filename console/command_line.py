"""Run a management command with the servers it needs, and print one clear line for a known failure."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError, ProgrammingError, connections
from redis import RedisError

from console.configuration import Configuration, check_config_file
from console.embedded import EmbeddedError, ensure
from console.environment import ConfigurationError
from console.reachability import check_databases

# Commands that read only the code. Everything else finds a database that is up to date.
WITHOUT_SERVERS = frozenset(
    {"help", "version", "check", "collectstatic", "diffsettings", "findstatic", "startapp", "sqlmigrate"}
    | {"makemessages", "compilemessages"}
)
# Commands that need a database but handle its migrations themselves.
WITHOUT_MIGRATING = frozenset({"migrate", "makemigrations", "showmigrations", "flush", "sqlflush", "test"})
# Processes that survive the loss of the database. They wait for it at the start, too.
PATIENT = frozenset({"relay", "scheduler"})


def main(argv: list[str]) -> int:
    """Run the command of ``argv`` and return the exit status."""
    name = argv[1] if len(argv) > 1 else "help"
    quiet = "--traceback" not in argv
    try:
        with ExitStack() as stack:
            if (
                name not in WITHOUT_SERVERS
                and not name.startswith("-")
                and not {"-h", "--help"} & set(argv[2:])
            ):
                _prepare(stack, name)
            execute_from_command_line(argv)
    except (EmbeddedError, ConfigurationError) as error:
        return _fail(str(error))
    except ImproperlyConfigured as error:
        if not quiet:
            raise
        return _fail(f"The configuration is not complete: {_first_line(error)}")
    except (OperationalError, InterfaceError) as error:
        if not quiet:
            raise
        return _fail(f"The database does not answer as it should: {_first_line(error)}")
    except ProgrammingError as error:
        if not quiet or "permission denied" not in str(error):
            raise
        return _fail(f"The application's database role may not do this: {_first_line(error)}")
    except RedisError as error:
        if not quiet:
            raise
        return _fail(f"Redis does not answer as it should: {_first_line(error)}")
    except BrokenPipeError:
        # The reader of the output has closed it. Without this, Python would report that again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _prepare(stack: ExitStack, name: str) -> None:
    configuration = Configuration.read()
    check_config_file(configuration.config_file)
    if name not in PATIENT:
        check_databases(configuration)
    postgres, redis = not configuration.database_url, not configuration.redis_url
    if postgres or redis:
        # Before Django reads its settings, because a server whose port was taken meanwhile gets another one here.
        stack.enter_context(ensure(configuration.data_dir, postgres=postgres, redis=redis))
    stack.callback(_close_connections)
    if postgres and name not in WITHOUT_MIGRATING:
        django.setup()
        from console.migrations import apply_pending

        apply_pending()


def _close_connections() -> None:
    """Close the database connections before the server stops. A pool would log errors and reconnect."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        close_pool = getattr(connection, "close_pool", None)
        if close_pool is not None:
            close_pool()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1
