'use client';

import { version } from 'ai/package.json';
import { useChat } from 'ai/react';

export default function Page() {
  const chat = useChat({
    api: '/api/chat',
    headers: { 'x-usechat-sdk': version },
    maxSteps: 5,
    keepLastMessageOnError: true,
  });
  const { messages, input, handleInputChange, handleSubmit, addToolResult, isLoading, stop, error, reload } = chat;
  window.messages = messages;

  return (
    <div>
      {messages.map((message) => (
        <div key={message.id}>
          <strong>{message.role}: </strong>
          {message.content}
          {message.toolInvocations?.map((toolInvocation) => {
            const { toolCallId, toolName, args, state } = toolInvocation;
            if ('result' in toolInvocation) {
              return (
                <pre key={toolCallId}>
                  {toolName}({JSON.stringify(args)}): {JSON.stringify(toolInvocation.result)}
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
          })}
        </div>
      ))}

      {isLoading && (
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

      <form onSubmit={handleSubmit}>
        <input value={input} placeholder="Say something..." onChange={handleInputChange} />
        <button type="submit" disabled={isLoading}>
          Submit
        </button>
      </form>
    </div>
  );
}
