import type { List, ListItem, Nodes, PhrasingContent, Table, TableCell, TableRow } from 'mdast';
import { memo, type ReactNode } from 'react';
import { safeLink } from '@/lib/safe-url';
import { CitationMark } from '../citation';
import { CodeBlock } from '../code/code-block';
import { STRINGS } from '../strings';
import { MathView } from './math-view';
import { useMarkdown } from './context';
import styles from './markdown.module.css';

/** What nests deeper is shown as the text in it: a browser has only so much stack. */
const DEEPEST = 40;
/** How `lib/answer-parts.ts` writes the mark of a source. */
const MARK = /⁅(\d+)⁆/;
const LINE_BREAK = /^<br\s*\/?>$/i;

type Headings = 'h3' | 'h4' | 'h5' | 'h6';

/** Elements are made one by one here, and none of them from a model's HTML: nothing that it writes can become a script. */
export function NodeView({ node, depth = 0 }: { node: Nodes; depth?: number }): ReactNode {
  if (depth > DEEPEST) return <span>{textOf(node)}</span>;
  const inner = () => 'children' in node && <Children nodes={node.children} depth={depth + 1} />;
  switch (node.type) {
    case 'text':
      return <Text value={node.value} />;
    case 'html':
      return LINE_BREAK.test(node.value) ? <br /> : node.value;
    case 'paragraph':
      return <p dir="auto">{inner()}</p>;
    case 'heading': {
      const Heading = `h${Math.max(node.depth, 3)}` as Headings;
      return <Heading dir="auto">{inner()}</Heading>;
    }
    case 'emphasis':
      return <em>{inner()}</em>;
    case 'strong':
      return <strong>{inner()}</strong>;
    case 'delete':
      return <del>{inner()}</del>;
    case 'inlineCode':
      return <code>{node.value}</code>;
    case 'break':
      return <br />;
    case 'thematicBreak':
      return <hr />;
    case 'blockquote':
      return <blockquote dir="auto">{inner()}</blockquote>;
    case 'list':
      return <ListView parts={[node]} depth={depth} />;
    case 'table':
      return <TableView parts={[node]} />;
    case 'code':
      return <CodeBlock language={node.lang ?? ''} code={node.value} isOpen={false} />;
    case 'math':
      return <MathView tex={node.value} isBlock />;
    case 'inlineMath':
      return <MathView tex={node.value} isBlock={false} />;
    case 'link':
      return <SafeLink url={node.url}>{inner()}</SafeLink>;
    case 'image':
      // An image loads without a click, and so could carry what was said here to whoever named its address.
      return <SafeLink url={node.url}>{node.alt || STRINGS.image}</SafeLink>;
    case 'linkReference':
      return <ReferencedLink identifier={node.identifier}>{inner()}</ReferencedLink>;
    case 'imageReference':
      return <ReferencedLink identifier={node.identifier}>{node.alt || STRINGS.image}</ReferencedLink>;
    case 'footnoteReference':
      return <FootnoteMark identifier={node.identifier} />;
    default:
      return null; // Definitions stand elsewhere; the rest comes only inside of others.
  }
}

export function Children({ nodes, depth }: { nodes: readonly Nodes[]; depth: number }) {
  return nodes.map((node, index) => <NodeView key={index} node={node} depth={depth} />);
}

function Text({ value }: { value: string }): ReactNode {
  if (!value.includes('⁅')) return value;
  return value
    .split(MARK)
    .map((piece, index) => (index % 2 === 0 ? piece : <CitationMark key={index} number={Number(piece)} />));
}

function textOf(node: Nodes): string {
  if ('value' in node) return node.value;
  return 'children' in node ? node.children.map(textOf).join('') : '';
}

function SafeLink({ url, children }: { url: string; children: ReactNode }) {
  const href = safeLink(url);
  if (href === undefined) return <span>{children}</span>;
  return (
    <a href={href} title={href.slice(0, 300)} target="_blank" rel="noreferrer">
      {children}
    </a>
  );
}

function ReferencedLink({ identifier, children }: { identifier: string; children: ReactNode }) {
  const { text } = useMarkdown();
  return <SafeLink url={text.definitions.get(identifier)?.url ?? ''}>{children}</SafeLink>;
}

function FootnoteMark({ identifier }: { identifier: string }) {
  const { text, id } = useMarkdown();
  const number = text.footnoteNumbers.get(identifier);
  if (number === undefined) return null;
  return (
    <sup>
      <a id={`${id}-from-${number}`} href={`#${id}-to-${number}`} className={styles.footnoteMark}>
        {number}
      </a>
    </sup>
  );
}

/** A list, in one part or in several that follow each other. */
export function ListView({ parts, depth = 0 }: { parts: readonly List[]; depth?: number }) {
  const [first] = parts;
  const items = parts.map((part, index) => <Items key={index} list={part} depth={depth} />);
  const hasTasks = first?.children.some((item) => typeof item.checked === 'boolean');
  if (!first?.ordered) return <ul className={hasTasks ? styles.tasks : undefined}>{items}</ul>;
  return <ol start={first.start ?? 1}>{items}</ol>;
}

const Items = memo(function Items({ list, depth }: { list: List; depth: number }) {
  return list.children.map((item, index) => (
    <ItemView key={index} item={item} isLoose={list.spread === true || item.spread === true} depth={depth + 1} />
  ));
});

function ItemView({ item, isLoose, depth }: { item: ListItem; isLoose: boolean; depth: number }) {
  const isTask = typeof item.checked === 'boolean';
  return (
    <li dir="auto" className={isTask ? styles.task : undefined}>
      {isTask && <input type="checkbox" checked={item.checked === true} disabled aria-label={textOf(item).slice(0, 80)} />}
      {item.children.map((child, index) =>
        // In a tight list, an item is not a paragraph.
        child.type === 'paragraph' && !isLoose ? (
          <Children key={index} nodes={child.children} depth={depth + 1} />
        ) : (
          <NodeView key={index} node={child} depth={depth + 1} />
        ),
      )}
    </li>
  );
}

/** A table, in one part or in several; each has the head. */
export function TableView({ parts }: { parts: readonly Table[] }) {
  const [first] = parts;
  const head = first?.children[0];
  return (
    <div className={styles.table} tabIndex={0} role="group" aria-label={STRINGS.table}>
      <table>
        {head && (
          <thead>
            <RowView row={head} align={first.align} Cell="th" />
          </thead>
        )}
        {parts.map((part, index) => (
          <Rows key={index} table={part} />
        ))}
      </table>
    </div>
  );
}

const Rows = memo(function Rows({ table }: { table: Table }) {
  const [, ...rows] = table.children;
  return (
    <tbody>
      {rows.map((row, index) => (
        <RowView key={index} row={row} align={table.align} Cell="td" />
      ))}
    </tbody>
  );
});

function RowView({ row, align, Cell }: { row: TableRow; align: Table['align']; Cell: 'th' | 'td' }) {
  return (
    <tr>
      {row.children.map((cell: TableCell, index) => (
        <Cell key={index} dir="auto" style={{ textAlign: align?.[index] ?? undefined }}>
          <Children nodes={cell.children as PhrasingContent[]} depth={1} />
        </Cell>
      ))}
    </tr>
  );
}

