import { useChat } from '@ai-sdk/react';
import type { FileUIPart } from 'ai';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { choosePath, loadChat, stopAnswer, type Place, type SavedChat } from '@/lib/chats';
import { endingOf, savedEndingOf } from '@/lib/ending';
import { Refusal } from '@/lib/refusal';
import { shouldSendAutomatically } from '@/lib/send-automatically';
import { createTransport } from '@/lib/transport';
import type { ChatMessage } from '@/lib/types';
import { useServer } from './use-server';

/** Renders at most 25 times a second, however fast the deltas come. */
const RENDER_INTERVAL_MS = 40;

/** What the visitor can do about a tool call. */
export type ToolActions = {
  approve: (approvalId: string, isApproved: boolean) => void;
  answer: (toolName: string, toolCallId: string, output: string) => void;
};

/** An answer that has come to its end, and why it ended early, where it did. */
export type EndedAnswer = { message: ChatMessage; ending: string | undefined };

export type Conversation = ReturnType<typeof useConversation>;

type ConversationOptions = {
  id: string;
  /** The chat as it was loaded; undefined for a new one. */
  saved: SavedChat | undefined;
  chosenModel: string | undefined;
  /** Whether the server keeps chats. */
  isSaved: boolean;
  /** An answer has ended, whichever way. */
  onSettled: () => void;
};

/**
 * Stock `useChat`, with this page's options.
 *
 * Adds `endings`, by message id: why an answer ended early, where it did; `ended`: the answer that has ended last, before
 * the eyes of this page; `places`, by message id: which version of it this is; `toolActions`; and what is done to the
 * saved chat as well.
 */
export function useConversation({ id, saved, chosenModel, isSaved, onSettled }: ConversationOptions) {
  const { state: server, noteStranger } = useServer();
  const transport = useMemo(() => createTransport(chosenModel), [chosenModel]);
  const [endings, setEndings] = useState<Record<string, string | undefined>>({});
  const [ended, setEnded] = useState<EndedAnswer>();
  const [places, setPlaces] = useState(() => byId(saved?.places ?? []));
  const answeredHere = useRef(new Set<string>());
  /** How often the visitor has changed the conversation: what was asked for before must not undo it. */
  const acts = useRef(0);
  const lastLook = useRef(0);
  const shownLook = useRef(0);
  const sync = useCallback(async (): Promise<SavedChat | undefined> => {
    if (!isSaved) return undefined;
    // A chat that is not there yet, or cannot be read now, is shown without versions.
    const look = ++lastLook.current;
    const fresh = await loadChat(id).catch(() => undefined);
    if (fresh && look > shownLook.current) {
      shownLook.current = look;
      setPlaces((known) => byId(fresh.places, known));
    }
    return fresh;
  }, [id, isSaved]);

  const chat = useChat<ChatMessage>({
    id,
    messages: saved?.messages ?? [],
    transport,
    throttle: RENDER_INTERVAL_MS,
    sendAutomaticallyWhen: ({ messages }) => shouldSendAutomatically(messages, answeredHere.current),
    onError: (error) => {
      if (error instanceof Refusal && error.status === 401) noteStranger(error);
    },
    onFinish: ({ message, isAbort, isError, finishReason }) => {
      const ending = endingOf(isAbort, finishReason);
      // One that went on has another end than before.
      setEndings((known) => ({ ...known, [message.id]: ending }));
      setEnded(isError || !(isAbort || finishReason) ? undefined : { message, ending });
      const act = acts.current;
      void sync().then((fresh) => {
        // Another tab has stopped it, which only the saved chat tells.
        if (!isError && !isAbort && !finishReason && act === acts.current) {
          setEnded({ message, ending: savedEndingOf(fresh?.places.find((place) => place.id === message.id)) });
        }
        onSettled();
      });
    },
  });
  const { addToolApprovalResponse, addToolOutput, sendMessage, regenerate, resumeStream, setMessages } = chat;
  const latest = useRef(chat.messages);
  latest.current = chat.messages;

  const wasAnswering = saved?.isAnswering ?? false;
  const [isResuming, setIsResuming] = useState(wasAnswering);

  /** Reads the answer that is being made; one that ended meanwhile is loaded. */
  const resume = useCallback(
    async (isWanted: () => boolean = () => true) => {
      const before = latest.current;
      const act = acts.current;
      setIsResuming(true);
      try {
        await resumeStream();
        if (!isWanted() || latest.current.length > before.length) return;
        const fresh = await sync();
        if (fresh && isWanted() && act === acts.current && !fresh.isAnswering) setMessages(fresh.messages);
      } finally {
        if (isWanted()) setIsResuming(false);
      }
    },
    [resumeStream, sync, setMessages],
  );

  useEffect(() => {
    if (!wasAnswering) return;
    let isMounted = true;
    void resume(() => isMounted);
    return () => {
      isMounted = false;
    };
  }, [wasAnswering, resume]);

  const [isStopping, setIsStopping] = useState(false);
  /** Also until the server has taken what concerns the answer: another message would cross it on the way. */
  const isBusy = chat.status === 'submitted' || chat.status === 'streaming' || isResuming || isStopping;

  // What another tab has added is shown when this one is looked at again.
  const isIdle = isSaved && !isBusy && chat.status === 'ready' && chat.messages.length > 0;
  useEffect(() => {
    if (!isIdle) return;
    let isWanted = true;
    const look = async () => {
      if (document.visibilityState !== 'visible') return;
      const before = latest.current;
      const act = acts.current;
      const fresh = await sync();
      if (!fresh || !isWanted || act !== acts.current || latest.current !== before) return;
      if (fresh.messages.at(-1)?.id !== before.at(-1)?.id) setMessages(fresh.messages);
      if (fresh.isAnswering) await resume();
    };
    document.addEventListener('visibilitychange', look);
    return () => {
      isWanted = false;
      document.removeEventListener('visibilitychange', look);
    };
  }, [isIdle, sync, setMessages, resume]);
  const { stop: leave } = chat;
  const stopping = useRef(false);
  const stop = useCallback(async (): Promise<void> => {
    if (stopping.current) return;
    stopping.current = true;
    setIsStopping(true);
    try {
      // Nobody may be answering any more, and a server that keeps no chats cannot be asked.
      await Promise.all([leave(), isSaved ? stopAnswer(id).catch(() => undefined) : undefined]);
    } finally {
      stopping.current = false;
      setIsStopping(false);
    }
    await sync();
    onSettled();
  }, [leave, isSaved, id, sync, onSettled]);

  const send = useCallback(
    (text: string, files: FileUIPart[]) => {
      acts.current += 1;
      void sendMessage(files.length > 0 ? { text, files } : { text });
    },
    [sendMessage],
  );

  /** Sends another version of a message: what came after it stays in the chat, on another path. */
  const edit = useCallback(
    (message: ChatMessage, text: string) => {
      acts.current += 1;
      const files = message.parts.filter((part) => part.type === 'file');
      void sendMessage({ parts: [...files, { type: 'text', text }], messageId: message.id });
    },
    [sendMessage],
  );

  const answerAgain = useCallback(
    (messageId: string) => {
      acts.current += 1;
      void regenerate({ messageId });
    },
    [regenerate],
  );

  /** After a connection that was lost the answer may be on its way, or there. */
  const retry = useCallback(async () => {
    const act = ++acts.current;
    const fresh = chat.error instanceof TypeError ? await sync() : undefined;
    if (act !== acts.current) return;
    const asked = latest.current.at(-1);
    if (fresh && asked && fresh.places.some((place) => place.id === asked.id)) {
      if (fresh.isAnswering) return resume();
      if (fresh.messages.at(-1)?.role === 'assistant' && asked.role === 'user') {
        chat.clearError();
        return setMessages(fresh.messages);
      }
    }
    return regenerate();
  }, [chat, sync, resume, regenerate, setMessages]);

  // The message that was refused for want of a key is sent when there is one.
  const isRefused = chat.error instanceof Refusal && chat.error.status === 401;
  const wasRefused = useRef(false);
  useEffect(() => {
    if (isRefused && server.status === 'unauthorized') wasRefused.current = true;
    if (wasRefused.current && isRefused && server.status === 'ready') {
      wasRefused.current = false;
      acts.current += 1;
      void regenerate();
    }
  }, [isRefused, server.status, regenerate]);

  const showVersion = useCallback(
    async (node: number) => {
      const act = ++acts.current;
      const shown = await choosePath(id, node);
      if (act !== acts.current) return;
      shownLook.current = ++lastLook.current;
      setPlaces((known) => byId(shown.places, known));
      setMessages(shown.messages);
    },
    [id, setMessages],
  );

  const toolActions = useMemo<ToolActions>(
    () => ({
      approve: (approvalId, approved) => {
        acts.current += 1;
        void addToolApprovalResponse({ id: approvalId, approved });
      },
      answer: (tool, toolCallId, output) => {
        acts.current += 1;
        answeredHere.current.add(toolCallId);
        void addToolOutput({ tool, toolCallId, output });
      },
    }),
    [addToolApprovalResponse, addToolOutput],
  );

  return { ...chat, isBusy, endings, ended, places, toolActions, send, edit, answerAgain, stop, retry, showVersion };
}

type Places = ReadonlyMap<string, Place>;

/** Places by message id. Those that are as they were stay the same objects: their messages are not rendered again. */
function byId(places: readonly Place[], known?: Places): Places {
  return new Map(
    places.map((place) => {
      const before = known?.get(place.id);
      const isSame =
        before?.node === place.node &&
        before.siblings.join() === place.siblings.join() &&
        before.status === place.status &&
        before.finishReason === place.finishReason;
      return [place.id, before && isSame ? before : place];
    }),
  );
}
