// Owns the board's state and how events change it. Pure: no DOM, no network.

const LISTS = ["arrivals", "departures"];

// Where a room is, as the hotel says: "Garden wing, Floor 1, north"; empty if it says nothing.
export const placeOf = ({ building, floor, section }) =>
  [building, floorWords(floor), section].filter(Boolean).join(", ");

export const floorWords = (floor) => (/^[0-9]+$/.test(floor) ? `Floor ${floor}` : floor);

// The same in the page's URL: 1 for Floor 1.
export const placeKeyOf = ({ building, floor, section }) => [building, floor, section].filter(Boolean).join(", ");

// Sorts rooms by building, floor and section, those without one last, then by number.
export const byPlace = (a, b) => byText(a.building, b.building) || byText(a.floor, b.floor) || byText(a.section, b.section)
  || byNumber(a.room_number, b.room_number);

const byText = (a, b) => (a === "") - (b === "") || byNumber(a, b);

// A room's number as the API has it, from the text in the page: an integer unless it has anything but digits.
export const numberOf = (text) => (/^[1-9][0-9]*$/.test(text) ? Number(text) : text);

// Sorts room numbers as the API does: 9, 12, 12A, 101, PH1.
export function byNumber(a, b) {
  const [first, second] = [keyOf(a), keyOf(b)];
  return first === second ? 0 : first < second ? -1 : 1;
}

function keyOf(number) {
  const lower = String(number).toLowerCase();
  return `${lower.replace(/[0-9]+/g, (digits) => digits.padStart(20, "0").slice(-20))}\t${lower}`;
}

// Whether a snapshot is at least as new as the known one of the same room.
export function isCurrent(incoming, known) {
  if (!known) return true;
  if (incoming.status_version !== known.status_version) return incoming.status_version > known.status_version;
  // ISO 8601 in UTC sorts as text, except for the Z: a whole second has no fraction.
  return incoming.updated_at.slice(0, -1) >= known.updated_at.slice(0, -1);
}

// Whether notes were too long for the event and were cut.
export const isCut = (room) => Object.values(room).some((text) => typeof text === "string" && text.endsWith(" … [cut]"));

// The entry of a booking in arrivals or departures; null if it is on neither list today.
export function stayOf(row, businessDate) {
  // Computed from the dates, as the row may come from yesterday's event, when the guest was not late yet.
  const late = row.status === "CONFIRMED" && row.check_in < businessDate && businessDate < row.check_out;
  const arrives = late || (row.status === "CONFIRMED" && row.check_in === businessDate);
  const leaves = row.status === "IN_HOUSE" && row.check_out <= businessDate;
  if (!arrives && !leaves) return null;
  const { booking_id, guest_name, room_number, room_type_name, check_in, check_out, status, is_overstay } = row;
  return { booking_id, guest_name, room_number, room_type_name, check_in, check_out, status, is_late_arrival: late, is_overdue: leaves && Boolean(is_overstay) };
}

export function boardOf(state) {
  const board = { rooms: new Map() };
  takeState(board, state);
  return board;
}

// Replaces everything, even with older versions, as after a restore of the database. Returns whether the set of rooms
// or their places have changed.
export function takeState(board, state) {
  const { rooms, ...rest } = state;
  Object.assign(board, rest);
  for (const list of LISTS) board[list].sort(byRoom);
  board.clockAhead = Date.parse(state.now) - Date.now();
  const known = new Map([...board.rooms.values()].map((room) => [room.id, room]));
  board.rooms = new Map(rooms.map((room) => [room.room_number, room]));
  return rooms.length !== known.size || rooms.some((room) => !hasSamePlace(room, known.get(room.id)));
}

// Takes one room; returns "changed", "others" (a room was added, removed or has another place) or null (nothing new).
// Rooms are identified by id, as numbers can be reused.
export function takeRoom(board, room) {
  const known = [...board.rooms.values()].find(({ id }) => id === room.id);
  if (!isCurrent(room, known)) return null;
  if (known && (!room.is_active || known.room_number !== room.room_number)) board.rooms.delete(known.room_number);
  if (!room.is_active) return known ? "others" : null;
  // Events contain no guests: known guests stay until an event or a response clears them.
  board.rooms.set(room.room_number, { ...known, ...room });
  return hasSamePlace(room, known) ? "changed" : "others";
}

const hasSamePlace = (room, known) =>
  room.room_number === known?.room_number && room.room_type_name === known.room_type_name && placeOf(room) === placeOf(known);

// Takes a booking's row; returns the numbers of the rooms whose arrivals or departures it affects.
export function takeBooking(board, row) {
  const touched = new Set();
  const stay = stayOf(row, board.hotel.business_date);
  for (const list of LISTS) {
    const before = board[list].find((known) => known.booking_id === row.booking_id);
    if (before) touched.add(before.room_number);
    board[list] = board[list].filter((known) => known !== before);
  }
  if (stay) {
    const list = board[stay.status === "IN_HOUSE" ? "departures" : "arrivals"];
    list.push(stay);
    list.sort(byRoom);
    touched.add(stay.room_number);
  }
  touched.delete(null);
  return touched;
}

// By room number; stays without a room come last, by name.
const byRoom = (a, b) => (a.room_number === null) - (b.room_number === null)
  || (a.room_number !== null && byNumber(a.room_number, b.room_number))
  || `${a.guest_name} ${a.booking_id}`.localeCompare(`${b.guest_name} ${b.booking_id}`);

export const now = (board) => Date.now() + board.clockAhead;

export function duesOf(board, number) {
  const leaving = board.departures.find((stay) => stay.room_number === number);
  const coming = board.arrivals.find((stay) => stay.room_number === number);
  return { leaving, coming };
}

// Keeps a channel's events in order: "take" the next one, "drop" a duplicate, or fill a "gap" first.
export function sequenceAction(seq, last) {
  if (seq <= last) return "drop";
  return seq === last + 1 ? "take" : "gap";
}

export function stepsFor(room, me) {
  const mine = me.status_transitions[room.room_status] ?? [];
  return room.allowed_transitions.filter((status) => mine.includes(status));
}

// The refused changes to another status, among the room's actions.
export const refusedSteps = (room, actions) => actions.filter(({ action, allowed, body }) =>
  action === "set_status" && !allowed && body.to_status !== room.room_status);
