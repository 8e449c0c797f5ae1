"""Adds the request's id to log lines."""

from __future__ import annotations

import logging

from usechat.server.access.middleware import request_id

__all__ = ["RequestIdFilter"]


class RequestIdFilter(logging.Filter):
    """Add the id of the current request, or ``-``, to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = request_id.get()
        return True
