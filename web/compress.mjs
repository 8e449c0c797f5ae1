// Writes a `.br` and a `.gz` beside each file of the static build that they make smaller, for Python to send as they are.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const OUT = join(import.meta.dirname, 'out');
// Pictures and fonts are compressed in themselves.
const TEXTS = new Set(['.css', '.html', '.ico', '.js', '.json', '.map', '.md', '.mjs', '.svg', '.txt', '.wasm', '.xml']);
// What fits into one packet of the network is not sent sooner for being smaller.
const LEAST_BYTES = 1_000;

const brotli = (bytes) =>
  brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });

for (const name of readdirSync(OUT, { recursive: true })) {
  const path = join(OUT, name);
  if (!TEXTS.has(extname(name)) || !statSync(path).isFile()) continue;
  const bytes = readFileSync(path);
  if (bytes.length < LEAST_BYTES) continue;
  const packed = { '.br': brotli(bytes), '.gz': gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }) };
  // Always both: the server knows by the second whether the two belong to the file.
  if (packed['.gz'].length >= bytes.length) continue;
  for (const [suffix, made] of Object.entries(packed)) writeFileSync(path + suffix, made);
}
