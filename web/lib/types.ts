import type { DynamicToolUIPart, FileUIPart, ToolUIPart, UIMessage, UIMessagePart, UIDataTypes, UITools } from 'ai';

/** What the server may attach to an answer. */
export type ChatMetadata = {
  /** The id of the model that wrote the answer. */
  model?: string;
};

/** The one message type of this page. Tools and data parts are the server's business, so they stay open. */
export type ChatMessage = UIMessage<ChatMetadata>;

export type ChatPart = UIMessagePart<UIDataTypes, UITools>;
export type ToolPart = ToolUIPart | DynamicToolUIPart;
export type ToolState = ToolPart['state'];
export type AttachedFile = Pick<FileUIPart, 'url' | 'mediaType' | 'filename'>;

/** What `GET /api/info` tells about the server behind this page. */
export type ServerInfo = {
  model: { id: string; provider: string; label: string };
  /** Plain words, where the model is a stand-in: which one answers, and how to change that. */
  notice: string | null;
  /** The models that a visitor may choose from. */
  models: string[];
};
