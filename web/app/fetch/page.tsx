'use client';

// A chat without any SDK: fetch, a reader, an AbortController.
import { useRef, useState, type FormEvent } from 'react';
import { authorizationHeaders } from '@/lib/api-key';
import { sentenceOf } from '@/lib/error-text';
import styles from '../simple-chat.module.css';

type Message = { role: 'user' | 'assistant'; content: string };
type Usage = { input_tokens?: number; output_tokens?: number };
type StreamEvent = { text?: string; error?: string; done?: boolean; usage?: Usage };

const SYSTEM_PROMPT = 'You are a helpful assistant. Answer briefly.';

/** Reads `data: {…}` lines until the body ends. */
async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = '';
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer += decoder.decode(value, { stream: true });
    const lines = buffer.split('\n');
    buffer = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data: ')) yield JSON.parse(line.slice(6)) as StreamEvent;
    }
  }
}

async function* askModel(messages: Message[], signal: AbortSignal): AsyncGenerator<StreamEvent> {
  const response = await fetch('/api/ai/chat/stream', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...authorizationHeaders() },
    body: JSON.stringify({ messages, systemPrompt: SYSTEM_PROMPT }),
    signal,
  });
  if (!response.ok || !response.body) throw new Error(sentenceOf(await response.text()));
  yield* readEvents(response.body);
}

export default function FetchChat() {
  const [messages, setMessages] = useState<Message[]>([]);
  const [input, setInput] = useState('');
  const [usage, setUsage] = useState<Usage>();
  const [error, setError] = useState<string>();
  const [isStreaming, setIsStreaming] = useState(false);
  const controller = useRef<AbortController>(null);

  async function ask(question: Message[]) {
    const abort = new AbortController();
    controller.current = abort;
    setMessages(question);
    setError(undefined);
    setUsage(undefined);
    setIsStreaming(true);
    let answer = '';
    try {
      for await (const event of askModel(question, abort.signal)) {
        if (event.error) throw new Error(event.error);
        if (event.text) {
          answer += event.text;
          setMessages([...question, { role: 'assistant', content: answer }]);
        }
        if (event.done) setUsage(event.usage);
      }
    } catch (reason) {
      if (!abort.signal.aborted) setError(reason instanceof Error ? reason.message : String(reason));
    } finally {
      setIsStreaming(false);
    }
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    const content = input.trim();
    if (content === '' || isStreaming) return;
    setInput('');
    void ask([...messages, { role: 'user', content }]);
  }

  function retry() {
    const lastQuestion = messages.findLastIndex((message) => message.role === 'user');
    void ask(messages.slice(0, lastQuestion + 1));
  }

  return (
    <div className={styles.chat}>
      <h1>
        Plain fetch <small>a reader and an AbortController</small>
      </h1>

      <div className={styles.scroll} role="log" aria-label="Conversation" aria-busy={isStreaming} tabIndex={0}>
        <div className={styles.messages}>
          {messages.map((message, index) => (
            <div key={index} className={styles[message.role]} data-testid={`message-${message.role}`}>
              <strong>{message.role === 'user' ? 'You' : 'AI'}</strong>
              <p>{message.content}</p>
            </div>
          ))}
          {usage && (
            <p className={styles.usage} data-testid="usage">
              {usage.input_tokens ?? 0} tokens in, {usage.output_tokens ?? 0} tokens out
            </p>
          )}
        </div>
      </div>

      {error && (
        <div className={styles.error} role="alert" data-testid="error">
          <p>{error}</p>
          <button type="button" className="button" onClick={retry} data-testid="retry">
            Try again
          </button>
        </div>
      )}

      <form className={styles.form} onSubmit={submit}>
        <input
          value={input}
          onChange={(event) => setInput(event.target.value)}
          placeholder="Say something…"
          aria-label="Message"
          data-testid="prompt"
        />
        {isStreaming ? (
          <button type="button" className="button" onClick={() => controller.current?.abort()} data-testid="stop">
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
