'use client';

import { useChat } from '@ai-sdk/react';
import {
  AssistantRuntimeProvider,
  AuiIf,
  ComposerPrimitive,
  ErrorPrimitive,
  MessagePrimitive,
  ThreadPrimitive,
} from '@assistant-ui/react';
import { AssistantChatTransport, useAISDKRuntime, useChatRuntime } from '@assistant-ui/react-ai-sdk';
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai';
import { version } from 'ai/package.json';

function ToolFallback({ toolName, argsText, result, approval, respondToApproval }) {
  const isAsked = approval && approval.approved === undefined;
  return (
    <div>
      <pre>
        {toolName}({argsText}): {JSON.stringify(result)}
      </pre>
      {isAsked && <button onClick={() => respondToApproval({ approved: true })}>Approve</button>}
      {isAsked && <button onClick={() => respondToApproval({ approved: false })}>Deny</button>}
    </div>
  );
}

function UserMessage() {
  return (
    <MessagePrimitive.Root>
      <strong>User: </strong>
      <MessagePrimitive.Parts />
    </MessagePrimitive.Root>
  );
}

function AssistantMessage() {
  return (
    <MessagePrimitive.Root>
      <strong>AI: </strong>
      <MessagePrimitive.Parts components={{ tools: { Fallback: ToolFallback } }} />
      <MessagePrimitive.Error>
        <ErrorPrimitive.Root role="alert">An error occurred.</ErrorPrimitive.Root>
      </MessagePrimitive.Error>
    </MessagePrimitive.Root>
  );
}

const OPTIONS = { api: '/api/chat', headers: { 'x-usechat-sdk': version } };

export default function Page({ id, initialMessages, resume }) {
  return id ? <SavedChat id={id} messages={initialMessages} resume={resume} /> : <NewChat />;
}

function NewChat() {
  const runtime = useChatRuntime({
    transport: new AssistantChatTransport(OPTIONS),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  return <Thread runtime={runtime} />;
}

/** A chat whose id the page knows: its own `useChat` resumes it, and assistant-ui shows it. */
function SavedChat({ id, messages, resume }) {
  const chat = useChat({
    id,
    messages,
    resume,
    transport: new DefaultChatTransport(OPTIONS),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  const runtime = useAISDKRuntime(chat);
  window.messages = chat.messages;
  return <Thread runtime={runtime} />;
}

function Thread({ runtime }) {
  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <ThreadPrimitive.Root>
        <ThreadPrimitive.Messages components={{ UserMessage, AssistantMessage }} />
        <ComposerPrimitive.Root>
          <ComposerPrimitive.Input placeholder="Say something..." />
          <AuiIf condition={({ thread }) => !thread.isRunning}>
            <ComposerPrimitive.Send>Submit</ComposerPrimitive.Send>
          </AuiIf>
          <AuiIf condition={({ thread }) => thread.isRunning}>
            <ComposerPrimitive.Cancel>Stop</ComposerPrimitive.Cancel>
          </AuiIf>
        </ComposerPrimitive.Root>
      </ThreadPrimitive.Root>
    </AssistantRuntimeProvider>
  );
}
