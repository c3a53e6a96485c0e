// Owns the page as a whole: reads the embedded state, and passes changes on to the tiles and the panel.

import { client } from "./api.js";
import { boardOf, now, numberOf, takeBooking, takeRoom, takeState } from "./state.js";
import { follow } from "./live.js";
import { renderer, setText } from "./painting.js";
import { panel } from "./panel.js";
import { clock } from "./words.js";

const A_MINUTE = 60_000;
const WORDS = { live: "Live", reconnecting: "Reconnecting…", polling: "Checking every few seconds", offline: "Offline" };

const $ = (selector) => document.querySelector(selector);
const state = JSON.parse($("#board-state").textContent);
const { token } = $("#csrf").dataset;
const { slug } = state.hotel;

const board = boardOf(state);
const view = renderer(board);
view.paintAll();

let lastUpdate = now(board);
let connection = "";
let isOver = false;

const api = client({
  token,
  onResponse(answered) {
    if (answered) lastUpdate = now(board);
    feed.onResponse(answered);
  },
  onSessionEnd(sentence) {
    isOver = true;
    feed.stop();
    trouble(`${sentence} This page is no longer updated.`, true);
    if ($("#room").open) $("#room").close();
  },
});

let responses = 0; // rooms that the panel has received from the server
const room = panel({
  board, api, slug,
  took(snapshot) {
    responses += 1;
    paintChange(takeRoom(board, snapshot), snapshot.room_number);
  },
});

// --- changes ---

function paintChange(news, number) {
  if (news === "others") view.paintAll();
  if (news === "changed") {
    view.paintRoom(number);
    view.paintSummaries();
  }
  if (news) room.refreshIf(number);
  // A task of the user's there may now be done: tasks follow the room, but have no events.
  if (news && board.my_tasks.some((task) => task.room_number === number)) soon();
}

function show(stream, { payload }) {
  lastUpdate = now(board);
  if (stream === "rooms") {
    const occupied = board.rooms.get(payload.room_number)?.is_occupied;
    paintChange(takeRoom(board, payload), payload.room_number);
    // A check-in or check-out changes what is due; users without booking events get it only from the state.
    if (!isSubscribed("room-bookings") && occupied !== payload.is_occupied) soon();
    return;
  }
  if (!isSubscribed("rooms")) soon();
  room.readIf(payload.room_number);
  for (const number of takeBooking(board, payload)) {
    view.paintRoom(number);
    room.refreshIf(number);
  }
  view.paintSummaries();
}

async function reload() {
  const before = responses;
  const fresh = await api.get(`/board/${slug}/state/`);
  // It may be older than a response that the panel has received meanwhile, and would undo it.
  if (responses !== before) return reload();
  // A different user has signed in, or the rights have changed: load the whole page again.
  if (fresh.me.id !== state.me.id || subscribedStreams(fresh) !== subscribedStreams(state)) {
    location.reload();
    return new Promise(() => {});
  }
  if (takeState(board, fresh)) view.paintAll();
  else repaint();
  room.refresh();
  return fresh.seq;
}

const subscribedStreams = ({ seq }) => Object.keys(seq).filter((stream) => seq[stream] !== null).join();
const isSubscribed = (stream) => state.seq[stream] !== null;

function repaint() {
  view.paintTimes();
  view.paintSummaries();
}

// --- connection ---

function showConnection(how) {
  if (how === connection) return;
  connection = how;
  $("#connection").dataset.state = how;
  setText($("#connection .words"), WORDS[how]);
  if (isOver) return;
  trouble(how === "offline" ? `No updates since ${clock(lastUpdate, board.hotel.timezone)}: this page may be out of date.` : "");
}

function trouble(sentence, withLink = false) {
  const box = $("#trouble");
  setText(box.querySelector("p"), sentence);
  const link = box.querySelector("a");
  link.hidden = !withLink;
  link.search = new URLSearchParams({ next: location.pathname + location.search });
  box.hidden = !sentence;
}

const feed = follow({ realtime: state.realtime, slug, token, seq: state.seq, api, show, reload, showConnection });

// --- what has no events ---

let refreshing = setInterval(feed.refresh, A_MINUTE);
let pending;

function soon() {
  clearTimeout(pending);
  pending = setTimeout(feed.refresh, 2_000);
}

setInterval(() => {
  repaint();
  room.refresh();
  if (now(board) >= Date.parse(board.hotel.business_day_ends)) feed.refresh();
}, A_MINUTE / 2);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || isOver) return;
  clearInterval(refreshing);
  refreshing = setInterval(feed.refresh, A_MINUTE);
  feed.refresh();
});

// Selector and room of the button that opened the panel: the button may have been re-created meanwhile.
let opener = "";
let opened = null;
for (const place of ["#floors", "#arrivals", "#departures"]) {
  $(place).addEventListener("click", (event) => {
    const button = event.target.closest("[data-room], [data-open]");
    if (!button) return;
    opened = numberOf(button.dataset.room ?? button.dataset.open);
    opener = `${place} :is([data-room="${opened}"], [data-open="${opened}"])`;
    room.open(opened);
  });
}
$("#room").addEventListener("close", () => {
  $(opener)?.focus();
  if (!document.activeElement.matches(opener)) view.focusNear(opened);
});
