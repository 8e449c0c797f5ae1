import type { DynamicToolUIPart, FileUIPart, ToolUIPart, UIMessage, UIMessagePart, UIDataTypes, UITools } from 'ai';

/** What the server may attach to an answer. */
export type ChatMetadata = {
  /** The id of the model that wrote the answer. */
  model?: string;
  usage?: { inputTokens?: number; outputTokens?: number; totalTokens?: number };
  /** In US dollars. */
  cost?: number;
};

/** The one message type of this page. Tools and data parts are the server's business, so they stay open. */
export type ChatMessage = UIMessage<ChatMetadata>;

export type ChatPart = UIMessagePart<UIDataTypes, UITools>;
export type ToolPart = ToolUIPart | DynamicToolUIPart;
export type ToolState = ToolPart['state'];
export type AttachedFile = Pick<FileUIPart, 'url' | 'mediaType' | 'filename'>;

/** What is known of a model that a visitor may choose. */
export type ModelInfo = {
  id: string;
  label: string;
  provider: string;
  abilities: string[];
  /** US dollars for a million tokens, where the operator has said it. */
  price?: { input: number; output: number };
};

/** How a visitor can sign in. */
export type SignIn = {
  ways: ('key' | 'token' | 'cookie' | 'application')[];
  /** Whether `POST /api/session` makes a session of a key. */
  session: boolean;
  /** The page to sign in on. */
  url: string | null;
};

/** What `GET /api/info` tells about the server behind this page. */
export type ServerInfo = {
  model: { id: string; provider: string; label: string };
  /** Plain words, where the model is a stand-in: which one answers, and how to change that. */
  notice: string | null;
  /** The models that a visitor may choose from. */
  models: string[];
  /** What each of them is, and can. */
  modelInfo?: ModelInfo[];
  /** Who asks: `key:NAME` for a key with a name, `user:NAME` for a user of the application. */
  user?: string | null;
  signIn?: SignIn;
};
