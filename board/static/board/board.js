// Owns the page as a whole: reads the embedded state, and lets news of the house reach the picture and the panel.

import { client } from "./api.js";
import { houseOf, now, takeBooking, takeRoom, takeState } from "./house.js";
import { follow } from "./live.js";
import { painter, setText } from "./painting.js";
import { panel } from "./panel.js";
import { clock } from "./words.js";

const A_MINUTE = 60_000;
const WORDS = { live: "Live", reconnecting: "Reconnecting…", polling: "Checking every few seconds", offline: "Offline" };

const $ = (selector) => document.querySelector(selector);
const state = JSON.parse($("#board-state").textContent);
const { token } = $("#csrf").dataset;
const { slug } = state.hotel;

const house = houseOf(state);
const picture = painter(house);
picture.paintAll();

let lastHeard = now(house);
let connection = "";
let isOver = false;

const api = client({
  token,
  heard(answered) {
    if (answered) lastHeard = now(house);
    feed.heard(answered);
  },
  over(sentence) {
    isOver = true;
    feed.stop();
    trouble(`${sentence} This page is no longer kept up to date.`, true);
    if ($("#room").open) $("#room").close();
  },
});

let answers = 0; // rooms that the server has answered to the panel
const room = panel({
  house, api, slug,
  took(snapshot) {
    answers += 1;
    paintNews(takeRoom(house, snapshot), snapshot.room_number);
  },
});

// --- news ---

function paintNews(news, number) {
  if (news === "others") picture.paintAll();
  if (news === "changed") {
    picture.paintRoom(number);
    picture.paintSummaries();
  }
  if (news) room.refreshIf(number);
  // My task there may be done: tasks follow the room, and no event tells of them.
  if (news && house.my_tasks.some((task) => task.room_number === number)) soon();
}

function show(stream, { payload }) {
  lastHeard = now(house);
  if (stream === "rooms") {
    const occupied = house.rooms.get(payload.room_number)?.is_occupied;
    paintNews(takeRoom(house, payload), payload.room_number);
    // Who came or left changes what is due; those who see no bookings hear of it only from the state.
    if (!isHeard("room-bookings") && occupied !== payload.is_occupied) soon();
    return;
  }
  if (!isHeard("rooms")) soon();
  room.readIf(payload.room_number);
  for (const number of takeBooking(house, payload)) {
    picture.paintRoom(number);
    room.refreshIf(number);
  }
  picture.paintSummaries();
}

async function reload() {
  const before = answers;
  const fresh = await api.get(`/board/${slug}/state/`);
  // It may be older than what the panel was answered meanwhile, and would undo it.
  if (answers !== before) return reload();
  // Somebody else has signed in here meanwhile, or may hear of other things: a page of its own, and nothing more in this.
  if (fresh.me.id !== state.me.id || heardIn(fresh) !== heardIn(state)) {
    location.reload();
    return new Promise(() => {});
  }
  if (takeState(house, fresh)) picture.paintAll();
  else repaint();
  room.refresh();
  return fresh.seq;
}

const heardIn = ({ seq }) => Object.keys(seq).filter((stream) => seq[stream] !== null).join();
const isHeard = (stream) => state.seq[stream] !== null;

function repaint() {
  picture.paintTimes();
  picture.paintSummaries();
}

// --- connection ---

function tell(how) {
  if (how === connection) return;
  connection = how;
  $("#connection").dataset.state = how;
  setText($("#connection .words"), WORDS[how]);
  if (isOver) return;
  trouble(how === "offline" ? `Nothing has been heard since ${clock(lastHeard, house.hotel.timezone)}: what you see may be out of date.` : "");
}

function trouble(sentence, withLink = false) {
  const box = $("#trouble");
  setText(box.querySelector("p"), sentence);
  const link = box.querySelector("a");
  link.hidden = !withLink;
  link.search = new URLSearchParams({ next: location.pathname + location.search });
  box.hidden = !sentence;
}

const feed = follow({ realtime: state.realtime, slug, token, seq: state.seq, api, show, reload, tell });

// --- what is not told ---

let refreshing = setInterval(feed.refresh, A_MINUTE);
let pending;

function soon() {
  clearTimeout(pending);
  pending = setTimeout(feed.refresh, 2_000);
}

setInterval(() => {
  repaint();
  room.refresh();
  if (now(house) >= Date.parse(house.hotel.business_day_ends)) feed.refresh();
}, A_MINUTE / 2);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || isOver) return;
  clearInterval(refreshing);
  refreshing = setInterval(feed.refresh, A_MINUTE);
  feed.refresh();
});

// Where to find what opened the panel, and for which room: all may be painted anew meanwhile.
let opener = "";
let opened = null;
for (const place of ["#floors", "#arrivals", "#departures"]) {
  $(place).addEventListener("click", (event) => {
    const button = event.target.closest("[data-room], [data-open]");
    if (!button) return;
    opened = Number(button.dataset.room ?? button.dataset.open);
    opener = `${place} :is([data-room="${opened}"], [data-open="${opened}"])`;
    room.open(opened);
  });
}
$("#room").addEventListener("close", () => {
  $(opener)?.focus();
  if (!document.activeElement.matches(opener)) picture.focusNear(opened);
});
