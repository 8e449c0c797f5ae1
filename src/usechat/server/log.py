"""Log lines that say which request they belong to."""

from __future__ import annotations

import logging

from usechat.server.middleware import request_id

__all__ = ["RequestIdFilter"]


class RequestIdFilter(logging.Filter):
    """Gives each record the id of the request that is being answered, or ``-``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = request_id.get()
        return True
