'use client';

import { getToolName } from 'ai';
import { memo, useState } from 'react';
import type { ToolActions } from '@/hooks/use-conversation';
import { previewOf } from '@/lib/preview';
import type { ToolPart, ToolState } from '@/lib/types';
import { ChevronIcon, ToolIcon } from '../../icons';
import disclosure from '../disclosure.module.css';
import { JsonView } from '../json-view';
import { STRINGS } from '../strings';
import { Approval } from './approval';
import { ToolAnswer } from './tool-answer';

const { toolStates } = STRINGS;

type Tone = 'good' | 'bad' | 'wait' | 'busy' | 'idle';
type Look = { label: string; tone: Tone };

/** Every state the SDK knows. A new one fails the build here. */
const LOOKS: Record<ToolState, Look> = {
  'input-streaming': { label: toolStates['input-streaming'], tone: 'busy' },
  'input-available': { label: toolStates['input-available'], tone: 'busy' },
  'approval-requested': { label: toolStates['approval-requested'], tone: 'wait' },
  'approval-responded': { label: toolStates['approval-responded'], tone: 'busy' },
  'output-available': { label: toolStates['output-available'], tone: 'good' },
  'output-error': { label: toolStates['output-error'], tone: 'bad' },
  'output-denied': { label: toolStates['output-denied'], tone: 'idle' },
};

/** What a state comes to when nothing more will arrive for it. */
const LOOKS_AFTERWARDS: Record<ToolState, Look> = {
  ...LOOKS,
  'input-streaming': { label: toolStates.interrupted, tone: 'idle' },
  'input-available': { label: toolStates.unfinished, tone: 'idle' },
  'approval-responded': { label: toolStates['approval-responded'], tone: 'idle' },
};

const WAITING: Look = LOOKS['approval-requested'];
const UNANSWERED: Look = { label: toolStates.unanswered, tone: 'idle' };
const PRELIMINARY: Look = { label: toolStates.preliminary, tone: 'busy' };

type ToolCallProps = {
  part: ToolPart;
  isStreaming: boolean;
  /** Absent while the answer arrives, after it broke off, and in earlier messages: nothing to decide then. */
  actions: ToolActions | undefined;
};

/** A tool call as a card: folded, but for what asks the visitor, and for what grows while it runs. */
export const ToolCall = memo(function ToolCall({ part, isStreaming, actions }: ToolCallProps) {
  const [choice, setChoice] = useState<boolean>();
  const name = getToolName(part);
  const title = part.title ?? name;
  const look = lookOf(part, isStreaming, actions !== undefined);
  const preview = previewOf(part.input);
  const asks = part.state === 'approval-requested' && part.approval.isAutomatic !== true;
  const isGrowing = isStreaming && part.state === 'output-available' && part.preliminary === true;
  // What is to be approved stands below, as a whole: folding the details away folds nothing of it.
  const isOpen = choice ?? isGrowing;
  return (
    <div
      className={disclosure.card}
      role="group"
      aria-label={STRINGS.tool(name)}
      data-testid="tool"
      data-state={part.state}
      data-tone={look.tone}
    >
      <details className={disclosure.disclosure} open={isOpen}>
        <summary
          onClick={(event) => {
            event.preventDefault(); // React decides what is open, so a new delta cannot undo the click.
            setChoice(!isOpen);
          }}
        >
          <ToolIcon />
          <span className={disclosure.title}>{title}</span>
          {preview && !asks && (
            <span className={disclosure.preview} dir="auto">
              {preview}
            </span>
          )}
          <span className={disclosure.state} data-tone={look.tone}>
            {look.label}
          </span>
          <span className={disclosure.chevron}>
            <ChevronIcon />
          </span>
        </summary>
        <div className={disclosure.content}>
          <ToolDetails part={part} />
        </div>
      </details>
      {part.state === 'output-error' && !isOpen && (
        <p className={disclosure.failure} dir="auto">
          {part.errorText}
        </p>
      )}
      {asks && actions && (
        <Approval
          toolName={title}
          input={part.input}
          reason={part.approval.requestReason}
          onDecide={(isApproved) => actions.approve(part.approval.id, isApproved)}
        />
      )}
      {isLeftToBrowser(part) && actions && (
        <ToolAnswer toolName={name} onAnswer={(output) => actions.answer(name, part.toolCallId, output)} />
      )}
    </div>
  );
});

/** A call that the answer ended without running is meant for the browser. */
function isLeftToBrowser(part: ToolPart): boolean {
  return part.state === 'input-available' && !part.providerExecuted;
}

function lookOf(part: ToolPart, isStreaming: boolean, canAct: boolean): Look {
  if (isStreaming) return part.state === 'output-available' && part.preliminary ? PRELIMINARY : LOOKS[part.state];
  if (canAct && isLeftToBrowser(part)) return WAITING;
  if (!canAct && part.state === 'approval-requested') return UNANSWERED;
  return LOOKS_AFTERWARDS[part.state];
}

function ToolDetails({ part }: { part: ToolPart }) {
  return (
    <>
      <JsonView label={STRINGS.input} value={part.input} />
      {part.state === 'output-available' && (
        <JsonView label={part.preliminary ? STRINGS.outputSoFar : STRINGS.output} value={part.output} />
      )}
      {part.state === 'output-error' && <JsonView label={STRINGS.error} value={part.errorText} />}
      {part.approval?.reason && <JsonView label={STRINGS.reasonGiven} value={part.approval.reason} />}
    </>
  );
}
