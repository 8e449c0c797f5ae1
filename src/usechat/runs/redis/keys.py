"""The names of the log's keys in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from usechat.runs.log import RunInfo

__all__ = ["Keys"]


@dataclass(frozen=True)
class Keys:
    """The keys below one prefix."""

    prefix: str

    @property
    def leases(self) -> str:
        """The key of the leases: until when each producer counts as alive."""
        return f"{self.prefix}leases"

    @property
    def ended(self) -> str:
        """The key of the ended runs that are kept, the first to end first."""
        return f"{self.prefix}ended"

    @property
    def stops(self) -> str:
        """The channel for requests to stop."""
        return f"{self.prefix}stops"

    def run(self, run_id: str) -> str:
        """Return the key of a run's state."""
        return f"{self.prefix}run:{run_id}"

    def log(self, run_id: str) -> str:
        """Return the key of a run's frames."""
        return f"{self.prefix}log:{run_id}"

    def chat(self, chat_id: str) -> str:
        """Return the key of a chat's newest run."""
        return f"{self.prefix}chat:{chat_id}"

    def resumed(self, chat_id: str) -> str:
        """Return the key that says that a chat's client resumes."""
        return f"{self.prefix}resumed:{chat_id}"

    def asked(self, chat_id: str) -> str:
        """Return the key that says that a chat was asked for a short time ago."""
        return f"{self.prefix}asked:{chat_id}"

    def line(self, chat_id: str) -> str:
        """Return the key of the messages that wait for a chat."""
        return f"{self.prefix}line:{chat_id}"

    def wake(self, process_id: str) -> str:
        """Return the key that wakes a process which waits for entries."""
        return f"{self.prefix}wake:{process_id}"

    def of_run(self, info: RunInfo) -> list[str]:
        """Return the keys that a run's scripts take."""
        return [self.run(info.id), self.log(info.id), self.chat(info.chat_id), self.leases]
