import { useAction, useMutation, useQuery } from "convex/react";
import { useState, type FormEvent } from "react";
import { api } from "../convex/_generated/api";

const GUEST = `guest ${Math.floor(Math.random() * 1000)}`;

export function Chat() {
  const messages = useQuery(api.messages.list);
  const send = useMutation(api.messages.send);
  const greet = useAction(api.messages.greet);
  const [author, setAuthor] = useState(GUEST);
  const [body, setBody] = useState("");

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBody("");
    await send({ author, body });
  }

  return (
    <main>
      <h1>Chat</h1>
      <ol aria-label="Messages">
        {messages === undefined && <li className="waiting">Connecting…</li>}
        {messages?.toReversed().map((message) => (
          <li key={message._id}>
            <b>{message.author}</b> <span>{message.body}</span>
            <time>{new Date(message._creationTime).toLocaleTimeString()}</time>
          </li>
        ))}
      </ol>
      <form onSubmit={submit}>
        <input aria-label="Name" value={author} onChange={(e) => setAuthor(e.target.value)} />
        <input
          aria-label="Message"
          placeholder="Message"
          value={body}
          onChange={(e) => setBody(e.target.value)}
        />
        <button disabled={body.trim() === ""}>Send</button>
        <button type="button" onClick={() => void greet({ author })}>
          Greet me
        </button>
      </form>
    </main>
  );
}
