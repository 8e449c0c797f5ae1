import type { ChatStatus } from 'ai';

const WORDS: Record<ChatStatus, string> = {
  ready: '',
  submitted: 'Waiting for the answer',
  streaming: 'The answer is arriving',
  error: '', // The error notice speaks for itself.
};

/** Says to those who cannot see it what the page is doing. */
export function StatusLine({ status }: { status: ChatStatus }) {
  return (
    <p className="visually-hidden" role="status">
      {WORDS[status]}
    </p>
  );
}
