// Builds the pages: `node build.mjs FOLDER` writes `FOLDER/CLIENT/PAGE/index.html` and its `app.js`, and a list of them.
// Each client's page is built with the packages of its own folder, whatever the others have.
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, extname, join } from 'node:path';

const HERE = import.meta.dirname;
const OUT = process.argv[2];
const HTML = (client) => `<!doctype html>
<html lang="en">
<title>${client}</title>
<div id="page"></div>
<script type="module" src="app.js"></script>
</html>
`;

const REACT = (page) => `
import { StrictMode, createElement } from 'react';
import { createRoot } from 'react-dom/client';
import Page from './${page}';
import { props } from '../props.mjs';
createRoot(document.getElementById('page')).render(createElement(StrictMode, null, createElement(Page, props)));
`;

// How a page of each kind is put into the document, by what its file's name ends with.
const ENTRIES = {
  '.jsx': REACT,
  '.tsx': REACT,
  '.vue': (page) => `
import { createApp } from 'vue';
import Page from './${page}';
import { props } from '../props.mjs';
createApp(Page, props).mount('#page');
`,
  '.svelte': (page) => `
import { mount } from 'svelte';
import Page from './${page}';
import { props } from '../props.mjs';
mount(Page, { target: document.getElementById('page'), props });
`,
};

/** Calls the compiler that the page's own framework brings. */
const compile = (filter, contentsOf) => ({
  name: `compile ${filter}`,
  setup({ onLoad }) {
    onLoad({ filter }, async ({ path }) => ({
      contents: contentsOf(createRequire(path), await readFile(path, 'utf8'), path),
      resolveDir: dirname(path),
    }));
  },
});

const plugins = [
  compile(/\.vue$/, (require, source, filename) => {
    const { compileScript, parse } = require('vue/compiler-sfc');
    return compileScript(parse(source, { filename }).descriptor, { id: filename, inlineTemplate: true }).content;
  }),
  compile(/\.svelte$/, (require, source, filename) => {
    const { compile } = require('svelte/compiler');
    return compile(source, { filename, generate: 'client' }).js.code;
  }),
  compile(/\.svelte\.js$/, (require, source, filename) => {
    const { compileModule } = require('svelte/compiler');
    return compileModule(source, { filename, generate: 'client' }).js.code;
  }),
];

/** Has the pages of a folder for entries, by the names of their files. */
const entries = (folder) => ({
  name: 'entries',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ kind, path }) => (kind === 'entry-point' ? { path, namespace: 'entry' } : undefined));
    onLoad({ filter: /./, namespace: 'entry' }, ({ path }) => ({ contents: ENTRIES[extname(path)](path), resolveDir: folder }));
  },
});

/** Builds all pages of a client at once: what they share is read once. */
async function buildPages(client) {
  const files = (await readdir(join(HERE, client))).filter((file) => extname(file) in ENTRIES);
  const pages = files.map((file) => [join(client, basename(file, extname(file))), file]);
  await build({
    entryPoints: pages.map(([page, file]) => ({ in: file, out: join(page, 'app') })),
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    conditions: ['svelte', 'browser'],
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
    logLevel: 'error',
    plugins: [entries(join(HERE, client)), ...plugins],
    outdir: OUT,
  });
  for (const [page] of pages) await writeFile(join(OUT, page, 'index.html'), HTML(client));
  return pages.map(([page]) => page);
}

// A folder without packages of its own has what one test builds for itself.
const folders = (await readdir(HERE, { withFileTypes: true })).filter(({ name }) => existsSync(join(HERE, name, 'package.json')));
const built = (await Promise.all(folders.map(({ name }) => buildPages(name)))).flat();
const links = built.map((path) => `<li><a href="/${path}/">${path}</a></li>`).join('\n');
await writeFile(join(OUT, 'index.html'), `<!doctype html>\n<title>Clients</title>\n<ul>\n${links}\n</ul>\n`);
