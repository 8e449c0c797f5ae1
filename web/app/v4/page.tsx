'use client';

// A chat as it was written for AI SDK 4, unchanged. `ai/react` is that of ai@4 here: see `paths` in tsconfig.json.
import { useChat } from 'ai/react';
import { authorizationHeaders } from '@/lib/api-key';
import { sentenceOf } from '@/lib/error-text';
import styles from '../simple-chat.module.css';

export default function Chat() {
  const { messages, input, handleInputChange, handleSubmit, isLoading, stop, error, reload } = useChat({
    api: '/api/chat',
    headers: authorizationHeaders(),
  });

  return (
    <div className={styles.chat}>
      <h1>
        AI SDK 4 <small>useChat from ai/react</small>
      </h1>

      <div className={styles.scroll} role="log" aria-label="Conversation" aria-busy={isLoading} tabIndex={0}>
        <div className={styles.messages}>
          {messages.map((message) => (
            <div key={message.id} className={styles[message.role]} data-testid={`message-${message.role}`}>
              <strong>{message.role === 'user' ? 'You' : 'AI'}</strong>
              {message.reasoning && <p className={styles.aside}>{message.reasoning}</p>}
              {message.toolInvocations?.map((invocation) => (
                <p key={invocation.toolCallId} className={styles.aside}>
                  {invocation.toolName}({JSON.stringify(invocation.args)})
                  {invocation.state === 'result' && <> → {JSON.stringify(invocation.result)}</>}
                </p>
              ))}
              <p>{message.content}</p>
            </div>
          ))}
        </div>
      </div>

      {error && (
        <div className={styles.error} role="alert" data-testid="error">
          <p>{sentenceOf(error.message)}</p>
          <button type="button" className="button" onClick={() => reload()} data-testid="retry">
            Try again
          </button>
        </div>
      )}

      <form className={styles.form} onSubmit={handleSubmit}>
        <input
          value={input}
          onChange={handleInputChange}
          placeholder="Say something…"
          aria-label="Message"
          data-testid="prompt"
        />
        {isLoading ? (
          <button type="button" className="button" onClick={stop} data-testid="stop">
            Stop
          </button>
        ) : (
          <button type="submit" className="button button-primary" disabled={input.trim() === ''} data-testid="send">
            Send
          </button>
        )}
      </form>
    </div>
  );
}
