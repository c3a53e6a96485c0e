// Owns the connection: every event of the hotel's channels once and in order, over pusher-js or else by asking.

import { Refusal } from "./api.js";
import { sequel } from "./house.js";

const PATIENCE = 3_000; // before a lost connection is made up for by asking
const ASK_EVERY = 4_000;
const ONE_TRY = 7_000; // what a slow network may take to connect
const SUBSCRIBE_AGAIN = 2_000;
const AT_ONCE = 500;
// A socket over which nothing has come for so long is tried, and given up when the server does not answer the trial.
const QUIET = 15_000;
const TRIAL = 10_000;

// `seq`: the newest number on the screen per channel, null for one that is not ours. `show(channel, event)` paints;
// `reload()` fetches and paints the state and answers its numbers; `tell(state)` shows how the screen is connected.
export function follow({ realtime, slug, token, seq, api, show, reload, tell }) {
  const streams = Object.keys(seq).filter((stream) => seq[stream] !== null);
  const last = { ...seq };
  const channels = {}; // of pusher-js, per stream
  const carried = new Set(); // streams that the socket carries now
  let queue = Promise.resolve(); // one step at a time
  let answered = true;
  let asked = false; // everything has been asked for since the connection was lost
  let stopped = false;
  let timer;
  let pusher;
  let tried = 0; // when pusher-js was last made to try again

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
    tryAgain();
  }

  // Left alone, pusher-js waits from 15 seconds to a minute after a refused connection before it tries the next one.
  function tryAgain() {
    if (!pusher || pusher.connection.state === "connected" || performance.now() - tried < ONE_TRY) return;
    tried = performance.now();
    pusher.disconnect();
    pusher.connect();
  }

  // Pusher replays nothing: the socket carries a stream once what came before it is on the screen.
  async function bring(stream) {
    await catchUp(stream);
    if (channels[stream]?.subscribed) carried.add(stream);
    if (isLive()) clearTimeout(timer);
  }

  async function catchUp(stream) {
    for (;;) {
      const page = await missed(stream);
      // Kept no longer, or the log itself began anew: the state says it all.
      if (!page || page.latest_seq < last[stream]) return readAnew();
      for (const event of page.results) take(stream, event);
      if (!page.results.length || last[stream] >= page.latest_seq) return undefined;
    }
  }

  async function missed(stream) {
    try {
      return await api.look(`/api/staff/hotel/${slug}/events/?channel=${stream}&after=${last[stream]}&limit=${AT_ONCE}`);
    } catch (refusal) {
      // 403: rights have changed meanwhile. The state knows what there still is to see.
      if (refusal.status === 410 || refusal.status === 403) return null;
      throw refusal;
    }
  }

  function take(stream, event) {
    if (sequel(event.meta.seq, last[stream]) === "drop") return;
    last[stream] = event.meta.seq;
    show(stream, event);
  }

  async function readAnew() {
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
      cluster: cluster || "mt1", // pusher-js wants one, also where the host decides
      forceTLS: tls,
      enabledTransports: ["ws"], // with TLS where it is forced; "wss" would also be tried where it is not
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
      if (status === 401 || status === 403) next(readAnew); // says so if we have been signed out
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

  // A socket may seem open for half a minute after the network has gone, but the server's silence is heard at once.
  function heard(isAnswer) {
    answered = isAnswer;
    if (!answered) pusher?.disconnect();
    else if (pusher?.connection.state === "disconnected" && !stopped) pusher.connect();
    announce();
  }

  // pusher-js may come after us, or never.
  const script = document.getElementById("pusher-js");
  script?.addEventListener("load", connect);
  script?.addEventListener("error", () => askIn(0));
  connect();
  askIn(realtime && script ? PATIENCE : 0);
  for (const change of ["online", "offline"]) window.addEventListener(change, () => askIn(0));

  return {
    refresh: () => next(readAnew),
    heard,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      pusher?.disconnect();
      tell("offline");
    },
  };
}
