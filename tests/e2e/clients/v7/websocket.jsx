'use client';

import { useChat } from '@ai-sdk/react';
import { WebSocketChatTransport } from 'ai';
import { useMemo, useState } from 'react';

export default function Page() {
  const transport = useMemo(() => new WebSocketChatTransport({ url: '/api/chat/ws' }), []);
  const { messages, sendMessage, status, stop, error } = useChat({ transport });
  const [input, setInput] = useState('');
  window.messages = messages;

  return (
    <>
      {messages.map((message) => (
        <div key={message.id}>
          {message.role === 'user' ? 'User: ' : 'AI: '}
          {message.parts.map((part, index) => (part.type === 'text' ? <span key={index}>{part.text}</span> : null))}
        </div>
      ))}

      {(status === 'submitted' || status === 'streaming') && <button onClick={() => stop()}>Stop</button>}
      {error && <div role="alert">An error occurred.</div>}

      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!input.trim()) return;
          sendMessage({ text: input });
          setInput('');
        }}
      >
        <input value={input} placeholder="Say something..." onChange={(event) => setInput(event.target.value)} />
        <button type="submit" disabled={status !== 'ready' && status !== 'error'}>
          Submit
        </button>
      </form>
    </>
  );
}
