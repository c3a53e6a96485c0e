// Owns the connection: delivers every event of the hotel's channels once and in order, over pusher-js or by polling.

import { Refusal } from "./api.js";
import { sequel } from "./state.js";

const PATIENCE = 3_000; // before polling replaces a lost connection
const ASK_EVERY = 4_000;
const ONE_TRY = 7_000; // time for a slow network to connect
const SUBSCRIBE_AGAIN = 2_000;
const AT_ONCE = 500;
// After this long without a message pusher-js pings the server, and closes the socket if there is no reply.
const QUIET = 15_000;
const TRIAL = 10_000;

// `seq`: the newest number shown per channel, null for channels the user may not read. `show(channel, event)` renders;
// `reload()` fetches and renders the state and returns its numbers; `tell(state)` shows the connection state.
export function follow({ realtime, slug, token, seq, api, show, reload, tell }) {
  const streams = Object.keys(seq).filter((stream) => seq[stream] !== null);
  const last = { ...seq };
  const channels = {}; // of pusher-js, per stream
  const carried = new Set(); // streams currently delivered by the socket
  let queue = Promise.resolve(); // one step at a time
  let answered = true;
  let asked = false; // whether every stream has been polled since the connection was lost
  let stopped = false;
  let timer;
  let pusher;
  let tried = 0; // time of the last forced reconnect

  const isLive = () => streams.length > 0 && carried.size === streams.length;
  const announce = () => stopped || tell(isLive() ? "live" : !answered ? "offline" : asked ? "polling" : "reconnecting");
  const next = (step) => (queue = queue.then(() => stopped || step()).catch(later).finally(announce));

  function later(error) {
    if (!(error instanceof Refusal)) console.error(error);
    askIn(ASK_EVERY);
  }

  function askIn(milliseconds) {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(() => next(askAll), milliseconds);
  }

  async function askAll() {
    for (const stream of streams) await bring(stream);
    asked = true;
    if (isLive()) return;
    askIn(ASK_EVERY);
    reconnect();
  }

  // By itself pusher-js waits 15 to 60 seconds after a refused connection before it reconnects.
  function reconnect() {
    if (!pusher || pusher.connection.state === "connected" || performance.now() - tried < ONE_TRY) return;
    tried = performance.now();
    pusher.disconnect();
    pusher.connect();
  }

  // Pusher does not replay: the socket takes over a stream only after all earlier events have been shown.
  async function bring(stream) {
    await catchUp(stream);
    if (channels[stream]?.subscribed) carried.add(stream);
    if (isLive()) clearTimeout(timer);
  }

  async function catchUp(stream) {
    for (;;) {
      const page = await missed(stream);
      // Events have expired, or numbering has restarted: reload the whole state.
      if (!page || page.latest_seq < last[stream]) return reloadState();
      for (const event of page.results) take(stream, event);
      if (!page.results.length || last[stream] >= page.latest_seq) return undefined;
    }
  }

  async function missed(stream) {
    try {
      return await api.look(`/api/staff/hotel/${slug}/events/?channel=${stream}&after=${last[stream]}&limit=${AT_ONCE}`);
    } catch (refusal) {
      // 403: the rights have changed. The state shows what the user may still see.
      if (refusal.status === 410 || refusal.status === 403) return null;
      throw refusal;
    }
  }

  function take(stream, event) {
    if (sequel(event.meta.seq, last[stream]) === "drop") return;
    last[stream] = event.meta.seq;
    show(stream, event);
  }

  async function reloadState() {
    Object.assign(last, await reload());
  }

  async function receive(stream, event) {
    if (sequel(event.meta.seq, last[stream]) === "gap") await catchUp(stream);
    take(stream, event);
  }

  function connect() {
    if (!realtime || !window.Pusher || pusher || stopped) return;
    const { key, host, port, tls, cluster } = realtime;
    const own = host ? { wsHost: host, wsPort: port, wssPort: port } : {};
    pusher = new window.Pusher(key, {
      ...own,
      cluster: cluster || "mt1", // required by pusher-js even with a host
      forceTLS: tls,
      enabledTransports: ["ws"], // uses TLS if forced; "wss" would be tried even if not
      activityTimeout: QUIET,
      pongTimeout: TRIAL,
      channelAuthorization: { endpoint: "/pusher/auth", headers: { "X-CSRFToken": token } },
    });
    pusher.connection.bind("state_change", ({ current }) => current === "connected" || lose());
    for (const stream of streams) subscribe(stream);
  }

  function subscribe(stream) {
    const channel = channels[stream] = pusher.subscribe(`private-${slug}.${stream}`);
    channel.bind("pusher:subscription_succeeded", () => next(() => bring(stream)));
    channel.bind("pusher:subscription_error", ({ status }) => {
      if (status === 401 || status === 403) next(reloadState); // shows it if the user is signed out
      setTimeout(() => stopped || pusher.subscribe(channel.name), SUBSCRIBE_AGAIN);
    });
    channel.bind_global((name, event) => name.startsWith("pusher:") || next(() => receive(stream, event)));
  }

  function lose() {
    if (!carried.size) return;
    carried.clear();
    asked = false;
    askIn(PATIENCE);
    announce();
  }

  // A socket can look open for 30 seconds after the network is lost; a failed request shows it sooner.
  function heard(isAnswer) {
    answered = isAnswer;
    if (!answered) pusher?.disconnect();
    else if (pusher?.connection.state === "disconnected" && !stopped) pusher.connect();
    announce();
  }

  // pusher-js may load after this module, or never.
  const script = document.getElementById("pusher-js");
  script?.addEventListener("load", connect);
  script?.addEventListener("error", () => askIn(0));
  connect();
  askIn(realtime && script ? PATIENCE : 0);
  for (const change of ["online", "offline"]) window.addEventListener(change, () => askIn(0));

  return {
    refresh: () => next(reloadState),
    heard,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      pusher?.disconnect();
      tell("offline");
    },
  };
}
