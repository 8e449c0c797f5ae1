/** What is read of a body before the browser has its turn again, in bytes. */
const MOST = 16_384;

/**
 * `fetch`, whose answer is read in pieces.
 *
 * The SDK reads all that has come before anybody else has a turn: of a long answer that comes at once, or that a browser
 * in the background has not read for a while, the page would stand still for a second.
 */
export function inPieces(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    if (response.body === null) return response;
    const { status, statusText, headers } = response;
    return new Response(cut(response.body.getReader()), { status, statusText, headers });
  };
}

function cut(reader: ReadableStreamDefaultReader<Uint8Array>): ReadableStream<Uint8Array> {
  let left: Uint8Array | undefined;
  /** How much has been handed on since others had their turn. */
  let count = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (count >= MOST) {
          await nextTurn();
          count = 0;
        }
        if (left === undefined) {
          const asked = performance.now();
          const { done, value } = await reader.read();
          if (done) return controller.close();
          if (performance.now() - asked > 1) count = 0; // It had to come first.
          left = value;
        }
        const piece = left.subarray(0, MOST);
        left = left.length > MOST ? left.subarray(MOST) : undefined;
        count += piece.length;
        controller.enqueue(piece);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Resolves when what waits for this moment is done. A timer would wait for a second in a tab that is not looked at. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
