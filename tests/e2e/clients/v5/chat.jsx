'use client';

import { useChat } from '@ai-sdk/react';
import {
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithToolCalls,
} from 'ai';
import { useRef, useState } from 'react';

export default function Page({ id, initialMessages, resume }) {
  const { messages, sendMessage, addToolResult, regenerate, status, stop, error } = useChat({
    id,
    messages: initialMessages,
    resume,
    transport: new DefaultChatTransport({ api: '/api/chat' }),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
  });
  const [input, setInput] = useState('');
  const [files, setFiles] = useState(undefined);
  const fileInputRef = useRef(null);
  window.messages = messages;

  return (
    <div>
      {messages.map((message) => (
        <div key={message.id}>
          <strong>{message.role}: </strong>
          {message.parts.map((part, index) => {
            switch (part.type) {
              case 'text':
                return <span key={index}>{part.text}</span>;
              case 'reasoning':
                return <pre key={index}>{part.text}</pre>;
              case 'file':
                return part.mediaType.startsWith('image/') && <img key={index} src={part.url} alt={part.filename} width={40} />;
              case 'data-progress':
                return <progress key={index} value={part.data.done} max={part.data.all} />;
              case 'tool-ask_user':
                switch (part.state) {
                  case 'input-streaming':
                    return <div key={part.toolCallId}>Loading the question...</div>;
                  case 'input-available':
                    return (
                      <div key={part.toolCallId}>
                        {part.input.question}
                        {['Yes', 'No'].map((output) => (
                          <button
                            key={output}
                            onClick={() => addToolResult({ tool: 'ask_user', toolCallId: part.toolCallId, output })}
                          >
                            {output}
                          </button>
                        ))}
                      </div>
                    );
                  case 'output-available':
                    return <div key={part.toolCallId}>You said: {part.output}</div>;
                  case 'output-error':
                    return <div key={part.toolCallId}>Error: {part.errorText}</div>;
                }
                break;
              default:
                // Any other tool.
                if (!part.type.startsWith('tool-')) return null;
                return (
                  <pre key={part.toolCallId}>
                    {part.type} {part.state} {JSON.stringify(part.input)} {JSON.stringify(part.output)} {part.errorText}
                  </pre>
                );
            }
          })}
          {message.metadata?.model && <small>{message.metadata.model}</small>}
        </div>
      ))}

      {(status === 'submitted' || status === 'streaming') && (
        <button type="button" onClick={() => stop()}>
          Stop
        </button>
      )}

      {error && (
        <>
          <div role="alert">An error occurred.</div>
          <button type="button" onClick={() => regenerate()}>
            Retry
          </button>
        </>
      )}

      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!input.trim()) return;
          sendMessage({ text: input, files });
          setInput('');
          setFiles(undefined);
          if (fileInputRef.current) fileInputRef.current.value = '';
        }}
      >
        <input
          type="file"
          aria-label="Files"
          onChange={(event) => event.target.files && setFiles(event.target.files)}
          multiple
          ref={fileInputRef}
        />
        <input value={input} placeholder="Say something..." onChange={(event) => setInput(event.target.value)} />
        <button type="submit" disabled={status !== 'ready' && status !== 'error'}>
          Submit
        </button>
      </form>
    </div>
  );
}
