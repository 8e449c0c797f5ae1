"""The names of the log's keys in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from usechat.runs.base import RunInfo

__all__ = ["Keys"]


@dataclass(frozen=True)
class Keys:
    """All keys below one prefix."""

    prefix: str

    @property
    def leases(self) -> str:
        """Until when each running run's producer counts as alive."""
        return f"{self.prefix}leases"

    @property
    def stops(self) -> str:
        """The channel for requests to stop."""
        return f"{self.prefix}stops"

    def run(self, run_id: str) -> str:
        """What is known of a run."""
        return f"{self.prefix}run:{run_id}"

    def log(self, run_id: str) -> str:
        """A run's frames."""
        return f"{self.prefix}log:{run_id}"

    def chat(self, chat_id: str) -> str:
        """A chat's newest run."""
        return f"{self.prefix}chat:{chat_id}"

    def resumed(self, chat_id: str) -> str:
        """Whether a chat's client comes back."""
        return f"{self.prefix}resumed:{chat_id}"

    def wake(self, process_id: str) -> str:
        """What gets a process out of waiting for entries."""
        return f"{self.prefix}wake:{process_id}"

    def of_run(self, info: RunInfo) -> list[str]:
        """The keys that the scripts for a run take."""
        return [self.run(info.id), self.log(info.id), self.chat(info.chat_id), self.leases]
