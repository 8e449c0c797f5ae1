'use client';

import { useCompletion } from '@ai-sdk/react';

export default function Page() {
  const { completion, input, handleInputChange, handleSubmit, isLoading, stop, error } = useCompletion({
    api: '/api/completion',
  });

  return (
    <form onSubmit={handleSubmit}>
      <input name="prompt" value={input} placeholder="Say something..." onChange={handleInputChange} />
      <button type="submit" disabled={isLoading}>
        Submit
      </button>
      {isLoading && (
        <button type="button" onClick={stop}>
          Stop
        </button>
      )}
      {error && <div role="alert">An error occurred.</div>}
      <output>{completion}</output>
    </form>
  );
}
