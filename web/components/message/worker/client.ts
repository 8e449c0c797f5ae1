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

/** Asks the worker, which comes with the first code or formula: what it does keeps nobody from writing or scrolling. */
export function ask(request: WorkerRequest): void {
  if (worker === undefined) {
    worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }: MessageEvent<WorkerReply>) => listeners.get(data.id)?.(data);
  }
  worker.postMessage(request);
}
