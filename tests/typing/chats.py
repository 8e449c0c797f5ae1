"""An application of one's own as a type checker takes it, and mistakes that it refuses."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from usechat import Agent, Chats, ChatTurn, StreamingAnswer, ToolContext, TurnEnd, stream_text, tool
from usechat.models.base import Model


@dataclass
class Deps:
    """What tools need."""

    user: str


@tool
async def greet(context: ToolContext[Deps]) -> str:
    """Greet the user."""
    return context.deps.user


async def current_user(request: Request) -> str:
    """Who asks."""
    return request.headers["x-user"]


async def make_title(turn: ChatTurn) -> str | None:
    """A title that takes its time."""
    return turn.chat_id


def note(end: TurnEnd) -> None:
    """Note an end."""
    assert end.owner == "ada"


def takes_an_application(model: Model) -> FastAPI:
    """The usual program."""
    agent = Agent(model, tools=[greet], context_type=Deps)
    chats = Chats("sqlite:///chats.db", history="server", on_finish=note, grace=10, heartbeat=None)
    own = Chats(None)
    app = FastAPI(lifespan=chats.lifespan)

    @app.post("/api/chat")
    async def chat(
        turn: Annotated[ChatTurn, Depends(chats.turn(user=current_user, client_tools=["pick"]))],
    ) -> StreamingAnswer:
        return turn.respond(agent.stream(turn.messages, context=Deps(turn.user)), title=make_title, on_finish=note)

    app.include_router(
        chats.router(agent, user=current_user, title=lambda turn: turn.user, context=lambda turn: Deps(turn.user)),
        prefix="/api",
    )
    app.include_router(own.router(lambda turn: stream_text(model, messages=turn.messages), user=current_user))
    app.include_router(own.router(chat, user=current_user), prefix="/own")
    return app


def refuses_mistakes(model: Model, turn: ChatTurn) -> None:
    """Each line has one."""
    Chats()  # type: ignore[call-arg]
    Chats("sqlite:///chats.db", histroy="server")  # type: ignore[call-arg]
    Chats("sqlite:///chats.db", history="both")  # type: ignore[arg-type]
    chats = Chats("sqlite:///chats.db")
    chats.router(model, user=current_user)  # type: ignore[arg-type]
    chats.router(Agent(model))  # type: ignore[call-arg]
    chats.turn(user="ada")  # type: ignore[arg-type]
    turn.respond("Hello")  # type: ignore[arg-type]
    turn.respond(stream_text(model, prompt="Hi"), title="Tides")  # type: ignore[arg-type]
