'use client';

import { useChat } from '@ai-sdk/react';
import { useRef, useState } from 'react';

export default function Page({ id, initialMessages }) {
  const { messages, input, handleInputChange, handleSubmit, addToolResult, status, stop, error, reload } = useChat({
    id,
    initialMessages,
    maxSteps: 5,
  });
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
                return <pre key={index}>{part.reasoning}</pre>;
              case 'tool-invocation': {
                const { toolCallId, toolName, args, state } = part.toolInvocation;
                if (state === 'result') {
                  return (
                    <pre key={toolCallId}>
                      {toolName}({JSON.stringify(args)}): {JSON.stringify(part.toolInvocation.result)}
                    </pre>
                  );
                }
                if (toolName !== 'ask_user' || state !== 'call') return <pre key={toolCallId}>Calling {toolName}...</pre>;
                return (
                  <div key={toolCallId}>
                    {args.question}
                    <button onClick={() => addToolResult({ toolCallId, result: 'Yes' })}>Yes</button>
                    <button onClick={() => addToolResult({ toolCallId, result: 'No' })}>No</button>
                  </div>
                );
              }
            }
          })}
          {message.experimental_attachments
            ?.filter((attachment) => attachment.contentType?.startsWith('image/'))
            .map((attachment, index) => <img key={index} src={attachment.url} alt={attachment.name} width={40} />)}
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
          <button type="button" onClick={() => reload()}>
            Retry
          </button>
        </>
      )}

      <form
        onSubmit={(event) => {
          handleSubmit(event, { experimental_attachments: files });
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
        <input value={input} placeholder="Say something..." onChange={handleInputChange} />
        <button type="submit" disabled={status !== 'ready' && status !== 'error'}>
          Submit
        </button>
      </form>
    </div>
  );
}
