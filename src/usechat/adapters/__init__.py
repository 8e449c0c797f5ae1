"""Adapters: the streams of other packages, as parts for `usechat.ui_message_stream`.

    return ui_message_stream(from_langgraph(graph.astream(state, stream_mode=["messages", "updates"]))).response(chat)

None of them imports the package whose stream it reads. docs/adapters.md has a program for each.
"""

from usechat.adapters.ai_sdk import from_ai_sdk
from usechat.adapters.decisions import Decision, read_decisions
from usechat.adapters.langgraph import from_langgraph
from usechat.adapters.openai_agents import from_openai_agents
from usechat.adapters.openai_chat import from_openai_chat
from usechat.adapters.openai_responses import from_openai_responses
from usechat.adapters.pydantic_ai import from_pydantic_ai

__all__ = [
    "Decision",
    "from_ai_sdk",
    "from_langgraph",
    "from_openai_agents",
    "from_openai_chat",
    "from_openai_responses",
    "from_pydantic_ai",
    "read_decisions",
]
