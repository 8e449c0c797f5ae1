"""The server's settings: what there is to set, and what a value must be.

Each setting is read from ``USECHAT_…`` in the environment or in the ``.env`` file, by `usechat.server.environment`. A
wrong value becomes one line that names the setting and says what it should be, and never repeats the value, which may
be a secret.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError

from usechat.extras import needing

with needing("server"):
    from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from usechat.errors import ConfigurationError
from usechat.messages.limits import DEFAULT_LIMITS, BodyLimits
from usechat.models.base import Timeout
from usechat.protocol.dialects import parse_dialect
from usechat.protocol.options import ToolErrors
from usechat.server.loopback import is_loopback_host, is_loopback_url
from usechat.server.prices import check_price

__all__ = ["PREFIX", "Settings", "settings_error"]

PREFIX: Final = "USECHAT_"

FLAGS: Final[Mapping[str, str]] = {name: f"--{name}" for name in ("host", "port", "model", "workers", "insecure")}
"""Settings that ``usechat serve`` also takes as an argument."""

ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s,]+", re.IGNORECASE)
AGENT: Final = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
KEY: Final = re.compile(r"[!-~]+")

ItemT = TypeVar("ItemT")


def setting(default: Any, purpose: str, expects: str, **constraints: Any) -> Any:
    """Return a field with its purpose, for ``usechat settings``, and with the end of the sentence "NAME must be …"."""
    return Field(default, description=purpose, json_schema_extra={"expects": expects}, **constraints)


def split_list(value: Any) -> Any:
    """Return the items of a list written with commas or as JSON. An empty list is a mistake."""
    if not isinstance(value, str):
        return value
    items: Any = json.loads(value) if value.lstrip().startswith("[") else value.split(",")
    texts = [item.strip() for item in cast("list[Any]", items) if isinstance(item, str) and item.strip()]
    if not texts or (value.lstrip().startswith("[") and len(texts) != len(items)):
        raise ValueError("no list")
    return tuple(texts)


def check_key(key: SecretStr) -> SecretStr:
    # Anything else cannot be sent in an Authorization header, so nobody could ever use it.
    if KEY.fullmatch(key.get_secret_value()) is None:
        raise ValueError("not printable")
    return key


def check_origin(origin: str) -> str:
    bare = origin.removesuffix("/")
    if bare != "*" and ORIGIN.fullmatch(bare) is None:
        raise ValueError("no origin")
    return bare.lower()


def check_sdk(name: str) -> str:
    try:
        parse_dialect(name)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return name


def check_agent(target: str) -> str:
    if AGENT.fullmatch(target) is None:
        raise ValueError("no module and name")
    return target


def check_page_url(url: str) -> str:
    # A browser reads a backslash as a slash, so both could begin the name of another host.
    is_path = url.startswith("/") and url[1:2] not in {"/", "\\"}
    is_web = is_path or url.startswith("https://") or (url.startswith("http://") and is_loopback_url(url))
    if not (is_web and url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("no address of a page")
    return url


def check_page(folder: Path) -> Path:
    if not (folder / "index.html").is_file():
        raise ValueError("no page")
    return folder


ListOf: TypeAlias = Annotated[tuple[ItemT, ...], NoDecode, BeforeValidator(split_list)]


class Settings(BaseSettings):
    """All that can be set. Empty variables count as unset."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    model: str | None = setting(
        None, "The model that answers; without it, what the environment has a key for", "a model's name, local or demo"
    )
    models: ListOf[str] = setting((), "Models that a client may choose by its body's model field", "a list of models")
    prices: ListOf[Annotated[str, AfterValidator(check_price)]] = setting(
        (), "US dollars for a million tokens in and out, which the page then shows", "a list such as MODEL=3/15"
    )
    agent: Annotated[str, AfterValidator(check_agent)] | None = setting(
        None, "The agent of your own that answers, in place of a model alone", "MODULE:NAME, such as my_app:agent"
    )
    system_prompt: str | None = setting(None, "Instructions to the model", "text")
    max_output_tokens: int | None = setting(
        None, "The most tokens of one model call; without it, the model's own limit", "a whole number from 1", ge=1
    )
    max_steps: int = setting(5, "The most model calls of one answer", "a whole number from 1 to 100", ge=1, le=100)
    answer_seconds: float = setting(
        0, "How long an answer may take, tools included; 0: without end", "a number of seconds from 0", ge=0
    )
    step_seconds: float = setting(
        0, "How long one model call and its tools may take; 0: without end", "a number of seconds from 0", ge=0
    )
    first_chunk_seconds: float = setting(
        300,
        "How long a model call may take to bring something to show, retries included; 0: without end",
        "a number of seconds from 0",
        ge=0,
    )
    chunk_seconds: float = setting(
        300,
        "How long a model may bring nothing more, whatever pings its provider sends; 0: without end",
        "a number of seconds from 0",
        ge=0,
    )

    host: str = setting("127.0.0.1", "The address to listen on", "an address of this machine", min_length=1)
    port: int = setting(8000, "The port to listen on; 0: a free one", "a whole number from 0 to 65535", ge=0, le=65535)
    workers: int = setting(1, "How many processes answer", "a whole number from 1 to 256", ge=1, le=256)
    shutdown_seconds: int = setting(
        10, "How long running answers may go on when the server is told to stop", "a whole number from 0", ge=0
    )

    api_keys: ListOf[Annotated[SecretStr, AfterValidator(check_key)]] = setting(
        (), "Keys of which every request to /api must carry one", "a list of keys, of printable characters"
    )
    keys_file: Path | None = setting(
        None, "A file of further keys, each with a name: usechat keys make, list and revoke change it", "a path"
    )
    jwt_secret: SecretStr | None = setting(
        None, "The secret by which another service signs users' tokens (HS256)", "at least 32 characters", min_length=32
    )
    jwt_jwks_url: str | None = setting(
        None, "Where such a service publishes its keys (RS256, ES256)", "a URL that begins with https://"
    )
    jwt_audience: str | None = setting(None, "The audience that tokens must name", "text")
    jwt_issuer: str | None = setting(None, "The issuer that tokens must name", "text")
    jwt_leeway_seconds: float = setting(
        30, "By how much the clocks of that service may differ", "a number of seconds from 0 to 600", ge=0, le=600
    )
    jwt_cookie: str | None = setting(
        None, "The cookie that holds the token of a page of this server; without it, only the header counts", "a name"
    )
    user: Annotated[str, AfterValidator(check_agent)] | None = setting(
        None, "The function of your own that says who sends a request", "MODULE:NAME, such as my_app:current_user"
    )
    sign_in_url: Annotated[str, AfterValidator(check_page_url)] | None = setting(
        None, "Where the page sends a visitor to sign in", "a path of this host, or a URL that begins with https://"
    )
    insecure: bool = setting(False, "Serve without keys beyond this machine", "true or false")
    max_answers: int = setting(
        2000, "How many answers a process makes at once; 0: any number", "a whole number from 0", ge=0
    )
    answers_each: int = setting(
        0, "How many of them for a user, and for an address; 0: any number", "a whole number from 0", ge=0
    )
    requests_per_minute: int = setting(
        0, "How many requests a minute of a user, and of an address; 0: any number", "a whole number from 0", ge=0
    )
    tokens_per_day: int = setting(
        0, "How many tokens a day for a user, and for an address; 0: any number", "a whole number from 0", ge=0
    )
    cors_origins: ListOf[Annotated[str, AfterValidator(check_origin)]] = setting(
        (), "Origins of pages on other hosts that may use /api", "a list of origins such as https://chat.example, or *"
    )
    image_origins: ListOf[Annotated[str, AfterValidator(check_origin)]] = setting(
        (), "Hosts from which the page may load pictures of an answer", "a list of origins such as https://img.example"
    )
    max_body_bytes: int = setting(20 * 2**20, "The largest request body, in bytes", "a whole number from 1", ge=1)
    body_seconds: float = setting(
        30,
        "How long a request's body may take to come, in seconds, beyond one for each 4096 bytes of it",
        "a number from 1 to 3600",
        ge=1,
        le=3600,
    )
    head_seconds: float = setting(
        30, "How long a request's head may take, from the connection on", "a number from 1 to 3600", ge=1, le=3600
    )
    send_seconds: float = setting(
        60, "How long a client may leave unread what is sent to it", "a number from 1 to 3600", ge=1, le=3600
    )
    max_messages: int = setting(
        DEFAULT_LIMITS.messages, "The most messages that a request may hold", "a whole number from 1", ge=1
    )
    max_parts: int = setting(
        DEFAULT_LIMITS.parts, "The most parts that one message of a request may have", "a whole number from 1", ge=1
    )
    max_values: int = setting(
        DEFAULT_LIMITS.values,
        "The most JSON values that a request's body may hold, objects and lists included",
        "a whole number from 1",
        ge=1,
    )
    client_options: ListOf[str] = setting(
        (),
        "Options of the provider that clients may send in messages; without it none, nor files and tool results of its",
        "a list of names such as cacheControl, providerReference or providerExecuted",
    )
    approval_secret: SecretStr | None = setting(
        None,
        "Signs requests for approval; without it, one is made at each start",
        "at least 16 characters",
        min_length=16,
    )

    database_url: SecretStr | None = setting(
        None,
        "Where chats are kept: sqlite or postgresql; without it usechat.db in the working folder; off: nowhere. "
        "postgresql://…?pgbouncer=true or false says whether a pooler shares connections; otherwise it is found out",
        "a URL such as sqlite:///usechat.db or postgresql://user@host/database, or off",
    )
    redis_url: SecretStr | None = setting(
        None, "Where running answers are kept; without it, in this process", "a URL such as redis://host:6379/0"
    )
    durable: Literal["soon", "strict"] = setting(
        "soon",
        "Whether readers get what Redis has not got yet (soon), or only what it has (strict)",
        "soon or strict",
    )
    keep_seconds: float = setting(
        600,
        "How long an ended answer can still be read from a cursor",
        "a number of seconds from 1 to 86400",
        ge=1,
        le=86_400,
    )
    keep_bytes: int = setting(
        128 * 2**20,
        "The most bytes of ended answers that are kept, in Redis or else in each process",
        "a whole number from 0",
        ge=0,
    )
    history: Literal["client", "server"] = setting(
        "client", "Who holds a chat's history: what the client posts, or what is stored", "client or server"
    )
    on_busy: Literal["reject", "interrupt", "enqueue"] = setting(
        "reject",
        "What becomes of a message to a chat that is being answered: refused, or answered at once or next",
        "reject, interrupt or enqueue",
    )
    on_lost: Literal["end", "continue"] = setting(
        "end",
        "What becomes of an answer whose process has died: ended, or continued by another, which takes Redis",
        "end or continue",
    )
    lost_attempts: int = setting(
        2,
        "How many processes may continue an answer, one after the other",
        "a whole number from 1 to 100",
        ge=1,
        le=100,
    )
    lost_seconds: float = setting(
        600, "The age from which on such an answer is ended", "a number of seconds from 0", ge=0
    )
    disconnect: Literal["auto", "cancel", "finish", "grace"] = setting(
        "auto", "What becomes of an answer whose readers have left", "auto, cancel, finish or grace"
    )
    grace_seconds: float = setting(
        30, "How long such an answer goes on in case they come back", "a number from 0", ge=0
    )
    lease_seconds: float = setting(
        15,
        "After how long a silence a process counts as dead, and what it was answering as lost",
        "a number from 1 to 600",
        ge=1,
        le=600,
    )

    sdk: Annotated[str, AfterValidator(check_sdk)] = setting(
        "auto", "The clients' AI SDK version", "auto, a major from 2 to 7 or a version such as 6.0.100"
    )
    heartbeat: float = setting(
        15, "Seconds of silence after which a sign of life is sent; 0: none", "a number from 0 to 3600", ge=0, le=3600
    )
    tool_errors: ToolErrors = setting(
        "masked", "What the browser sees of a failed tool: a fixed text, or the tool's own", "masked or shown"
    )
    error_detail: bool = setting(False, "Show errors' own words in the browser, not only in the log", "true or false")
    web_dir: Annotated[Path, AfterValidator(check_page)] | None = setting(
        None, "The folder of the built page; without it, web/out of the checkout", "a folder with an index.html"
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = setting(
        "info", "What is logged", "debug, info, warning, error or critical"
    )
    log_format: Literal["line", "json"] = setting(
        "line", "How log records are written: a line of text, or a JSON object", "line or json"
    )
    metrics: bool = setting(False, "Measure responses, and serve the numbers at /metrics", "true or false")
    access_log: bool = setting(False, "Log every request", "true or false")

    def check_exposure(self) -> None:
        """See that nobody beyond this machine gets in by accident.

        Raises:
            ConfigurationError: The server would listen beyond loopback with no key set.
        """
        if not (self.has_guard or self.insecure or is_loopback_host(self.host)):
            raise ConfigurationError(
                "USECHAT_HOST (--host) must be a loopback address as long as USECHAT_API_KEYS is not set: "
                "set keys, or let everybody in with --insecure."
            )

    @property
    def body_limits(self) -> BodyLimits:
        """The limits of a request's body."""
        return BodyLimits(messages=self.max_messages, parts=self.max_parts, values=self.max_values)

    @property
    def timeout(self) -> Timeout:
        """The time limits of answers."""
        return Timeout(
            total=self.answer_seconds or math.inf,
            step=self.step_seconds or math.inf,
            first_chunk=self.first_chunk_seconds or math.inf,
            chunk=self.chunk_seconds or math.inf,
        )

    @property
    def has_tokens(self) -> bool:
        """Whether users may show tokens."""
        return self.jwt_secret is not None or self.jwt_jwks_url is not None

    @property
    def has_guard(self) -> bool:
        """Whether requests must show who sends them."""
        return bool(self.api_keys) or self.keys_file is not None or self.has_tokens or self.user is not None

    @property
    def keys(self) -> tuple[str, ...]:
        """The API keys, no longer hidden."""
        return tuple(key.get_secret_value() for key in self.api_keys)


def settings_error(error: ValidationError) -> ConfigurationError:
    """Return all that is wrong with the settings, in one line that names each and says what it should be."""
    names = dict.fromkeys(str(one["loc"][0]) for one in error.errors(include_input=False, include_context=False))
    return ConfigurationError(" ".join(describe_wrong(name) for name in names))


def describe_wrong(name: str) -> str:
    # pydantic-settings names a field by its variable where it was read from the environment.
    field_name = name.lower().removeprefix(PREFIX.lower())
    extra = cast("dict[str, Any]", Settings.model_fields[field_name].json_schema_extra)
    flag = f" ({FLAGS[field_name]})" if field_name in FLAGS else ""
    return f"{PREFIX}{field_name.upper()}{flag} must be {extra['expects']}."
