// Owns the connection: delivers every event of the hotel's channels once and in order, over pusher-js or by polling.

import { Refusal } from "./api.js";
import { sequenceAction } from "./state.js";

const GRACE = 3_000; // before polling replaces a lost connection
const POLL_INTERVAL = 4_000;
const CONNECT_TIMEOUT = 7_000; // time for a slow network to connect
const SUBSCRIBE_AGAIN = 2_000;
const PAGE_SIZE = 500;
// After this long without a message pusher-js pings the server, and closes the socket if there is no reply.
const QUIET = 15_000;
const PONG_TIMEOUT = 10_000;

// `seq`: the newest number shown per channel, null for channels the user may not read. `show(channel, event)` renders;
// `reload()` fetches and renders the state and returns its numbers; `showConnection(state)` shows the connection state.
export function follow({ realtime, slug, token, seq, api, show, reload, showConnection }) {
  const streams = Object.keys(seq).filter((stream) => seq[stream] !== null);
  const last = { ...seq };
  const channels = {}; // of pusher-js, per stream
  const liveStreams = new Set(); // streams currently delivered by the socket
  let queue = Promise.resolve(); // one step at a time
  let answered = true;
  let polled = false; // whether every stream has been polled since the connection was lost
  let stopped = false;
  let timer;
  let pusher;
  let lastAttempt = 0; // time of the last forced reconnect

  const isLive = () => streams.length > 0 && liveStreams.size === streams.length;
  const announce = () => stopped || showConnection(isLive() ? "live" : !answered ? "offline" : polled ? "polling" : "reconnecting");
  const next = (step) => (queue = queue.then(() => stopped || step()).catch(later).finally(announce));

  function later(error) {
    if (!(error instanceof Refusal)) console.error(error);
    pollIn(POLL_INTERVAL);
  }

  function pollIn(milliseconds) {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(() => next(pollAll), milliseconds);
  }

  async function pollAll() {
    for (const stream of streams) await sync(stream);
    polled = true;
    if (isLive()) return;
    pollIn(POLL_INTERVAL);
    reconnect();
  }

  // By itself pusher-js waits 15 to 60 seconds after a refused connection before it reconnects.
  function reconnect() {
    if (!pusher || pusher.connection.state === "connected" || performance.now() - lastAttempt < CONNECT_TIMEOUT) return;
    lastAttempt = performance.now();
    pusher.disconnect();
    pusher.connect();
  }

  // Pusher does not replay: the socket takes over a stream only after all earlier events have been shown.
  async function sync(stream) {
    await catchUp(stream);
    if (channels[stream]?.subscribed) liveStreams.add(stream);
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
      return await api.look(`/api/staff/hotel/${slug}/events/?channel=${stream}&after=${last[stream]}&limit=${PAGE_SIZE}`);
    } catch (refusal) {
      // 403: the rights have changed. The state shows what the user may still see.
      if (refusal.status === 410 || refusal.status === 403) return null;
      throw refusal;
    }
  }

  function take(stream, event) {
    if (sequenceAction(event.meta.seq, last[stream]) === "drop") return;
    last[stream] = event.meta.seq;
    show(stream, event);
  }

  async function reloadState() {
    Object.assign(last, await reload());
  }

  async function receive(stream, event) {
    if (sequenceAction(event.meta.seq, last[stream]) === "gap") await catchUp(stream);
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
      enabledTransports: ["ws"], // uses TLS if forced; "wss" would be used even if not
      activityTimeout: QUIET,
      pongTimeout: PONG_TIMEOUT,
      channelAuthorization: { endpoint: "/pusher/auth", headers: { "X-CSRFToken": token } },
    });
    pusher.connection.bind("state_change", ({ current }) => current === "connected" || onDisconnect());
    for (const stream of streams) subscribe(stream);
  }

  function subscribe(stream) {
    const channel = channels[stream] = pusher.subscribe(`private-${slug}.${stream}`);
    channel.bind("pusher:subscription_succeeded", () => next(() => sync(stream)));
    channel.bind("pusher:subscription_error", ({ status }) => {
      if (status === 401 || status === 403) next(reloadState); // shows it if the user is signed out
      setTimeout(() => stopped || pusher.subscribe(channel.name), SUBSCRIBE_AGAIN);
    });
    channel.bind_global((name, event) => name.startsWith("pusher:") || next(() => receive(stream, event)));
  }

  function onDisconnect() {
    if (!liveStreams.size) return;
    liveStreams.clear();
    polled = false;
    pollIn(GRACE);
    announce();
  }

  // A socket can look open for 30 seconds after the network is lost; a failed request shows it sooner.
  function onResponse(isAnswer) {
    answered = isAnswer;
    if (!answered) pusher?.disconnect();
    else if (pusher?.connection.state === "disconnected" && !stopped) pusher.connect();
    announce();
  }

  // pusher-js may load after this module, or never.
  const script = document.getElementById("pusher-js");
  script?.addEventListener("load", connect);
  script?.addEventListener("error", () => pollIn(0));
  connect();
  pollIn(realtime && script ? GRACE : 0);
  for (const change of ["online", "offline"]) window.addEventListener(change, () => pollIn(0));

  return {
    refresh: () => next(reloadState),
    onResponse,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      pusher?.disconnect();
      showConnection("offline");
    },
  };
}
