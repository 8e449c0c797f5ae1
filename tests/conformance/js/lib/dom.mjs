// React's hooks without a browser: jsdom's globals, and a component that does nothing but call a hook.
const GLOBALS = ['HTMLElement', 'Node', 'Element', 'MutationObserver', 'FileList', 'File'];

/**
 * Give this process a document; returns `renderHook(use, {strict})`, whose `current` is what the hook returned last.
 * With `strict` it is below React's StrictMode, which mounts twice where `NODE_ENV` is `development`. `load` imports the
 * packages from where the hooks have theirs: there must be one React.
 */
export async function setUpDom(load = (name) => import(name)) {
  const { JSDOM } = await load('jsdom');
  const { window } = new JSDOM('<!doctype html>', { url: 'http://localhost/' });
  process.env.NODE_ENV ??= 'production';
  globalThis.window = window;
  globalThis.document = window.document;
  globalThis.navigator ??= window.navigator;
  for (const name of GLOBALS) globalThis[name] ??= window[name];
  // React looks for a document when it is loaded, so it is loaded after there is one.
  const { createElement, Fragment, StrictMode } = await load('react');
  const { createRoot } = await load('react-dom/client');
  const { flushSync } = await load('react-dom');

  return function renderHook(use, { strict = false } = {}) {
    const hook = { current: null };
    const root = createRoot(document.createElement('div'));
    const Component = () => {
      hook.current = use();
      return null;
    };
    flushSync(() => root.render(createElement(strict ? StrictMode : Fragment, null, createElement(Component))));
    hook.unmount = () => root.unmount();
    return hook;
  };
}
