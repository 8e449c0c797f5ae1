// What released parsers make of our frames, all of them in one process: `node releases.mjs`.
// Command `chunks` has a release's transport and its message reader read a UI message stream, `lines` a release's parser
// of data stream lines (`@ai-sdk/ui-utils`) each line; both tell the first error.
import { answerLines } from '../conformance/js/lib/lines.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

async function chunks({ version, body, message }) {
  const { DefaultChatTransport, readUIMessageStream } = await import(`ai-${version}`);
  const bytes = new Response(body).body;
  const stream = new DefaultChatTransport().processResponseStream(bytes);
  let error = null;
  let last = null;
  try {
    const onError = (reason) => void (error ??= reason);
    for await (const state of readUIMessageStream({ message, stream, onError })) last = state;
  } catch (reason) {
    error ??= reason;
  }
  return { error: error === null ? null : String(error?.message ?? error), message: last };
}

async function lines({ version, body }) {
  const package_ = await import(`lines-${version}`);
  const parse = package_.parseDataStreamPart ?? package_.parseStreamPart;
  try {
    for (const line of body.split('\n').filter(Boolean)) parse(line);
  } catch (error) {
    return { error: error.message };
  }
  return { error: null };
}

answerLines({ chunks, lines });
