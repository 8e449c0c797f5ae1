'use client';

import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { useState } from 'react';

export default function Page({ id, initialMessages }) {
  const { messages, sendMessage, status, stop, error } = useChat({
    id,
    messages: initialMessages,
    transport: new DefaultChatTransport({
      api: '/api/chat',
      // only send the last message to the server:
      prepareSendMessagesRequest({ messages, id }) {
        return { body: { message: messages[messages.length - 1], id } };
      },
    }),
  });
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
