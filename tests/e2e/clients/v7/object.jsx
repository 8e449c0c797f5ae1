'use client';

import { experimental_useObject as useObject } from '@ai-sdk/react';
import { z } from 'zod';

const recipe = z.object({ title: z.string(), items: z.array(z.string()) });

export default function Page() {
  const { object, submit, isLoading, stop, error } = useObject({ api: '/api/object', schema: recipe });

  return (
    <>
      <button onClick={() => submit('A recipe for scones.')} disabled={isLoading}>
        Generate
      </button>
      {isLoading && <button onClick={() => stop()}>Stop</button>}
      {error && <div role="alert">An error occurred.</div>}
      <h1>{object?.title}</h1>
      <ul>{object?.items?.map((item, index) => <li key={index}>{item}</li>)}</ul>
    </>
  );
}
