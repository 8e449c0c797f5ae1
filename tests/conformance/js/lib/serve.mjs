// A node:http server for routes written as the AI SDK's documentation writes them: Request in, Response out.
import http from 'node:http';

const errors = [];

/** For `onError` of the AI SDK: keep what went wrong inside of it, which its answer masks. */
export function noteError(event) {
  const error = event?.error ?? event;
  errors.push(`${error?.name ?? typeof error}: ${String(error?.message ?? error).slice(0, 300)}`);
}

/** The errors noted since the last call. */
export const takeErrors = () => errors.splice(0);

/** Listen on a free port of loopback; `routes` maps `METHOD /path` to a handler. Returns the address. */
export function serve(routes) {
  const server = http.createServer((incoming, outgoing) => {
    respond(routes, incoming, outgoing).catch((error) => {
      noteError(error);
      if (outgoing.headersSent) setTimeout(() => outgoing.destroy(), 20); // what was written is to arrive first
      else outgoing.writeHead(500, { 'content-type': 'text/plain' }).end('Internal Server Error');
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

async function respond(routes, incoming, outgoing) {
  const body = [];
  for await (const piece of incoming) body.push(piece);
  const left = new AbortController();
  outgoing.on('close', () => outgoing.writableFinished || left.abort());
  const route = routes[`${incoming.method} ${incoming.url}`];
  if (!route) return outgoing.writeHead(404).end();
  const request = new Request(new URL(incoming.url, 'http://127.0.0.1'), {
    method: incoming.method,
    body: Buffer.concat(body),
    signal: left.signal,
  });
  const response = await route(request);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.flushHeaders();
  const reader = response.body.getReader();
  outgoing.on('close', () => reader.cancel().catch(() => {}));
  for (let next = await reader.read(); !next.done; next = await reader.read()) outgoing.write(next.value);
  return outgoing.end();
}
