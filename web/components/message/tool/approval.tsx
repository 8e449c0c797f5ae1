'use client';

import { useId } from 'react';
import { STRINGS } from '../strings';
import styles from './approval.module.css';
import { Fields } from './fields';

type ApprovalProps = {
  toolName: string;
  input: unknown;
  /** Why the server asks, where it says so. */
  reason: string | undefined;
  onDecide: (isApproved: boolean) => void;
};

/** The model wants to run a tool that needs the visitor's word: all of its input stands before the buttons. */
export function Approval({ toolName, input, reason, onDecide }: ApprovalProps) {
  const id = useId();
  return (
    <section className={styles.approval} aria-labelledby={id} data-testid="approval">
      <h3 id={id}>{reason ?? STRINGS.mayRun(toolName)}</h3>
      <Fields value={input} />
      <div className={styles.buttons}>
        <button
          type="button"
          className="button button-primary"
          onClick={() => onDecide(true)}
          data-testid="approve"
        >
          {STRINGS.approve}
        </button>
        <button type="button" className="button" onClick={() => onDecide(false)} data-testid="deny">
          {STRINGS.deny}
        </button>
      </div>
    </section>
  );
}
