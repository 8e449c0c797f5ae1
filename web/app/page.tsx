'use client';

import { useState } from 'react';
import { Chat } from '@/components/chat/chat';

export default function ChatPage() {
  const [conversation, setConversation] = useState(0);
  const [chosenModel, setChosenModel] = useState<string>();
  return (
    <Chat
      // A new key makes a new chat: new id, no messages, and whatever was still streaming is stopped.
      key={conversation}
      chosenModel={chosenModel}
      onChooseModel={setChosenModel}
      onNewChat={() => setConversation((number) => number + 1)}
    />
  );
}
