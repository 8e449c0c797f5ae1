// Drives `useCompletion` and `useObject`, whose clients ask once and show what grows.
import { objects } from '../oracle/common.mjs';
import { waitIdle, waitUntil } from '../lib/wait.mjs';

const SETTLE = 25;
let hooks = 0;

export async function complete({ url, scenario, recording, client }) {
  const events = [];
  const number = ++hooks;
  const hook = client.renderHook(() =>
    client.useCompletion({
      api: `${url}/api/${scenario.route}`,
      id: `completion-${number}`,
      streamProtocol: scenario.route === 'completion-text' ? 'text' : 'data',
      body: { model: scenario.model },
      fetch: recording.fetch,
      onFinish: (prompt, completion) => events.push({ onFinish: { prompt, completion } }),
      onError: (error) => events.push({ onError: error.message }),
    }),
  );
  await hook.current.complete('Say hi');
  await waitIdle(() => hook.current.isLoading, SETTLE);
  const { completion, error } = hook.current;
  hook.unmount();
  return { completion, error: error?.message ?? null, events };
}

export async function makeObject({ url, scenario, recording, client }) {
  const events = [];
  const useObject = client.useObject ?? client.experimental_useObject;
  const number = ++hooks;
  const hook = client.renderHook(() =>
    useObject({
      api: `${url}/api/${scenario.route}`,
      id: `object-${number}`,
      schema: objects[scenario.route].schema,
      fetch: recording.fetch,
      onFinish: ({ object, error }) => events.push({ onFinish: { object, error: error?.message } }),
      onError: (error) => events.push({ onError: error.message }),
    }),
  );
  hook.current.submit({ prompt: 'soup', model: scenario.model });
  await waitUntil(() => recording.exchanges.length > 0, 'the request');
  await waitIdle(() => hook.current.isLoading, SETTLE);
  const { object, error } = hook.current;
  hook.unmount();
  return { object: object ?? null, error: error?.message ?? null, events };
}
