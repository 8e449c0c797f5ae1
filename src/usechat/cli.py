"""The ``usechat`` command. Each command imports the heavy modules that it needs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from usechat import __version__
from usechat.errors import ConfigurationError
from usechat.extras import needing

if TYPE_CHECKING:
    from usechat.server.access.sign_in.key_file import KeyFile
    from usechat.server.settings import Settings

__all__ = ["app", "main"]

app = typer.Typer(
    help="The Python backend for useChat.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EnvFile = Annotated[Path | None, typer.Option(help="Read settings from this file instead of .env.")]


@app.command()
def serve(  # noqa: PLR0917 - typer calls it by name
    agent: Annotated[
        str | None,
        typer.Argument(metavar="[MODULE:NAME]", help="Agent of your own that answers, such as my_app:agent."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[str | None, typer.Option(help="Port to listen on; 0 takes a free one.  [default: 8000]")] = None,
    model: Annotated[str | None, typer.Option(help="Model that answers: a model's name, local or demo.")] = None,
    workers: Annotated[str | None, typer.Option(help="How many processes answer.  [default: 1]")] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when the sources change.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve without API keys, also beyond this machine.")
    ] = False,
    env_file: EnvFile = None,
) -> None:
    """Serve the chat API and, where it has been built, the page."""
    given = {
        "AGENT": agent,
        "HOST": host,
        "PORT": port,
        "MODEL": model,
        "WORKERS": workers,
        "INSECURE": "true" if insecure else None,
    }
    # Workers and reloads are other processes, which read the environment.
    for name, value in given.items():
        if value is not None:
            os.environ[f"USECHAT_{name}"] = value
    name_env_file(env_file)
    try:
        from usechat.server.processes.process import serve as run

        run(reload=reload, announce=announce)
    except ConfigurationError as error:
        fail(error)


@app.command()
def settings(env_file: EnvFile = None) -> None:
    """Show every setting, its value and where it comes from; secrets are masked."""
    name_env_file(env_file)
    try:
        from usechat.server.environment import load_environment

        environment = load_environment()
    except ConfigurationError as error:
        fail(error)
    rows = [("SETTING", "VALUE", "FROM"), *environment.rows()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, value, source in rows:
        typer.echo(f"{name:{widths[0]}}  {value:{widths[1]}}  {source}")
    for warning in environment.warnings():
        typer.echo(warning, err=True)


keys_app = typer.Typer(help="Make, list and revoke the keys of USECHAT_KEYS_FILE.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@keys_app.command("make")
def make_key(name: str, env_file: EnvFile = None) -> None:
    """Make a key for NAME and print it: it is shown once, and only its digest is stored."""
    name_env_file(env_file)
    try:
        typer.echo(key_file().make(name))
    except ConfigurationError as error:
        fail(error)


@keys_app.command("list")
def list_keys(env_file: EnvFile = None) -> None:
    """Show the keys' names and when each was made and revoked."""
    name_env_file(env_file)
    try:
        keys = key_file().read()
    except ConfigurationError as error:
        fail(error)
    for key in keys:
        state = "in force" if key.revoked is None else f"revoked {iso_day(key.revoked)}"
        typer.echo(f"{key.name}  made {iso_day(key.made)}  {state}")


@keys_app.command("revoke")
def revoke_key(name: str, env_file: EnvFile = None) -> None:
    """Let the key of NAME open nothing from now on. Running servers notice within two seconds."""
    name_env_file(env_file)
    try:
        key_file().revoke(name)
    except ConfigurationError as error:
        fail(error)


def key_file() -> KeyFile:
    from usechat.server.access.sign_in.key_file import KeyFile
    from usechat.server.environment import load_environment

    path = load_environment().settings.keys_file
    if path is None:
        raise ConfigurationError("USECHAT_KEYS_FILE must name the file of the keys.")
    return KeyFile(path)


def iso_day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


@app.command()
def migrate(env_file: EnvFile = None) -> None:
    """Create or change the tables of USECHAT_DATABASE_URL. The server creates SQLite's tables when it starts."""
    name_env_file(env_file)
    try:
        import asyncio

        from usechat.chats.sql.migrations.migrate import migrate as run
        from usechat.server.environment import load_environment, shown_address

        url = find_database(load_environment().settings)
    except ConfigurationError as error:
        fail(error)
    if url is None:
        typer.echo("No chats are kept: USECHAT_DATABASE_URL is off.")
        return
    place = shown_address(url)
    try:
        asyncio.run(run(url))
    except ConfigurationError as error:
        fail(error)
    except OSError as error:
        fail(ConfigurationError(f"the database cannot be reached: {place}: {error.strerror or error}"))
    typer.echo(f"The tables of {place} are up to date.")


def find_database(settings: Settings) -> str | None:
    """Return the URL of the database to migrate; None when no chats are kept.

    Raises:
        ConfigurationError: None is set, and there is no file that a server has made. To make one here would look like
            success while another database waits.
    """
    from usechat.server.persistence import DEFAULT_DATABASE_URL, database_url

    is_set = settings.database_url is not None
    if not is_set and not Path(DEFAULT_DATABASE_URL.removeprefix("sqlite:///")).exists():
        raise ConfigurationError(
            "USECHAT_DATABASE_URL is not set, and this folder has no usechat.db: set it to the database of your "
            "application. No other variable is read, and a new file of SQLite gets its tables when it is opened."
        )
    return database_url(settings, is_public=False)


@app.command()
def doctor(  # noqa: PLR0917 - typer calls it by name
    url: Annotated[str, typer.Argument(help="Where useChat posts, such as https://chat.example/api/chat.")],
    header: Annotated[
        list[str] | None, typer.Option(help="Header of each request, such as 'Authorization: Bearer KEY'; repeatable.")
    ] = None,
    message: Annotated[str | None, typer.Option(help="The user's message; a long answer shows the most.")] = None,
    body: Annotated[Path | None, typer.Option(help="File with JSON to post in place of useChat's body.")] = None,
    sdk: Annotated[
        str | None, typer.Option(help="The frontend's AI SDK, such as 7.0.173 or 7.  [default: all]")
    ] = None,
    origin: Annotated[str | None, typer.Option(help="Origin of the page, to check CORS for it.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time for one answer.  [default: 120]")] = None,
    idle: Annotated[
        float | None, typer.Option(help="Seconds of silence that an answer must survive.  [default: 30]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit's XML to this file, too.")] = None,
) -> None:
    """Examine a backend of the AI SDK's protocols from outside. The exit status is the number of findings."""
    try:
        with needing("doctor"):
            from usechat.doctor.command import doctor as run
            from usechat.doctor.target import Target
        target = Target.make(
            url, headers=header or (), message=message, body=body, sdk=sdk, origin=origin, seconds=seconds, idle=idle
        )
        report, status = run(target, as_json=as_json, junit=junit)
    except ConfigurationError as error:
        fail(error)
    typer.echo(report)
    raise typer.Exit(status)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line."""
    app()


def name_env_file(path: Path | None) -> None:
    if path is not None:
        os.environ["USECHAT_ENV_FILE"] = str(path.absolute())


def announce(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()


def fail(error: ConfigurationError) -> NoReturn:
    typer.echo(f"usechat: {error}", err=True)
    raise typer.Exit(2)
