// Owns the rendering of the board: tiles by floor, counts, filters, arrivals and departures.

import { byNumber, byPlace, duesOf, floorWords, now, placeKeyOf, placeOf } from "./state.js";
import { SHORT, ago, day, dueWords, faultWords, labelOf, lateWords, readiness } from "./words.js";

const $ = (selector, within = document) => within.querySelector(selector);
const FILTERS = ["status", "floor", "type", "mine"];

export function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

export function renderer(board) {
  const floors = $("#floors");
  const form = $("#filters");
  const wall = $("#wall");
  const template = $("#tile-template");
  const tiles = new Map();
  let hiddenFocus = null; // the room whose tile had the focus when a filter hid it

  // Renders everything: at the start, and when the set of rooms has changed.
  function paintAll() {
    const focused = floors.contains(document.activeElement) ? document.activeElement.dataset.room : null;
    tiles.clear();
    const byFloor = grouped(sortedRooms(), placeOf);
    floors.replaceChildren(...[...byFloor].map(([place, rooms], at) => {
      const list = element("ul", { className: "tiles" }, ...rooms.map(newTile));
      const heading = element("h2", { id: `floor-${at}`, textContent: place || (byFloor.size > 1 ? "Other rooms" : "Rooms") });
      const section = element("section", { className: "floor" }, heading, list);
      section.setAttribute("aria-labelledby", heading.id);
      return section;
    }));
    fillFilters(byFloor);
    paintSummaries();
    fit();
    if (focused) focusNear(focused);
  }

  // Focuses the room's tile or the next visible one, so that keyboard users keep their place; does not scroll.
  function focusNear(number) {
    const shown = [...floors.querySelectorAll("li:not([hidden]) .tile")];
    const tile = shown.find((other) => byNumber(other.dataset.room, number) >= 0) ?? shown.at(-1);
    (tile ?? form.elements.status).focus({ preventScroll: true });
  }

  // All rooms on one screen: each floor starts a new row if that fits, otherwise floors follow one another.
  function fit() {
    const { classList } = document.body;
    classList.remove("flowing");
    classList.toggle("flowing", wall.checked && document.documentElement.scrollHeight > window.innerHeight);
  }

  const sortedRooms = () => [...board.rooms.values()].sort(byPlace);

  function newTile(room) {
    const item = template.content.firstElementChild.cloneNode(true);
    tiles.set(room.room_number, item);
    paint(item, room);
    return item;
  }

  // Renders one tile; unchanged parts are not touched, so that nothing flickers and screen readers do not repeat them.
  function paint(item, room) {
    const tile = item.firstElementChild;
    const label = labelOf(board, room.room_status);
    const since = ago(room.status_changed_at, now(board));
    const dues = dueWords(duesOf(board, room.room_number));
    const fault = faultWords(room);
    tile.dataset.room = room.room_number;
    if (tile.dataset.status !== room.room_status) tile.dataset.status = room.room_status;
    setText($(".number", tile), room.room_number);
    setText($(".type", tile), room.room_type_name);
    setText($(".label", tile), label);
    setText($(".short", tile), SHORT[room.room_status] ?? label);
    setText($(".time", tile), since.short);
    // Shortened to "due out, in" to fit.
    setText($(".dues", tile), dues.join(", ").replace(", due", ","));
    setText($(".fault", tile), fault);
    $(".fault", tile).dataset.priority = room.maintenance_priority ?? "";
    tile.classList.toggle("overdue", dues.includes("overdue"));
    const name = [`Room ${room.room_number}`, room.room_type_name, label, fault, since.long, ...dues].filter(Boolean).join(", ");
    if (tile.getAttribute("aria-label") !== name) tile.setAttribute("aria-label", name);
    const hides = !isShown(room);
    if (hides && item.contains(document.activeElement)) hiddenFocus = room.room_number;
    item.hidden = hides;
  }

  function paintRoom(number) {
    const room = board.rooms.get(number);
    const item = tiles.get(number);
    if (room && item) paint(item, room);
  }

  // Counts, shown floors, arrivals and departures.
  function paintSummaries() {
    paintCounts();
    for (const section of floors.children) section.hidden = !section.querySelector("li:not([hidden])");
    if (hiddenFocus !== null) focusNear(hiddenFocus);
    hiddenFocus = null;
    const shown = floors.querySelectorAll("li:not([hidden])").length;
    setText($("#shown"), shown === tiles.size ? `${shown} rooms` : `${shown} of ${tiles.size} rooms`);
    $("button[type=reset]", form).hidden = shown === tiles.size && !new FormData(form).get("mine");
    paintStays("arrivals", arrivalWords, "No more arrivals today.");
    paintStays("departures", (stay) => (stay.is_overdue ? "overdue" : stay.check_out < board.hotel.business_date ? `due ${day(stay.check_out)}` : "today"), "No departures due today.");
    setText($("#day"), day(board.hotel.business_date, { weekday: "long", day: "numeric", month: "long" }));
  }

  function arrivalWords(stay) {
    const ready = readiness(board.rooms.get(stay.room_number), stay);
    return [ready, lateWords(stay, board.hotel.business_date)].filter(Boolean).join(", ");
  }

  function paintCounts() {
    const counts = $("#counts");
    if (!counts.children.length) {
      counts.append(...board.statuses.map(({ value, label }) => {
        const button = element("button", { type: "button" },
          element("span", { className: "mark" }), element("b", { className: "count" }), " ", element("span", { className: "label", textContent: label }));
        button.dataset.status = value;
        return element("li", {}, button);
      }));
    }
    const chosen = filterValues();
    const rooms = [...board.rooms.values()].filter((room) => isShown(room, { ...chosen, status: "" }));
    for (const button of counts.querySelectorAll("button")) {
      setText($(".count", button), rooms.filter((room) => room.room_status === button.dataset.status).length);
      button.setAttribute("aria-pressed", String(chosen.status === button.dataset.status));
    }
  }

  // Unchanged rows are kept: the user may be reading or about to press one.
  function paintStays(id, word, nobody) {
    setText($(`#${id} th:nth-child(2)`), board.me.sees_bookings ? "Guest" : "Type");
    setText($(`#${id}-count`), board[id].length);
    const body = $(`#${id} tbody`);
    const before = new Map([...body.children].map((row) => [row.dataset.key, row]));
    const rows = board[id].map((stay, place) => {
      const room = board.rooms.get(stay.room_number);
      const key = JSON.stringify([stay.booking_id ?? place, stay.room_number, Boolean(room), stay.guest_name, stay.room_type_name]);
      const row = before.get(key) ?? newStay(stay, room, key);
      const state = row.lastElementChild;
      setText($(".word", state), word(stay));
      state.dataset.status = id === "arrivals" ? room?.room_status ?? "" : "";
      state.classList.toggle("overdue", stay.is_overdue);
      return row;
    });
    if (!rows.length) rows.push(before.get("nobody") ?? emptyRow(nobody));
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.open : null;
    for (const row of before.values()) if (!rows.includes(row)) row.remove();
    rows.forEach((row, place) => { if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null); });
    if (!focused || body.contains(document.activeElement)) return;
    const again = body.querySelector(`[data-open="${focused}"]`);
    if (again) again.focus({ preventScroll: true });
    else focusNear(focused);
  }

  function newStay(stay, room, key) {
    const number = stay.room_number === null ? "–" : room
      ? element("button", { type: "button", className: "link", textContent: stay.room_number })
      : String(stay.room_number);
    if (room) Object.assign(number.dataset, { open: stay.room_number });
    const row = element("tr", {}, element("td", {}, number),
      element("td", {}, stay.guest_name ?? "", element("small", { textContent: stay.room_type_name })),
      element("td", {}, element("span", { className: "mark" }), " ", element("span", { className: "word" })));
    row.dataset.key = key;
    return row;
  }

  function emptyRow(sentence) {
    const row = element("tr", {}, element("td", { colSpan: 3, className: "nobody", textContent: sentence }));
    row.dataset.key = "nobody";
    return row;
  }

  // --- filters, kept in the URL ---

  const filterValues = () => Object.fromEntries(FILTERS.map((name) => [name, new FormData(form).get(name) ?? ""]));

  function isShown(room, chosen = filters) {
    return (!chosen.status || room.room_status === chosen.status)
      && (!chosen.floor || placeKeyOf(room) === chosen.floor)
      && (!chosen.type || room.room_type_name === chosen.type)
      && (!chosen.mine || board.my_tasks.some((task) => task.room_number === room.room_number));
  }

  let filters = {};

  function fillFilters(byFloor) {
    const asked = new URLSearchParams(location.search);
    const labels = new Map([...byFloor].map(([place, [room]]) => [placeKeyOf(room), place]));
    const places = withAsked("floor", [...labels.keys()]);
    const types = withAsked("type", sortedRooms().map((room) => room.room_type_name)).sort();
    fill("status", board.statuses.map(({ value, label }) => [value, label]));
    fill("floor", places.map((place) => [place, labels.get(place) ?? floorWords(place)]));
    fill("type", types.map((type) => [type, type]));
    form.elements.mine.checked = Boolean(asked.get("mine"));
    wall.checked = Boolean(asked.get("wall"));
    applyFilters();

    // A chosen value stays available after its last room is gone, as the room may come back.
    function withAsked(name, there) {
      return [...new Set([...there, asked.get(name)].filter(Boolean))];
    }

    function fill(name, choices) {
      const select = form.elements[name];
      select.replaceChildren(select.options[0], ...choices.map(([value, label]) => element("option", { value, textContent: label })));
      select.value = choices.some(([value]) => value === asked.get(name)) ? asked.get(name) : "";
    }
  }

  function applyFilters() {
    filters = filterValues();
    for (const [number, item] of tiles) item.hidden = !isShown(board.rooms.get(number));
    const query = new URLSearchParams(Object.entries({ ...filters, wall: wall.checked ? "1" : "" }).filter(([, value]) => value));
    document.body.classList.toggle("wall", wall.checked);
    history.replaceState(null, "", location.pathname + (String(query) && `?${query}`) + location.hash);
  }

  function filter() {
    applyFilters();
    paintSummaries();
    fit();
  }

  for (const control of [form, wall]) control.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { filter(); form.elements.status.focus(); }));
  $("#counts").addEventListener("click", (event) => {
    const status = event.target.closest("button")?.dataset.status;
    if (!status) return;
    form.elements.status.value = form.elements.status.value === status ? "" : status;
    filter();
  });
  window.addEventListener("resize", fit);

  floors.addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    const next = tile && neighbour(tile, event.key, [...floors.querySelectorAll("li:not([hidden]) .tile")]);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  return { paintAll, paintRoom, paintSummaries, focusNear, paintTimes: () => { for (const number of tiles.keys()) paintRoom(number); } };
}

export function setText(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

// The target of an arrow key: the next tile in reading order, or the nearest in the row above or below.
function neighbour(tile, key, all) {
  const at = all.indexOf(tile);
  if (key === "ArrowRight") return all[at + 1];
  if (key === "ArrowLeft") return all[at - 1];
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  const { left, top } = tile.getBoundingClientRect();
  const places = all.map((other) => ({ other, box: other.getBoundingClientRect() }))
    .filter(({ box }) => (key === "ArrowUp" ? box.top < top - 1 : box.top > top + 1));
  places.sort((a, b) => Math.abs(a.box.top - top) - Math.abs(b.box.top - top) || Math.abs(a.box.left - left) - Math.abs(b.box.left - left));
  return places[0]?.other;
}
