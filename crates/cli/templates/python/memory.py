"""What was said before. It lives in this process, so it is gone when the session ends.

A deployed session has a process of its own; on your machine one process serves them all, so conversations are kept
apart by their ids.
"""

from collections import OrderedDict

REMEMBERS = {{remembers}}
# Oldest first; what is beyond these is forgotten.
MAX_MESSAGES = 40
MAX_CONVERSATIONS = 100

_conversations: OrderedDict[str, list[dict[str, str]]] = OrderedDict()


def recall(conversation: str | None) -> list[dict[str, str]]:
    """The messages of a conversation so far, each with its `role` and `content`."""
    return list(_conversations.get(conversation or "", []))


def remember(conversation: str | None, prompt: str, answer: str) -> None:
    """Adds one exchange, if this agent remembers at all."""
    if not REMEMBERS:
        return
    messages = _conversations.setdefault(conversation or "", [])
    messages += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    del messages[:-MAX_MESSAGES]
    _conversations.move_to_end(conversation or "")
    while len(_conversations) > MAX_CONVERSATIONS:
        _conversations.popitem(last=False)
