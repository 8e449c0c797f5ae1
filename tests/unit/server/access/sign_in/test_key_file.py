"""Named keys: shown once, stored as digests, revoked while the server runs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from usechat.errors import ConfigurationError
from usechat.server.access.sign_in.key_file import KeyFile


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def look_again(keys: KeyFile) -> None:
    keys.fresh_until = 0.0


def test_key_opens_until_it_is_revoked(keys: KeyFile) -> None:
    other = KeyFile(keys.path)
    assert keys.find("anything") is None
    made = other.make("ann")
    look_again(keys)
    assert keys.find(made) == "ann"
    assert keys.find(made + "x") is None
    other.revoke("ann")
    look_again(keys)
    assert keys.find(made) is None
    assert [key.name for key in other.read()] == ["ann"]
    assert other.read()[0].revoked is not None


def test_file_is_looked_at_once_a_second_at_most(keys: KeyFile) -> None:
    made = keys.make("ann")
    assert keys.find(made) == "ann"
    keys.path.unlink()
    assert keys.find(made) == "ann"
    look_again(keys)
    assert keys.find(made) is None


def test_file_holds_no_key_and_is_for_its_user_alone(keys: KeyFile) -> None:
    made = keys.make("ann")
    text = keys.path.read_text()
    assert made not in text
    assert made.removeprefix("uck_") not in text
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert len(made) > 40
    assert list(keys.path.parent.iterdir()) == [keys.path]


def test_name_has_one_key_at_a_time(keys: KeyFile) -> None:
    first = keys.make("ann")
    with pytest.raises(ConfigurationError, match="there is a key named ann"):
        keys.make("ann")
    keys.revoke("ann")
    second = keys.make("ann")
    assert (keys.find(first), keys.find(second)) == (None, "ann")
    keys.revoke("ann")
    assert all(key.revoked for key in keys.read())
    with pytest.raises(ConfigurationError, match="no key named ann in force"):
        keys.revoke("ann")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101])
def test_name_can_be_written_into_a_log(keys: KeyFile, name: str) -> None:
    with pytest.raises(ConfigurationError, match="printable"):
        keys.make(name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": [1]}', '{"keys": [{"name": "a"}]}', "\udcff"])
def test_file_of_something_else_lets_nobody_in(keys: KeyFile, text: str) -> None:
    made = keys.make("ann")
    keys.path.write_bytes(text.encode(errors="surrogateescape"))
    assert keys.find(made) is None
    with pytest.raises(ConfigurationError, match="no file of keys"):
        keys.read()


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        KeyFile(tmp_path / "nowhere" / "keys.json").make("ann")
