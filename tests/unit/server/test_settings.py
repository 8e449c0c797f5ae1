from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from usechat import Timeout
from usechat.errors import ConfigurationError
from usechat.server.environment import load_environment
from usechat.server.loopback import is_loopback_host
from usechat.server.settings import Settings

ROOT = Path(__file__).resolve().parents[3]

Set = Callable[..., None]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Set:
    """An environment without any of our variables, in a folder without a .env file."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("USECHAT_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    # What loading puts there is taken away again.
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, "")

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_nothing_has_to_be_set(environ: Set) -> None:
    environment = load_environment()
    assert (environment.settings.host, environment.settings.port) == ("127.0.0.1", 8000)
    assert set(environment.sources.values()) == {"default"}
    assert list(environment.warnings()) == []


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("one", ("one",)),
        ("one,two", ("one", "two")),
        (" one , two ,", ("one", "two")),
        ('["one", "two"]', ("one", "two")),
        (' ["a,b"]', ("a,b",)),
        ("", ()),
    ],
)
def test_list_is_written_with_commas_or_as_json(environ: Set, text: str, items: tuple[str, ...]) -> None:
    environ(USECHAT_MODELS=text, USECHAT_API_KEYS=text)
    settings = load_environment().settings
    assert settings.models == items
    assert settings.keys == items


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "eighty", "USECHAT_PORT (--port) must be a whole number from 0 to 65535."),
        ("PORT", "65536", "USECHAT_PORT (--port) must be a whole number from 0 to 65535."),
        ("PORT", "-1", "USECHAT_PORT (--port) must be a whole number from 0 to 65535."),
        ("WORKERS", "0", "USECHAT_WORKERS (--workers) must be a whole number from 1 to 256."),
        ("API_KEYS", ",", "USECHAT_API_KEYS must be a list of keys, of printable characters."),
        ("API_KEYS", "[]", "USECHAT_API_KEYS must be a list of keys, of printable characters."),
        ("API_KEYS", "[1]", "USECHAT_API_KEYS must be a list of keys, of printable characters."),
        ("API_KEYS", "[", "USECHAT_API_KEYS must be a list of keys, of printable characters."),
        ("API_KEYS", '["good", 7]', "USECHAT_API_KEYS must be a list of keys, of printable characters."),
        ("API_KEYS", "good,bäd", "USECHAT_API_KEYS must be a list of keys, of printable characters."),
        ("API_KEYS", "two words", "USECHAT_API_KEYS must be a list of keys, of printable characters."),
        ("CHUNK_SECONDS", "-1", "USECHAT_CHUNK_SECONDS must be a number of seconds from 0."),
        ("ANSWER_SECONDS", "nan", "USECHAT_ANSWER_SECONDS must be a number of seconds from 0."),
        ("INSECURE", "perhaps", "USECHAT_INSECURE (--insecure) must be true or false."),
        (
            "CORS_ORIGINS",
            "chat.example",
            "USECHAT_CORS_ORIGINS must be a list of origins such as https://chat.example, or *.",
        ),
        (
            "CORS_ORIGINS",
            "https://chat.example/page",
            "USECHAT_CORS_ORIGINS must be a list of origins such as https://chat.example, or *.",
        ),
        ("PRICES", "claude-sonnet-4-6", "USECHAT_PRICES must be a list such as MODEL=3/15."),
        ("PRICES", "claude-sonnet-4-6=3", "USECHAT_PRICES must be a list such as MODEL=3/15."),
        ("PRICES", "claude-sonnet-4-6=3/-1", "USECHAT_PRICES must be a list such as MODEL=3/15."),
        ("PRICES", "m=3/15/0.3", "USECHAT_PRICES must be a list such as MODEL=3/15."),
        ("MAX_BODY_BYTES", "0", "USECHAT_MAX_BODY_BYTES must be a whole number from 1."),
        ("MAX_STEPS", "0", "USECHAT_MAX_STEPS must be a whole number from 1 to 100."),
        ("MAX_OUTPUT_TOKENS", "many", "USECHAT_MAX_OUTPUT_TOKENS must be a whole number from 1."),
        ("SHUTDOWN_SECONDS", "-1", "USECHAT_SHUTDOWN_SECONDS must be a whole number from 0."),
        ("APPROVAL_SECRET", "short", "USECHAT_APPROVAL_SECRET must be at least 16 characters."),
        ("SDK", "8", "USECHAT_SDK must be auto, a major from 2 to 7 or a version such as 6.0.100."),
        ("HEARTBEAT", "inf", "USECHAT_HEARTBEAT must be a number from 0 to 3600."),
        ("HEARTBEAT", "nan", "USECHAT_HEARTBEAT must be a number from 0 to 3600."),
        ("WEB_DIR", "nowhere", "USECHAT_WEB_DIR must be a folder with an index.html."),
        ("LOG_LEVEL", "loud", "USECHAT_LOG_LEVEL must be debug, info, warning, error or critical."),
    ],
)
def test_wrong_setting_is_named_with_what_it_should_be(environ: Set, name: str, value: str, sentence: str) -> None:
    environ(**{f"USECHAT_{name}": value})
    with pytest.raises(ConfigurationError) as caught:
        load_environment()
    assert str(caught.value) == sentence


def test_all_wrong_settings_are_named_at_once(environ: Set) -> None:
    environ(USECHAT_PORT="x", USECHAT_SDK="x")
    with pytest.raises(ConfigurationError, match=r"USECHAT_PORT .+\. USECHAT_SDK .+\.$"):
        load_environment()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("https://Chat.Example/", "https://chat.example"), ("http://localhost:3000", "http://localhost:3000"), ("*", "*")],
)
def test_origin_is_kept_as_browsers_write_it(environ: Set, given: str, kept: str) -> None:
    environ(USECHAT_CORS_ORIGINS=given)
    assert load_environment().settings.cors_origins == (kept,)


def test_empty_variable_counts_as_unset(environ: Set) -> None:
    environ(USECHAT_PORT="", USECHAT_MODEL="")
    environment = load_environment()
    assert (environment.settings.port, environment.settings.model) == (8000, None)
    assert environment.sources["USECHAT_PORT"] == "default"


def test_file_is_read_and_the_environment_goes_before_it(environ: Set) -> None:
    Path(".env").write_text("USECHAT_PORT=1\nUSECHAT_MODEL=demo\nANTHROPIC_API_KEY=of-the-file\n")
    environ(USECHAT_PORT="2")
    environment = load_environment()
    assert (environment.settings.port, environment.settings.model) == (2, "demo")
    assert [environment.sources[name] for name in ("USECHAT_PORT", "USECHAT_MODEL", "USECHAT_HOST")] == [
        "env",
        ".env",
        "default",
    ]
    assert os.environ["ANTHROPIC_API_KEY"] == "of-the-file"
    assert environment.sources["ANTHROPIC_API_KEY"] == ".env"


def test_file_does_not_overwrite_a_key_of_the_environment(environ: Set) -> None:
    Path(".env").write_text("ANTHROPIC_API_KEY=of-the-file\n")
    environ(ANTHROPIC_API_KEY="of-the-environment")
    assert load_environment().sources["ANTHROPIC_API_KEY"] == "env"
    assert os.environ["ANTHROPIC_API_KEY"] == "of-the-environment"


def test_another_file_can_be_named(environ: Set, tmp_path: Path) -> None:
    Path(".env").write_text("USECHAT_PORT=1\n")
    (tmp_path / "other").write_text("USECHAT_PORT=3\n")
    environ(USECHAT_ENV_FILE=str(tmp_path / "other"))
    environment = load_environment()
    assert environment.settings.port == 3
    assert list(environment.warnings()) == []


def test_named_file_must_be_there(environ: Set) -> None:
    environ(USECHAT_ENV_FILE="nowhere")
    with pytest.raises(ConfigurationError, match=r"USECHAT_ENV_FILE \(--env-file\) must name a file that is there"):
        load_environment()


def test_unknown_variable_is_told_with_the_nearest_one_there_is(environ: Set) -> None:
    Path(".env").write_text("USECHAT_API_KEY=x\n")
    environ(USECHAT_MODLE="demo", USECHAT_STATIC="1", USECHAT_BACKEND="http://127.0.0.1:8000")
    assert list(load_environment().warnings()) == [
        "USECHAT_API_KEY is no setting and does nothing. The nearest there is: USECHAT_API_KEYS",
        "USECHAT_MODLE is no setting and does nothing. The nearest there is: USECHAT_MODEL",
    ]


def test_rows_mask_every_secret(environ: Set) -> None:
    environ(
        USECHAT_API_KEYS="secret-one,secret-two",
        USECHAT_APPROVAL_SECRET="secret-of-sixteen-characters",
        ANTHROPIC_API_KEY="secret-key",
        ANTHROPIC_BASE_URL="https://name:secret@proxy.example/v1",
        USECHAT_INSECURE="1",
    )
    rows = {name: value for name, value, _ in load_environment().rows()}
    assert "secret" not in "".join(rows.values())
    assert rows["USECHAT_API_KEYS"] == "********,********"
    assert rows["ANTHROPIC_BASE_URL"] == "https://********@proxy.example"
    assert rows["USECHAT_INSECURE"] == "true"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ann@db.example/chats", "postgresql://ann@db.example/chats"),
        (
            "postgresql://ann:secret@db.example/chats?sslmode=require",
            "postgresql://ann:********@db.example/chats?sslmode=require",
        ),
        ("postgresql://ann:se@cr/et@db.example/chats", "postgresql://ann:********@db.example/chats"),
        (
            "postgresql://db.example/chats?user=ann&password=secret#a",
            "postgresql://db.example/chats?user=ann&password=********#a",
        ),
        ("sqlite:///chats.db", "sqlite:///chats.db"),
        ("off", "off"),
    ],
)
def test_of_an_address_only_the_password_is_masked(environ: Set, given: str, shown: str) -> None:
    environ(USECHAT_DATABASE_URL=given, USECHAT_REDIS_URL="redis://:secret@cache.example/0")
    rows = {name: value for name, value, _ in load_environment().rows()}
    assert rows["USECHAT_DATABASE_URL"] == shown
    assert rows["USECHAT_REDIS_URL"] == "redis://:********@cache.example/0"


def test_model_and_database_in_force_are_shown(environ: Set) -> None:
    environ(ANTHROPIC_API_KEY="key")
    rows = {name: (value, source) for name, value, source in load_environment().rows()}
    assert rows["USECHAT_MODEL"] == ("claude-sonnet-4-6", "default")
    assert rows["USECHAT_DATABASE_URL"] == ("sqlite:///usechat.db", "default")
    environ(VERCEL="1", USECHAT_MODEL="demo")
    rows = {name: (value, source) for name, value, source in load_environment().rows()}
    assert rows["USECHAT_MODEL"] == ("demo", "env")
    assert rows["USECHAT_DATABASE_URL"] == ("off", "default")


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_blank_variable_leaves_what_the_file_says(environ: Set, blank: str) -> None:
    Path(".env").write_text("USECHAT_MODEL=demo\nANTHROPIC_API_KEY=key\nANTHROPIC_BASE_URL=\nUSECHAT_PORT=1\n")
    environ(USECHAT_MODEL=blank, ANTHROPIC_API_KEY=blank, ANTHROPIC_BASE_URL=blank, USECHAT_PORT=blank)
    environment = load_environment()
    assert (environment.settings.model, environment.settings.port) == ("demo", 1)
    assert os.environ["ANTHROPIC_API_KEY"] == "key"
    assert "ANTHROPIC_BASE_URL" not in os.environ
    assert environment.sources["USECHAT_MODEL"] == ".env"


def test_address_and_key_are_put_in_order(environ: Set) -> None:
    environ(ANTHROPIC_BASE_URL=" https://proxy.example/v1/ ", ANTHROPIC_API_KEY="key\n", ANTHROPIC_AUTH_TOKEN=" token ")
    load_environment()
    assert [os.environ[name] for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")] == [
        "https://proxy.example",
        "key",
        "token",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_BASE_URL", "localhost:8000"),
        ("ANTHROPIC_BASE_URL", "proxy.example/v1"),
        ("ANTHROPIC_BASE_URL", "ftp://proxy.example"),
        ("ANTHROPIC_BASE_URL", "https:///path"),
        ("ANTHROPIC_BASE_URL", "https://proxy.example:many"),
        ("ANTHROPIC_BASE_URL", "https://[::1"),
        ("ANTHROPIC_BASE_URL", "https://proxy example"),
        ("ANTHROPIC_API_KEY", "hidden\nother"),
        ("ANTHROPIC_AUTH_TOKEN", "hïdden"),
    ],
)
def test_wrong_address_or_key_is_refused_by_its_name_and_not_repeated(environ: Set, name: str, value: str) -> None:
    environ(**{name: value})
    with pytest.raises(ConfigurationError, match=f"^{name} must be") as caught:
        load_environment()
    assert value not in str(caught.value)


def test_every_secret_is_hidden_in_the_settings_own_text() -> None:
    settings = Settings(api_keys=(SecretStr("hidden"),), approval_secret=SecretStr("hidden-too-hidden-too"))
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "is_right"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "::"}, False),
        ({"host": "chat.example"}, False),
        ({"host": "0.0.0.0", "insecure": True}, True),
        ({"host": "0.0.0.0", "api_keys": "key"}, True),
    ],
)
def test_without_keys_only_loopback_is_listened_on(settings: dict[str, object], is_right: bool) -> None:
    made = Settings.model_validate(settings)
    if is_right:
        made.check_exposure()
    else:
        with pytest.raises(ConfigurationError, match=r"^USECHAT_HOST \(--host\) must be a loopback address"):
            made.check_exposure()


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("api.localhost", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_everything_else(host: str, is_loopback: bool) -> None:
    assert is_loopback_host(host) is is_loopback


def test_example_file_names_every_setting_with_its_default() -> None:
    lines = [line.removeprefix("# ") for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line]
    named = dict(line.split("=", 1) for line in lines)
    default = Settings()
    for name in Settings.model_fields:
        text = named.pop(f"USECHAT_{name.upper()}")
        assert Settings.model_validate({name: text} if text else {}) == default
    assert set(named) == {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"}


def test_time_limits_are_those_of_the_settings_and_zero_is_none():
    settings = Settings(answer_seconds=60, chunk_seconds=0)
    assert settings.timeout == Timeout(total=60, step=math.inf, first_chunk=300, chunk=math.inf)
