// The same as a page of AI SDK 4 has it. What is stored has no `content`, by which such a page shows a message.
import { useEffect } from 'react';
import { useChat } from 'sdk';
import { load, show, textOf } from './show.jsx';

const { messages: saved, resumes } = await load();
const initialMessages = saved.map((message) => ({ ...message, content: textOf(message) }));

function Chat({ id, View }) {
  const chat = useChat({ id, initialMessages });
  useEffect(() => {
    if (resumes) chat.experimental_resume();
  }, []);
  const messages = chat.messages.map(({ id, role, content }) => ({ id, role, parts: [{ type: 'text', text: content }] }));
  return <View messages={messages} status={chat.status} say={(text) => chat.append({ role: 'user', content: text })} />;
}

show(Chat);
