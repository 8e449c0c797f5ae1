import { createContext, useContext } from 'react';
import { MarkdownText } from './blocks';

/** The text that a block belongs to, and the begin of the ids in it. */
type MarkdownContext = { text: MarkdownText; id: string };

const Context = createContext<MarkdownContext>({ text: new MarkdownText(), id: '' });

export const MarkdownProvider = Context.Provider;
export const useMarkdown = () => useContext(Context);
