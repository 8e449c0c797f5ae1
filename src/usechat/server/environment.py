"""Sources of the settings: the environment, the ``.env`` file, the defaults; and unknown names in them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from usechat.errors import ConfigurationError
from usechat.models.claude.address import read_base_url, read_key
from usechat.models.resolve import default_model
from usechat.server.persistence import OFF, database_url
from usechat.server.settings import PREFIX, Settings, settings_error

__all__ = ["ENV_FILE_VARIABLE", "Environment", "load_environment", "shown_address"]

ENV_FILE_VARIABLE: Final = f"{PREFIX}ENV_FILE"
"""Names the file to read in place of ``.env``."""
NO_SETTINGS: Final = frozenset({ENV_FILE_VARIABLE, f"{PREFIX}STATIC", f"{PREFIX}BACKEND"})
"""Variables with the prefix that are no setting of the server: the last two are those of the page's build."""
ANTHROPIC: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
SECRET: Final = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"})
MASK: Final = "********"
URLS: Final = frozenset({"database_url", "redis_url"})
"""Settings of which only a part is secret."""
# To the last @ before the path: a password that was not escaped may hold one, or a slash.
USER_INFO: Final = re.compile(r"(?<=//)\S*(?=@)")
SECRET_QUERY: Final = re.compile(r"(?i)([?&](?:password|passwd|pwd|token|key|api_key|secret|sslpassword)=)[^&#]*")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The settings in force and where each comes from."""

    settings: Settings
    sources: Mapping[str, str]
    """``default``, ``env`` or the name of the file, by the variable's name."""
    unknown: tuple[str, ...]
    """Variables that look like settings and are none."""

    def warnings(self) -> Iterator[str]:
        """Yield one sentence for each variable that means nothing here."""
        known = [variable_of(name) for name in Settings.model_fields]
        for name in self.unknown:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            yield f"{name} is no setting and does nothing. The nearest there is: {close[0]}"

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, value and source of each setting, and of what Anthropic's package reads; passwords are masked.

        Model and database are those in force where the settings leave them open.
        """
        is_public = os.environ.get("VERCEL") == "1"
        database = database_url(self.settings, is_public=is_public) or OFF
        in_force = {"model": default_model(os.environ)[0], "database_url": database}
        for name in Settings.model_fields:
            variable, value = variable_of(name), getattr(self.settings, name)
            text = in_force.get(name, "") if value is None else shown_url(value) if name in URLS else shown(value)
            yield variable, text, self.sources[variable]
        for variable in ANTHROPIC:
            value = os.environ.get(variable, "")
            # The text before the host may be a key.
            masked = MASK if value and variable in SECRET else USER_INFO.sub(MASK, value)
            yield variable, masked, self.sources[variable]


def load_environment() -> Environment:
    """Read the settings. Other variables of the file are put into the environment, where other packages read them.

    Raises:
        ConfigurationError: A setting, Anthropic's address or a key is wrong, or the file that `ENV_FILE_VARIABLE`
            names is not there.
    """
    drop_blank()
    file = env_file()
    in_file = {name for name, value in dotenv_values(file).items() if value} if file is not None else set[str]()
    in_environ = {name for name, value in os.environ.items() if value}
    try:
        # Type checkers see the fields alone among the parameters.
        settings = Settings(_env_file=file)  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        raise settings_error(error) from None
    if file is not None:
        export_others(file)
    put_anthropic_in_order()
    names = [*map(variable_of, Settings.model_fields), *ANTHROPIC]
    return Environment(
        settings=settings,
        sources={name: source_of(name, in_environ, in_file, str(file)) for name in names},
        unknown=tuple(sorted(name for name in in_environ | in_file if is_unknown(name))),
    )


def drop_blank() -> None:
    """Take blank variables out of the environment: they count as unset, for the ``anthropic`` package too."""
    for name, value in list(os.environ.items()):
        if not value.strip() and name.upper().startswith((PREFIX, "ANTHROPIC_")):
            del os.environ[name]


def put_anthropic_in_order() -> None:
    readers = dict.fromkeys(SECRET, read_key) | {"ANTHROPIC_BASE_URL": read_base_url}
    for name, read in readers.items():
        if (value := os.environ.get(name)) and (read_value := read(value, name)):
            os.environ[name] = read_value


def env_file() -> Path | None:
    named = os.environ.get(ENV_FILE_VARIABLE)
    path = Path(named or ".env")
    # In a folder that this user may not enter, such as root's home after `sudo -u`, is_file raises.
    if os.access(path, os.F_OK) and path.is_file():
        if not os.access(path, os.R_OK):
            raise ConfigurationError(f"{path} must be a file that this user may read.")
        return path
    if named:
        raise ConfigurationError(f"{ENV_FILE_VARIABLE} (--env-file) must name a file that is there.")
    return None


def export_others(file: Path) -> None:
    """Set the file's other variables in the environment, except those that are set already."""
    for name, value in dotenv_values(file).items():
        if value and not name.upper().startswith(PREFIX) and not os.environ.get(name):
            os.environ[name] = value


def variable_of(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


def source_of(variable: str, in_environ: set[str], in_file: set[str], file: str) -> str:
    if variable in {name.upper() for name in in_environ}:
        return "env"
    return file if variable in {name.upper() for name in in_file} else "default"


def is_unknown(name: str) -> bool:
    upper = name.upper()
    return (
        upper.startswith(PREFIX)
        and upper.removeprefix(PREFIX).lower() not in Settings.model_fields
        and upper not in NO_SETTINGS
    )


def shown_url(value: SecretStr) -> str:
    """Return a setting's URL as `shown_address` does."""
    return shown_address(value.get_secret_value())


def shown_address(address: str) -> str:
    """Return a URL with its password masked, and what may be one in its query."""
    url = USER_INFO.sub(mask_password, address)
    return SECRET_QUERY.sub(rf"\1{MASK}", url)


def mask_password(found: re.Match[str]) -> str:
    name, colon, _ = found.group().partition(":")
    return f"{name}:{MASK}" if colon else name


def shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return MASK
        case tuple():
            return ",".join(shown(item) for item in cast("tuple[Any, ...]", value))
        case bool():
            return str(value).lower()
        case _:
            return str(value)
