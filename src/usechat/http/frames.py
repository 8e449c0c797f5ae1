"""Writes an answer to a run's log as the frames of one wire format."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from usechat.errors import AnswerFailedError, StreamProtocolError
from usechat.failures import log_failure
from usechat.parts import Error, Part
from usechat.protocol.encoders import Encoder
from usechat.protocol.shaping import ChunkShaper, Shaped

__all__ = ["FrameLog", "FrameWriter", "TellError"]

logger = logging.getLogger(__name__)


class FrameLog(Protocol):
    """Takes an answer's frames: a run's log, or a pipe to its only reader.

    Implemented by: `usechat.runs.pipe.Pipe`, `usechat.runs.handle.RunHandle`.
    """

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that the answer must wait."""
        ...

    def append(self, data: bytes) -> None:
        """Add whole frames."""
        ...

    async def room(self) -> None:
        """Wait while it is full."""
        ...

    def end(self, error: BaseException | None = None) -> None:
        """Record that nothing more comes.

        Args:
            error: The failure of the run, when its frames cannot tell it.
        """
        ...


class TellError(Protocol):
    """Makes the part that tells the client about an error.

    Implemented by: `AnswerToSend.error_part`.
    """

    def __call__(self, error: BaseException, /) -> Error:
        """Return the part."""
        ...


class FrameWriter:
    """Write an answer's frames, with a legal end whatever happens; a `usechat.answers.loop.outputs.Output`.

    Args:
        encoder: Of the answer's shaper.
        log: Where the frames go.
        tell_error: Makes the part for an error that prevented the answer from being sent.
        breaks_on_error: Whether a failed answer fails the run. Then its frames do not tell the failure.
    """

    __slots__ = ("breaks_on_error", "encoder", "failure", "is_broken", "log", "tell_error")

    def __init__(
        self, encoder: Encoder, log: FrameLog, tell_error: TellError, *, breaks_on_error: bool = False
    ) -> None:
        self.encoder = encoder
        self.log = log
        self.tell_error = tell_error
        self.breaks_on_error = breaks_on_error
        self.failure: AnswerFailedError | None = None
        """The text that a format with errors would have sent."""
        self.is_broken = False
        """Whether the encoder failed in the middle of its work, so that its state is unknown."""

    def begin(self) -> None:
        """Write the opening frame, if the format has one."""
        # A middleware may hold the headers back until the first bytes. Where an error is told by the status, they wait.
        if not self.breaks_on_error:
            self.log.append(self.encoder.opening)

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that the answer must wait."""
        return self.log.is_full

    async def room(self) -> None:
        """Wait while it is full."""
        await self.log.room()

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Write the frames of some parts."""
        if self.breaks_on_error:
            self._note_failure(parts)
        try:
            data = self.encoder.encode(shaped)
        except Exception:
            self.is_broken = True
            raise
        if data:
            self.log.append(data)

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Write the last frames."""
        if isinstance(failure, StreamProtocolError):
            # Only in strict mode, for tests.
            self.log.end(failure)
            return
        if failure is not None:
            log_failure(logger, "the answer could not be sent", failure)
        try:
            data = self._last_frames(parts, shaped)
            if self.breaks_on_error:
                self._note_failure(parts)
            if data:
                self.log.append(data)
        finally:
            self.log.end(self.failure)

    def _note_failure(self, parts: list[Part]) -> None:
        for part in parts:
            if isinstance(part, Error) and self.failure is None:
                self.failure = AnswerFailedError(part.error_text)

    def _last_frames(self, parts: list[Part], shaped: Sequence[Shaped]) -> bytes:
        if not self.is_broken:
            try:
                return self.encoder.encode(shaped) + self.encoder.terminator()
            except Exception as error:
                logger.exception("the answer's end could not be sent")
                parts.append(self.tell_error(error))
        # Nothing of the failed batch was sent. The end is encoded from a fresh state, which refers to no open block.
        shaper = self.encoder.shaper
        encoder = self.encoder.again(ChunkShaper(shaper.dialect, shaper.options))
        return encoder.feed_all(parts) + encoder.finish()
