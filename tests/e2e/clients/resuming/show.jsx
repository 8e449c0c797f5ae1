// What the pages of all majors share: they load their chat, show each part as text, and let the test speak.
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

const id = new URLSearchParams(location.search).get('chat');

/** The saved messages, and whether the page asks for the stream: always, or only where its chat is answering. */
export async function load() {
  const response = await fetch(`/api/chats/${id}`);
  const { messages, isAnswering } = response.ok ? await response.json() : { messages: [], isAnswering: false };
  return { messages, resumes: isAnswering || !new URLSearchParams(location.search).has('unless-idle') };
}

export const textOf = ({ parts }) => parts.map(({ type, text }) => (type === 'text' ? text : '')).join('');

const shown = ({ type, text, state, output, data }) =>
  ({ text, reasoning: text })[type] ?? JSON.stringify({ type, state, output, data });

function View({ messages, status, say }) {
  window.say = (text) => void say(text);
  return (
    <ol aria-busy={status === 'submitted' || status === 'streaming'}>
      {messages.map((message) => (
        <li key={message.id} data-role={message.role}>
          {message.parts.map(shown).join('\n')}
        </li>
      ))}
    </ol>
  );
}

export function show(Chat) {
  createRoot(document.getElementById('page')).render(
    <StrictMode>
      <Chat id={id} View={View} />
    </StrictMode>,
  );
}
