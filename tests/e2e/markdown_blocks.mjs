// Reads texts from standard input, has the page's `MarkdownText` parse each as it grows, and compares that with what
// the parser makes of the whole text. Writes a line for each text that differs.
import { text as readAll } from 'node:stream/consumers';
import { MarkdownText } from 'web/components/message/markdown/blocks';
import { parse } from 'web/components/message/markdown/parse';

const { texts, pieces } = JSON.parse(await readAll(process.stdin));
for (const text of texts) {
  const whole = parse(text, { known: [], head: '' }).flatMap(({ node }) => leavesOf(node));
  for (const size of pieces) {
    const grown = new MarkdownText();
    for (let end = 0; end < text.length; end += size) grow(grown, text.slice(0, end), false);
    grow(grown, text, true);
    const found = grown.blocks().flat().flatMap(leavesOfBlock);
    const place = whole.findIndex((leaf, index) => leaf !== found[index]);
    if (place >= 0 || found.length !== whole.length) {
      console.log(JSON.stringify({ text, size, place, wanted: whole[place], found: found[place] }));
    }
  }
}

function grow(grown, text, isFinal) {
  grown.feed(text, isFinal);
  while (!grown.work(() => true));
}

function leavesOfBlock(block) {
  if (block.kind === 'plain') return [`plain ${block.text}`];
  if (block.kind === 'code') return [`code ${block.language} ${block.code}`];
  const isRest = block.node.type === 'table' && block.group !== undefined;
  return leavesOf(isRest ? { ...block.node, children: block.node.children.slice(1) } : block.node);
}

/**
 * Lists and tables item by item, as they are finished; whether a list is loose is known only at its end.
 * The levels of headings are the page's.
 */
function leavesOf(node) {
  if (node.type === 'code') return [`code ${node.lang ?? ''} ${node.value}`];
  const parts = node.type === 'list' || node.type === 'table' ? node.children : [node];
  return parts.map((part) =>
    JSON.stringify({ in: node.type, part }, (key, value) => (['position', 'spread', 'depth'].includes(key) ? undefined : value)),
  );
}
