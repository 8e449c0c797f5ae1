"""Repair the histories that the Messages API would refuse. No I/O."""

from __future__ import annotations

from usechat.models.claude.request.repairs.repair import arrange, is_orderly, put_in_order, repair_messages

__all__ = ["arrange", "is_orderly", "put_in_order", "repair_messages"]
