// The real client of one major in a process that has a document: the SDK itself, its React hooks, and React.
import { setUpDom } from './dom.mjs';

/** Load it; `renderHook` mounts a hook. */
export async function loadClient(major) {
  globalThis.AI_SDK_LOG_WARNINGS = false;
  const renderHook = await setUpDom();
  const { useEffect } = await import('react');
  return { major, ai: await import(`ai-${major}`), renderHook, useEffect, ...(await import(`react-${major}`)) };
}
