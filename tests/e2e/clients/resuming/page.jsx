// A chat that resumes, below React's StrictMode, as a page of AI SDK 5 to 7 has it; `?chat=` names it.
import { useChat } from 'sdk';
import { load, show } from './show.jsx';

const { messages, resumes } = await load();

function Chat({ id, View }) {
  const chat = useChat({ id, messages, resume: resumes });
  return <View messages={chat.messages} status={chat.status} say={(text) => chat.sendMessage({ text })} />;
}

show(Chat);
