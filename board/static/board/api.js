// Owns the talk with the server: JSON over the session's cookie, and what a refusal or a silence means.

const SILENCE = 15_000; // milliseconds after which a request counts as unanswered
const NO_ANSWER = new Set([502, 504]); // a proxy speaks, the server behind it does not

export class Refusal extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    Object.assign(this, { status, code, details });
  }

  get isSilence() { return this.status === 0; }
}

// `heard(answered)` is told of every request; `over(sentence)` when the server no longer knows this session.
export function client({ token, heard, over }) {
  async function call(method, url, { body, headers = {}, isOurs = false } = {}) {
    const answer = await fetch(url, {
      method,
      headers: { Accept: "application/json", "X-CSRFToken": token, ...(body && { "Content-Type": "application/json" }), ...headers },
      body: body && JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(SILENCE),
    }).catch(() => null);
    const said = await answer?.json().catch(() => null);
    // An answer that is cut off in the middle is none.
    const answered = Boolean(answer) && !NO_ANSWER.has(answer.status) && (Boolean(said) || !answer.ok);
    heard(answered);
    if (!answered) throw new Refusal(0, "NO_ANSWER", "The server does not answer.");
    if (answer.ok) return said;
    const { code, details } = said ?? {};
    const message = said?.message ?? "Something went wrong on the server.";
    if (answer.status === 401) over("You are signed out.");
    else if (answer.status === 403 && isOurs) over(message);
    else if (answer.status === 403 && message.startsWith("CSRF")) over("You have signed in again in another window.");
    throw new Refusal(answer.status, code, message, details);
  }

  return {
    // What every viewer of the board may read: who is refused it has left the house.
    get: (url) => call("GET", url, { isOurs: true }),
    // What some may not read.
    look: (url) => call("GET", url),
    post: (url, body, headers) => call("POST", url, { body, headers }),
  };
}
