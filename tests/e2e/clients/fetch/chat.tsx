// A chat without any SDK: fetch, a reader, an AbortController.
import { useRef, useState, type FormEvent } from 'react';

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
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ messages, systemPrompt: SYSTEM_PROMPT }),
    signal,
  });
  if (!response.ok || !response.body) throw new Error(await response.text());
  yield* readEvents(response.body);
}

export default function Page() {
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
    <div>
      {messages.map((message, index) => (
        <p key={index}>
          {message.role}: {message.content}
        </p>
      ))}
      {usage && (
        <p>
          {usage.input_tokens ?? 0} tokens in, {usage.output_tokens ?? 0} tokens out
        </p>
      )}
      {isStreaming && <button onClick={() => controller.current?.abort()}>Stop</button>}
      {error && (
        <>
          <div role="alert">{error}</div>
          <button onClick={retry}>Retry</button>
        </>
      )}
      <form onSubmit={submit}>
        <input value={input} placeholder="Say something..." onChange={(event) => setInput(event.target.value)} />
        <button type="submit" disabled={isStreaming}>
          Submit
        </button>
      </form>
    </div>
  );
}
