'use client';

import { useId, useState, type FormEvent } from 'react';
import { STRINGS } from '../strings';
import styles from './approval.module.css';

type ToolAnswerProps = {
  toolName: string;
  onAnswer: (output: string) => void;
};

/** The model called a tool that nobody runs but the visitor: the result is typed in. */
export function ToolAnswer({ toolName, onAnswer }: ToolAnswerProps) {
  const [output, setOutput] = useState('');
  const fieldId = useId();

  function submit(event: FormEvent) {
    event.preventDefault();
    onAnswer(output);
  }

  return (
    <form className={styles.answer} onSubmit={submit}>
      <label htmlFor={fieldId}>{STRINGS.yourAnswerTo(toolName)}</label>
      <input
        id={fieldId}
        value={output}
        onChange={(event) => setOutput(event.target.value)}
        required
        autoComplete="off"
        data-testid="tool-answer"
      />
      <button type="submit" className="button button-primary">
        {STRINGS.answer}
      </button>
    </form>
  );
}
