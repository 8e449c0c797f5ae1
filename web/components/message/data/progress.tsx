import { useId } from 'react';
import { CheckIcon } from '../../icons';
import { STRINGS } from '../strings';
import styles from './progress.module.css';

type ProgressData = { step: number; steps: number; label: string };

/** The data of a `data-progress` part: `{step, steps, label}`. Undefined for any other shape. */
export function asProgress(data: unknown): ProgressData | undefined {
  const { step, steps, label } = (data ?? {}) as Record<string, unknown>;
  if (typeof step !== 'number' || typeof steps !== 'number' || !(steps > 0)) return undefined;
  return { step: Math.min(Math.max(step, 0), steps), steps, label: typeof label === 'string' ? label : STRINGS.progress };
}

export function Progress({ step, steps, label }: ProgressData) {
  const id = useId();
  const isDone = step === steps;
  return (
    <div className={styles.progress} data-testid="progress" data-done={isDone}>
      <div className={styles.words}>
        <span id={id} className={styles.label} dir="auto">
          {isDone && <CheckIcon />} {label}
        </span>
        <span className={styles.step}>{STRINGS.step(step, steps)}</span>
      </div>
      <div
        className={styles.track}
        role="progressbar"
        aria-labelledby={id}
        aria-valuemin={0}
        aria-valuemax={steps}
        aria-valuenow={step}
        aria-valuetext={STRINGS.step(step, steps)}
      >
        <div className={styles.bar} style={{ width: `${(step / steps) * 100}%` }} />
      </div>
    </div>
  );
}
