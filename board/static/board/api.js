// Owns requests to the server: JSON with the session cookie, and the handling of refusals and timeouts.

const TIMEOUT = 15_000; // milliseconds
const NO_ANSWER = new Set([502, 504]); // from a proxy whose upstream did not respond

export class Refusal extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    Object.assign(this, { status, code, details });
  }

  get isNoResponse() { return this.status === 0; }
}

// `onResponse(answered)` is called after every request; `onSessionEnd(sentence)` when the session has ended.
export function client({ token, onResponse, onSessionEnd }) {
  async function call(method, url, { body, headers = {}, isOurs = false } = {}) {
    const response = await fetch(url, {
      method,
      headers: { Accept: "application/json", "X-CSRFToken": token, ...(body && { "Content-Type": "application/json" }), ...headers },
      body: body && JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT),
    }).catch(() => null);
    const data = await response?.json().catch(() => null);
    // A truncated response counts as none.
    const answered = Boolean(response) && !NO_ANSWER.has(response.status) && (Boolean(data) || !response.ok);
    onResponse(answered);
    if (!answered) throw new Refusal(0, "NO_ANSWER", "The server is not responding.");
    if (response.ok) return data;
    const { code, details } = data ?? {};
    const message = data?.message ?? "Something went wrong on the server.";
    if (response.status === 401) onSessionEnd("You are signed out.");
    else if (response.status === 403 && isOurs) onSessionEnd(message);
    else if (response.status === 403 && message.startsWith("CSRF")) onSessionEnd("You have signed in again in another window.");
    throw new Refusal(response.status, code, message, details);
  }

  return {
    // For what every board user may read: a 403 means that they have lost access to the board.
    get: (url) => call("GET", url, { isOurs: true }),
    // For what only some roles may read.
    look: (url) => call("GET", url),
    post: (url, body, headers) => call("POST", url, { body, headers }),
  };
}
