"""Where the settings come from: the environment, the ``.env`` file, the defaults; and what is unknown there."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from usechat.errors import ConfigurationError
from usechat.server.settings import PREFIX, Settings, settings_error

__all__ = ["ENV_FILE_VARIABLE", "Environment", "Source", "load_environment"]

Source: TypeAlias = Literal["default", "env", ".env"]

ENV_FILE_VARIABLE: Final = f"{PREFIX}ENV_FILE"
"""Names the file to read in place of ``.env``."""
NO_SETTINGS: Final = frozenset({ENV_FILE_VARIABLE, f"{PREFIX}STATIC", f"{PREFIX}BACKEND"})
"""Variables with the prefix that are no setting of the server: the last two are those of the page's build."""
ANTHROPIC: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
SECRET: Final = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"})
MASK: Final = "********"
USER_INFO: Final = re.compile(r"(?<=//)[^/@]*(?=@)")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The settings in force and where each comes from."""

    settings: Settings
    sources: Mapping[str, Source]
    """By the variable's name."""
    unknown: tuple[str, ...]
    """Variables that look like settings and are none."""

    def warnings(self) -> Iterator[str]:
        """One sentence for each variable that means nothing here."""
        known = [variable_of(name) for name in Settings.model_fields]
        for name in self.unknown:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            yield f"{name} is no setting and does nothing. The nearest there is: {close[0]}"

    def rows(self) -> Iterator[tuple[str, str, Source]]:
        """Name, value and source of each setting, and of what Anthropic's package reads; secrets are masked."""
        for name in Settings.model_fields:
            variable = variable_of(name)
            yield variable, shown(getattr(self.settings, name)), self.sources[variable]
        for variable in ANTHROPIC:
            value = os.environ.get(variable, "")
            masked = MASK if value and variable in SECRET else USER_INFO.sub(MASK, value)
            yield variable, masked, self.sources[variable]


def load_environment() -> Environment:
    """Read the settings. Other variables of the file are put into the environment, where other packages read them.

    Raises:
        ConfigurationError: A setting is wrong, or the file that `ENV_FILE_VARIABLE` names is not there.
    """
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
    names = [*map(variable_of, Settings.model_fields), *ANTHROPIC]
    return Environment(
        settings=settings,
        sources={name: source_of(name, in_environ, in_file) for name in names},
        unknown=tuple(sorted(name for name in in_environ | in_file if is_unknown(name))),
    )


def env_file() -> Path | None:
    named = os.environ.get(ENV_FILE_VARIABLE)
    path = Path(named or ".env")
    if path.is_file():
        return path
    if named:
        raise ConfigurationError(f"{ENV_FILE_VARIABLE} (--env-file) must name a file that is there.")
    return None


def export_others(file: Path) -> None:
    """What the environment says already is left as it is."""
    for name, value in dotenv_values(file).items():
        if value and not name.upper().startswith(PREFIX) and not os.environ.get(name):
            os.environ[name] = value


def variable_of(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


def source_of(variable: str, in_environ: set[str], in_file: set[str]) -> Source:
    if variable in {name.upper() for name in in_environ}:
        return "env"
    return ".env" if variable in {name.upper() for name in in_file} else "default"


def is_unknown(name: str) -> bool:
    upper = name.upper()
    return (
        upper.startswith(PREFIX)
        and upper.removeprefix(PREFIX).lower() not in Settings.model_fields
        and upper not in NO_SETTINGS
    )


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
