"""Checks of what an application gives: each mistake is one sentence, at the call that it was made in."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, cast

from usechat.errors import ConfigurationError

__all__ = [
    "check_function",
    "check_model",
    "check_number",
    "check_texts",
    "named",
    "option_names",
    "refuse_unknown",
]


@cache
def option_names(function: Callable[..., Any]) -> Sequence[str]:
    """Return the names of a function's keyword options, those of its typed ``**options`` included."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def refuse_unknown(what: str, given: Iterable[str], options: type, *more: str) -> None:
    """Refuse options that there are none of.

    Args:
        what: The function's name.
        given: The options' names.
        options: A typed dict of those that there are.
        more: Others that there are.

    Raises:
        ConfigurationError: The nearest option that there is stands in its text.
    """
    known = options.__annotations__
    for name in given:
        if name not in known and name not in more:
            names = [*known, *more]
            close = difflib.get_close_matches(name, names, n=1)
            raise ConfigurationError(f"{what} has no option {name!r}{f': do you mean {close[0]}?' if close else ''}")


def check_model(what: str, model: Any) -> None:
    """Refuse what is no model.

    Raises:
        ConfigurationError: It is none.
    """
    if isinstance(model, str):
        raise ConfigurationError(f'{what} takes a model, not its name: write anthropic("{model}")')
    if not callable(getattr(model, "stream", None)):
        raise ConfigurationError(f"{what} takes a model such as anthropic(…), not {named(model)}")


def check_function(name: str, value: Any, of: str = "a function") -> None:
    """Refuse what cannot be called; None is no function and may be left out.

    Raises:
        ConfigurationError: It cannot be called.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} must be {of}, not {named(value)}")


def check_number(name: str, value: Any, *, least: float | None = None, most: float | None = None) -> None:
    """Refuse what is no number, and one that no provider takes; None is left out.

    Raises:
        ConfigurationError: It is none.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name} must be a number, not {named(value)}")
    is_fit = value >= (value if least is None else least) and value <= (value if most is None else most)
    if not is_fit:
        limits = f"from {least:g}" + (f" to {most:g}" if most is not None else "")
        raise ConfigurationError(f"{name} must be a number {limits}, not {value:g}")


def check_texts(name: str, value: Any) -> None:
    """Refuse what is no list of texts; None is left out.

    Raises:
        ConfigurationError: It is none; a text alone would be taken for a list of its letters.
    """
    is_list = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    if value is None or (is_list and all(isinstance(item, str) for item in cast("Collection[Any]", value))):
        return
    raise ConfigurationError(f"{name} must be a list of texts, not {named(value)}")


def named(value: Any) -> str:
    """Return what a value is, for an error's text; never the value, which may be long or secret."""
    if isinstance(value, Mapping):
        return "a dict"
    return "None" if value is None else f"{type(value).__name__}"
