"""Checks the arguments of an application. Each error is one sentence, raised in the call with the mistake."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

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


OF_AI_SDK: Final[Mapping[str, tuple[str, str]]] = {
    "instructions": ("system", "system=…"),
    "max_steps": ("stop_when", "stop_when=step_count_is(5)"),
    "maxSteps": ("stop_when", "stop_when=step_count_is(5)"),
}
"""The AI SDK's names of options that have another one here: that one, and what to write."""


@cache
def option_names(function: Callable[..., Any]) -> Sequence[str]:
    """Return the names of a function's keyword-only options, those of its typed ``**options`` included."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def refuse_unknown(what: str, given: Iterable[str], options: type, *more: str) -> None:
    """Refuse unknown options.

    Args:
        what: The function's name.
        given: The names of the options passed.
        options: A typed dict of the known options.
        more: Names of further known options.

    Raises:
        ConfigurationError: An option is unknown. The text has the nearest known one.
    """
    known = options.__annotations__
    for name in given:
        if name not in known and name not in more:
            names = [*known, *more]
            raise ConfigurationError(f"{what} has no option {name!r}{_mend(name, names)}")


def _mend(name: str, names: Sequence[str]) -> str:
    """Return the end of the error: what to write in place of an unknown option."""
    option, text = OF_AI_SDK.get(name, ("", ""))
    if option in names:
        return f": write {text}"
    close = difflib.get_close_matches(name, names, n=1)
    return f": do you mean {close[0]}?" if close else ""


def check_model(what: str, model: Any) -> None:
    """Refuse a value that is no model.

    Raises:
        ConfigurationError: ``model`` is no model.
    """
    if isinstance(model, str):
        raise ConfigurationError(f'{what} takes a model, not its name: write anthropic("{model}")')
    if not callable(getattr(model, "stream", None)):
        raise ConfigurationError(f"{what} takes a model such as anthropic(…), not {named(model)}")


def check_function(name: str, value: Any, of: str = "a function") -> None:
    """Refuse a value that is neither callable nor None.

    Raises:
        ConfigurationError: ``value`` is not callable.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} must be {of}, not {named(value)}")


def check_number(name: str, value: Any, *, least: float | None = None, most: float | None = None) -> None:
    """Refuse a value that is no number or is out of range; None is allowed.

    Raises:
        ConfigurationError: ``value`` is no number from ``least`` to ``most``.
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
    """Refuse a value that is no list of texts; None is allowed.

    A single text is refused too, because it would be read as a list of letters.

    Raises:
        ConfigurationError: ``value`` is no list of texts.
    """
    is_list = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    if value is None or (is_list and all(isinstance(item, str) for item in cast("Collection[Any]", value))):
        return
    raise ConfigurationError(f"{name} must be a list of texts, not {named(value)}")


def named(value: Any) -> str:
    """Return the type of a value, for an error's text. The value itself may be long or secret."""
    if isinstance(value, Mapping):
        return "a dict"
    return "None" if value is None else f"{type(value).__name__}"
