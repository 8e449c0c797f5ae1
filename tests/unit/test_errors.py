"""Every exception of the package can be found from its module."""

from __future__ import annotations

import re

from usechat import errors

CLASSES = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}


def test_every_exception_is_public() -> None:
    assert set(errors.__all__) == CLASSES


def test_every_exception_is_in_the_tree_of_the_documentation() -> None:
    assert set(re.findall(r"\b\w+Error\b(?= )", errors.__doc__ or "")) | {"UsechatError"} == CLASSES
