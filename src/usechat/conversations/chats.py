"""The chats of an application: opens the stores, makes the routes, and hands out turns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NamedTuple, NoReturn, Self, Unpack, get_origin

from usechat.checks import named
from usechat.conversations.chat_turn import ChatTurn, Title
from usechat.conversations.conversations import Conversations
from usechat.conversations.lost.answers import Budget, LostAnswers, Rerun
from usechat.conversations.options import ChatsOptions, check_chats_options
from usechat.conversations.routes.parts import CalledFirst, RouteParts, make_owner
from usechat.conversations.storage import check_database_url, check_redis_url, prepare_database
from usechat.errors import ConfigurationError
from usechat.http.request import MAX_BODY_BYTES
from usechat.http.response import HEARTBEAT_SECONDS
from usechat.messages.limits import DEFAULT_LIMITS
from usechat.runs.log import Limits
from usechat.runs.memory.leased import LeasedRun
from usechat.runs.memory.log import MemoryLog
from usechat.runs.readers import ASKING_SECONDS
from usechat.runs.service import RunService

if TYPE_CHECKING:
    from fastapi import APIRouter

    from usechat.chats.store import ChatStore, Turn
    from usechat.conversations.answering import Answering
    from usechat.runs.log import RunLog
    from usechat.tools.tool import Tool

__all__ = ["Chats", "SettingNames"]

logger = logging.getLogger(__name__)

NOT_OPEN: Final = (
    "these chats are not open: give their lifespan to the application, FastAPI(lifespan=chats.lifespan), "
    "or write `async with chats:` in a lifespan of your own"
)
TURN: Final = CalledFirst("chats.turn makes a dependency: write Depends(chats.turn(user=current_user))")


class SettingNames(NamedTuple):
    """The names of the stores' addresses in errors."""

    database: str
    redis: str


class Chats:
    """The saved chats of an application, and the answers that are being made for them.

        chats = Chats("sqlite:///chats.db")
        app = FastAPI(lifespan=chats.lifespan)
        app.include_router(chats.router(agent, user=current_user), prefix="/api")

    Every chat is its owner's alone. For anybody else it does not exist: each route answers 404.

    Args:
        store: The database, ``sqlite:///chats.db`` or ``postgresql://user:password@host/database``, or a store of your
            own. SQLite's tables are made when the chats are opened, PostgreSQL's by ``usechat migrate``. None: chats
            are not saved, and no answer outlives its reader.
        **options: All by name.

            - ``redis_url``: where running answers are kept, so that each of several processes can send and stop them;
              without it, in this process.
            - ``run_log``: a log of your own in its place.
            - ``history``: who holds a chat's history. ``client``, which is the default: the model gets what the client
              posts. ``server``: it gets what is stored.
            - ``on_finish``: called once for each answer's end, in one process, with a `TurnEnd`; also when the process
              that made the answer has died.
            - ``on_busy``: what becomes of a message to a chat that is being answered: ``reject``, which is the default:
              409; ``interrupt``: that answer is stopped and saved; ``enqueue``: the message is answered next.
            - ``on_lost``: what becomes of an answer whose process has died: ``end``, which is the default: it is saved
              as far as it came; ``continue``: where ``redis_url`` is given, another process goes on with it, if it
              answers a route of `router`.
            - ``lost_attempts``: how many processes may go on with an answer, one after the other; 2.
            - ``lost_seconds``: the age in seconds from which on such an answer is ended; 600.
            - ``disconnect``: what becomes of an answer whose readers have left: ``auto``, ``cancel``, ``finish`` or
              ``grace``. ``auto``, the default, lets it go on if the page resumes its stream.
            - ``grace``: seconds that such an answer goes on in case they come back; 30.
            - ``lease``: seconds of silence after which a process counts as dead, and its answers as lost; 15.
            - ``keep``: seconds that an ended answer can still be read from a cursor; 600.
            - ``keep_bytes``: the most bytes of ended answers that are kept, in Redis or else in this process; 128 MB.
            - ``is_strict``: True to show readers only what Redis has, so that they see nothing that a dying process
              takes with it; takes ``redis_url``. False.
            - ``shutdown_timeout``: seconds that running answers get when the application ends; 10.
            - ``sdk``: the clients' AI SDK version, if all have one; otherwise each request tells.
            - ``heartbeat``: seconds of silence after which a sign of life is sent, 15; None for none.
            - ``tool_errors``: what a browser sees of a failed tool: ``masked``, which is the default, or ``shown``.
            - ``max_body_bytes``: the largest request; 20 MB.
            - ``limits``: how many messages, parts and values a request may hold, and how many messages a chat.
            - ``is_only_process``: False where several processes answer without Redis; True without it.
            - ``is_lasting``: False where a platform ends or freezes a process with its last response, with or without a
              lifespan.
            - ``keep_alive``: called with the task of each answer on such a platform, so that it waits.
            - ``has_one_owner``: True if ``user`` gives one and the same owner for all; saves a look into the database.

    Raises:
        ConfigurationError: An option is unknown or wrong, or an address names no database that is supported.
    """

    names: ClassVar = SettingNames("Chats", "redis_url")
    checks_users: ClassVar = True
    """Whether what ``user`` returns is checked in each request."""
    tells_unsaved: ClassVar = True
    """Whether a line of the log tells that chats are not saved."""

    def __init__(self, store: str | ChatStore | None, **options: Unpack[ChatsOptions]) -> None:
        check_chats_options(options)
        if isinstance(store, str):
            check_database_url(store, self.names.database)
        elif store is not None and not callable(getattr(store, "begin_turn", None)):
            raise ConfigurationError(f'Chats takes the URL of a database ("sqlite:///chats.db"), not {named(store)}')
        redis_url = options.get("redis_url")
        if redis_url is not None:
            check_redis_url(redis_url, self.names.redis)
        if store is None and options.get("history") == "server":
            # Without saved chats the client's history would count, and it could be forged.
            raise ConfigurationError(f'history="server" takes chats that are saved: {self.names.database} is not set')
        if store is None and self.tells_unsaved:
            # What a variable gives that is not set.
            logger.warning("chats are not saved: Chats got None in place of a database's URL")
        self.store = store
        self.options = options
        self._conversations: Conversations | None = None
        self._reruns: dict[str, Rerun] = {}
        """What answers, by the names that runs have of it."""

    @property
    def is_saved(self) -> bool:
        """Whether chats are saved at all."""
        return self.store is not None

    @property
    def conversations(self) -> Conversations:
        """The open chats.

        Raises:
            ConfigurationError: They are not open.
        """
        if self._conversations is None:
            if self.options.get("is_lasting", True) or self.store is None:
                raise ConfigurationError(NOT_OPEN)
            # A platform that freezes processes may tell an application neither of its begin nor of its end.
            self._conversations = self._open(self.store)
        return self._conversations

    def router(
        self,
        answer: Answering,
        *,
        user: Callable[..., Any],
        title: Title | None = None,
        context: Callable[[ChatTurn], Any] | None = None,
        client_tools: Iterable[str | Tool] | None = None,
        origins: Iterable[str] = (),
        prefix: str = "",
    ) -> APIRouter:
        """Return the routes: chat, completion, stream, stop, list, read, change, delete, export, WebSocket.

        Args:
            answer: An agent, or a function of a `ChatTurn` that returns the answer, or ``turn.respond(answer, …)``.
            user: A dependency that returns the user's id, a text, and raises ``HTTPException(401)`` when nobody is
                signed in. For a WebSocket it gets a request with the head of the handshake, and the ``Authorization``
                of each frame.
            title: Makes the titles of new chats; see `ChatTurn.respond`.
            context: Makes the context that the agent's tools get, from the turn; it may be async.
            client_tools: The tools that the client runs, as names or tools: their outputs are taken from it. Without
                this, those of the agent's tools that have no function; for a function, any call that waits for an
                output. Where the client holds the history, its messages tell in any case.
            origins: The pages on other hosts, such as ``https://chat.example``, whose WebSockets may be known by
                cookies.
            prefix: Goes before the paths, for a router that is included without one.

        Raises:
            ConfigurationError: An argument is wrong.
        """
        from usechat.conversations.answering import name_answering, read_answering, read_client_tools
        from usechat.conversations.routes.router import make_router

        answering = read_answering(answer, title, context)
        name = name_answering(answer, self._reruns)
        parts = self._parts(user, read_client_tools(client_tools, answer), name)
        self._reruns[name] = Rerun(answering, parts.response_options, parts.is_client_tool)
        return make_router(parts, answering, check_origins(origins), prefix)

    def turn(
        self, *, user: Annotated[Callable[..., Any], TURN], client_tools: Iterable[str | Tool] | None = None
    ) -> Callable[..., Coroutine[Any, Any, ChatTurn]]:
        """Return a dependency that reads a ``useChat`` request and plans its turn, for a route of your own.

        Args:
            user: As for `router`.
            client_tools: As for `router`.

        Raises:
            ConfigurationError: An argument is wrong.
        """
        from usechat.conversations.answering import read_client_tools
        from usechat.conversations.routes.answers import make_turn

        return make_turn(self._parts(user, read_client_tools(client_tools, None)))

    def _parts(
        self, user: Callable[..., Any], is_client_tool: Callable[[str], bool] | None, answering: str | None = None
    ) -> RouteParts:
        if get_origin(user) is Annotated:
            raise ConfigurationError("user must be the function itself: write user=current_user, without Annotated")
        if not callable(user):
            raise ConfigurationError(f"user must be a function that returns the user's id, not {named(user)}")
        options = self.options
        return RouteParts(
            opened=(lambda: self.conversations) if self.is_saved else None,
            owner=make_owner(user) if self.checks_users else user,
            is_client_tool=is_client_tool,
            sdk=options.get("sdk"),
            heartbeat=options.get("heartbeat", HEARTBEAT_SECONDS) or None,
            tool_errors=options.get("tool_errors", "masked"),
            max_body_bytes=options.get("max_body_bytes", MAX_BODY_BYTES),
            limits=options.get("limits", DEFAULT_LIMITS),
            answering=answering,
        )

    def name_asker(self) -> str | None:
        """Return what `enter_lost` is to know of the request that is being answered."""
        return None

    def enter_lost(self, turn: Turn, asker: str | None) -> None:
        """Prepare the task that goes on with a lost answer.

        Args:
            turn: The answer's turn.
            asker: What `name_asker` returned in the process that has died.
        """

    async def migrate(self) -> None:
        """Create the tables, or bring those of an earlier version to this one, as ``usechat migrate`` does.

        Call it before the chats are opened, once for all processes. Nothing is done where chats are not saved in a
        database.

        Raises:
            ConfigurationError: The tables are a newer version's.
            OSError: PostgreSQL cannot be reached.
        """
        if isinstance(self.store, str):
            from usechat.chats.sql.migrations.migrate import migrate

            await migrate(self.store)

    def lifespan(self, _app: Any = None) -> OpenChats:
        """Keep the chats open while an application runs: ``FastAPI(lifespan=chats.lifespan)``.

        Raises:
            ConfigurationError: The database cannot be used, or its tables are not of this version.
        """
        return OpenChats(self)

    async def __aenter__(self) -> Self:
        """Open the chats: join the other processes, and end what dead ones have left.

        Raises:
            ConfigurationError: They are open already, or the database cannot be used.
        """
        if self._conversations is not None:
            raise ConfigurationError("these chats are open already: one lifespan is enough")
        if self.store is None:
            return self
        if isinstance(self.store, str):
            await prepare_database(self.store, self.names.database)
        conversations = self._open(self.store)
        await conversations.__aenter__()
        self._conversations = conversations
        if self.options.get("is_only_process", True) and getattr(conversations.store, "has_other_processes", False):
            logger.warning(
                "%s is open in another process, too, and there is no Redis (%s): an answer can be resumed and stopped "
                "only by the process that makes it. is_only_process=False says that this is known.",
                self.store,
                self.names.redis,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the answers that are being made here, and close the store and the log."""
        conversations = self._conversations
        if conversations is None:
            return
        try:
            await conversations.__aexit__(kind, error, trace)
        finally:
            self._conversations = None

    def _open(self, store: str | ChatStore) -> Conversations:
        options = self.options
        log = self._open_log()
        is_alone = log.is_shared or options.get("is_only_process", True)
        runs = RunService(
            log,
            disconnect=options.get("disconnect", "auto"),
            grace=options.get("grace", 30.0),
            # Of several processes another one may be asked, and cannot tell this one: waiting would be useless.
            asking=ASKING_SECONDS if is_alone else 0.0,
            shutdown_timeout=options.get("shutdown_timeout", 10.0),
            keep_alive=options.get("keep_alive"),
        )
        if isinstance(store, str):
            # Imported only when chats are saved: SQLAlchemy is heavy.
            from usechat.chats.sql.store import SqlChatStore

            store = SqlChatStore(store)
        conversations = Conversations(
            store,
            runs,
            options.get("history", "client"),
            on_finish=options.get("on_finish"),
            is_lasting=options.get("is_lasting", True),
            max_messages=options.get("limits", DEFAULT_LIMITS).messages,
            on_busy=options.get("on_busy", "reject"),
            has_one_owner=options.get("has_one_owner", False),
        )
        if options.get("on_lost", "end") == "continue" and not log.is_shared:
            logger.warning(
                "answers of a dead process are ended as lost, not continued: that takes a log of runs in Redis (%s)",
                self.names.redis,
            )
        elif options.get("on_lost", "end") == "continue":
            default = Budget()
            budget = Budget(
                attempts=options.get("lost_attempts", default.attempts),
                seconds=options.get("lost_seconds", default.seconds),
            )
            lost_answers = LostAnswers(conversations, self._reruns, budget, self.enter_lost)
            runs.lost.on_resume = lost_answers.resume
            begins = conversations.begins
            begins.keeps_lost_answers, begins.name_asker = True, self.name_asker
        return conversations

    def _open_log(self) -> RunLog:
        given, redis_url = self.options.get("run_log"), self.options.get("redis_url")
        if given is not None:
            return given
        default = Limits()
        limits = Limits(
            lease=self.options.get("lease", default.lease),
            keep=self.options.get("keep", default.keep),
            max_ended_bytes=self.options.get("keep_bytes", default.max_ended_bytes),
        )
        if redis_url is None:
            return MemoryLog(limits, LeasedRun)
        from usechat.runs.redis.log import RedisLog

        return RedisLog(redis_url, limits, is_strict=self.options.get("is_strict", False))

    def close(self) -> None:
        """Refuse new answers. Call it when the application is told to end; its lifespan ends the running ones."""
        if self._conversations is not None:
            self._conversations.runs.close()

    def release_readers(self) -> None:
        """Send the readers of other processes' answers away, with a legal end for those who cannot resume."""
        if self._conversations is not None:
            self._conversations.runs.release_readers()


class OpenChats(AbstractAsyncContextManager[None]):
    """Chats while an application runs."""

    def __init__(self, chats: Chats) -> None:
        self.chats = chats

    async def __aenter__(self) -> None:
        """Open the chats."""
        await self.chats.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the chats."""
        await self.chats.__aexit__(kind, error, trace)

    def __call__(self, _app: Any) -> NoReturn:
        """Refuse to be an application's lifespan.

        Raises:
            ConfigurationError: It was called already.
        """
        raise ConfigurationError("write FastAPI(lifespan=chats.lifespan), without the parentheses")


def check_origins(origins: Iterable[str]) -> frozenset[str]:
    if isinstance(origins, str):
        raise ConfigurationError(f"origins must be a list of texts: write [{origins!r}]")
    return frozenset(origin.rstrip("/").lower() for origin in origins)
