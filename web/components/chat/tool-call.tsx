'use client';

import { getToolName } from 'ai';
import type { ToolActions } from '@/hooks/use-conversation';
import { previewOf } from '@/lib/preview';
import type { ToolPart, ToolState } from '@/lib/types';
import { ChevronIcon, ToolIcon } from '../icons';
import { Approval } from './approval';
import styles from './disclosure.module.css';
import { JsonView } from './json-view';
import { ToolAnswer } from './tool-answer';

type Tone = 'good' | 'bad' | 'wait' | 'busy' | 'idle';
type Look = { label: string; tone: Tone };

/** Every state the SDK knows. A new one fails the build here. */
const LOOKS: Record<ToolState, Look> = {
  'input-streaming': { label: 'Preparing', tone: 'busy' },
  'input-available': { label: 'Running', tone: 'busy' },
  'approval-requested': { label: 'Waiting for you', tone: 'wait' },
  'approval-responded': { label: 'Answered', tone: 'busy' },
  'output-available': { label: 'Done', tone: 'good' },
  'output-error': { label: 'Failed', tone: 'bad' },
  'output-denied': { label: 'Denied', tone: 'idle' },
};

/** What a state comes to when nothing more will arrive for it. */
const LOOKS_AFTERWARDS: Record<ToolState, Look> = {
  ...LOOKS,
  'input-streaming': { label: 'Interrupted', tone: 'idle' },
  'input-available': { label: 'Not finished', tone: 'idle' },
  'approval-responded': { label: 'Answered', tone: 'idle' },
};

const WAITING: Look = LOOKS['approval-requested'];
const UNANSWERED: Look = { label: 'Not answered', tone: 'idle' };

type ToolCallProps = {
  part: ToolPart;
  isStreaming: boolean;
  /** Absent while the answer arrives, after it broke off, and in earlier messages: nothing to decide then. */
  actions: ToolActions | undefined;
};

export function ToolCall({ part, isStreaming, actions }: ToolCallProps) {
  const name = getToolName(part);
  const look = lookOf(part, isStreaming, actions !== undefined);
  const preview = previewOf(part.input);
  return (
    <div role="group" aria-label={`Tool ${name}`} data-testid="tool" data-state={part.state}>
      <details className={styles.disclosure}>
        <summary>
          <ToolIcon />
          <span className={styles.title}>{part.title ?? name}</span>
          {preview && <span className={styles.preview}>{preview}</span>}
          <span className={styles.state} data-tone={look.tone}>
            {look.label}
          </span>
          <span className={styles.chevron}>
            <ChevronIcon />
          </span>
        </summary>
        <div className={styles.content}>
          <ToolDetails part={part} />
        </div>
      </details>
      {part.state === 'approval-requested' && actions && !part.approval.isAutomatic && (
        <Approval
          toolName={part.title ?? name}
          reason={part.approval.requestReason}
          onDecide={(isApproved) => actions.approve(part.approval.id, isApproved)}
        />
      )}
      {isLeftToBrowser(part) && actions && (
        <ToolAnswer toolName={name} onAnswer={(output) => actions.answer(name, part.toolCallId, output)} />
      )}
    </div>
  );
}

/** A call that the answer ended without running is meant for the browser. */
function isLeftToBrowser(part: ToolPart): boolean {
  return part.state === 'input-available' && !part.providerExecuted;
}

function lookOf(part: ToolPart, isStreaming: boolean, canAct: boolean): Look {
  if (isStreaming) return LOOKS[part.state];
  if (canAct && isLeftToBrowser(part)) return WAITING;
  if (!canAct && part.state === 'approval-requested') return UNANSWERED;
  return LOOKS_AFTERWARDS[part.state];
}

function ToolDetails({ part }: { part: ToolPart }) {
  return (
    <>
      <JsonView label="Input" value={part.input} />
      {part.state === 'output-available' && (
        <JsonView label={part.preliminary ? 'Output so far' : 'Output'} value={part.output} />
      )}
      {part.state === 'output-error' && <JsonView label="Error" value={part.errorText} />}
      {part.approval?.reason && <JsonView label="Reason given" value={part.approval.reason} />}
    </>
  );
}
