// Waiting for what a hook or a chat shows: they tell nobody when they have come to rest.
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const LIMIT = 20_000;
const INTERVAL = 2;

/** Wait until `isTrue()`; throws when it does not become so. */
export async function waitUntil(isTrue, what) {
  const end = Date.now() + LIMIT;
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`waited ${LIMIT} ms for ${what}`);
    await sleep(INTERVAL);
  }
}

/** Wait until `isBusy()` has been false for `settle` milliseconds: a finished answer may start the next request. */
export async function waitIdle(isBusy, settle) {
  const end = Date.now() + LIMIT;
  // Looks are counted, not time: while this process gets no time, nothing else happens in it either.
  for (let quiet = 0; quiet < settle / INTERVAL; quiet = isBusy() ? 0 : quiet + 1) {
    if (Date.now() > end) throw new Error(`still busy after ${LIMIT} ms`);
    await sleep(INTERVAL);
  }
}
