// What was said before. It lives in this process, so it is gone when the session ends. A deployed session has a process
// of its own; on your machine one process serves them all, so conversations are kept apart by their ids.

export interface Message {
  role: "user" | "assistant";
  content: string;
}

const REMEMBERS = {{remembers}};
// Oldest first; what is beyond these is forgotten.
const MAX_MESSAGES = 40;
const MAX_CONVERSATIONS = 100;

const conversations = new Map<string, Message[]>();

/** The messages of a conversation so far. */
export function recall(conversation: string): Message[] {
  return conversations.get(conversation) ?? [];
}

/** Adds one exchange, if this agent remembers at all. */
export function remember(conversation: string, prompt: string, answer: string): void {
  if (!REMEMBERS) return;
  const messages: Message[] = [
    ...recall(conversation),
    { role: "user", content: prompt },
    { role: "assistant", content: answer },
  ];
  conversations.delete(conversation);
  conversations.set(conversation, messages.slice(-MAX_MESSAGES));
  for (const oldest of conversations.keys()) {
    if (conversations.size <= MAX_CONVERSATIONS) break;
    conversations.delete(oldest);
  }
}
