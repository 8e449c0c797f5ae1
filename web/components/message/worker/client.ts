import type { WorkerReply, WorkerRequest } from './protocol';

type Listener = (reply: WorkerReply) => void;

const listeners = new Map<number, Listener>();
let worker: Worker | undefined;
let lastId = 0;

/** Returns an id for requests, whose replies go to `listener` until `forget`. */
export function listen(listener: Listener): number {
  lastId += 1;
  listeners.set(lastId, listener);
  return lastId;
}

export function forget(id: number): void {
  listeners.delete(id);
}

/**
 * Asks the worker, which comes with the first code or formula: what it does keeps nobody from writing or scrolling.
 *
 * Where a browser or a policy allows none, nobody answers, and code and formulas stay as they were written.
 */
export function ask(request: WorkerRequest): void {
  worker ??= start();
  worker?.postMessage(request);
}

function start(): Worker | undefined {
  try {
    const started = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    started.onmessage = ({ data }: MessageEvent<WorkerReply>) => listeners.get(data.id)?.(data);
    return started;
  } catch {
    return undefined;
  }
}
