import type { WorkerReply, WorkerRequest } from './protocol';

/** Requests are answered in their order, also while a grammar is loading: code goes on from the state of its last line. */
let queue: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<WorkerRequest>) => {
  if (data.kind === 'formula') void drawFormula(data);
  else queue = queue.then(() => highlight(data)).catch(() => undefined);
};

async function highlight(request: Exclude<WorkerRequest, { kind: 'formula' }>): Promise<void> {
  const { endBlock, tokensOf } = await import('./highlight');
  if (request.kind === 'end') endBlock(request.id);
  else reply({ kind: 'lines', id: request.id, tokens: await tokensOf(request.id, request.language, request.lines) });
}

async function drawFormula({ id, tex, isBlock }: Extract<WorkerRequest, { kind: 'formula' }>): Promise<void> {
  const { htmlOf } = await import('./formulas');
  reply({ kind: 'formula', id, html: htmlOf(tex, isBlock) });
}

function reply(message: WorkerReply): void {
  self.postMessage(message);
}
