// What a framework's router gives to a chat's page: `?chat=ID` names the chat, and its messages are loaded.
const id = new URLSearchParams(location.search).get('chat') ?? undefined;

async function load() {
  const response = await fetch(`/api/chats/${id}`);
  return response.ok ? (await response.json()).messages : [];
}

export const props = id ? { id, initialMessages: await load(), resume: true } : {};
