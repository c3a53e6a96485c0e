// Owns what the screen knows of the house, and how news changes it. Pure: no page, no network.

const LISTS = ["arrivals", "departures"];

export const floorOf = (room) => Math.floor(room.room_number / 100);

// Of two snapshots of one room the older never wins.
export function isCurrent(incoming, known) {
  if (!known) return true;
  if (incoming.status_version !== known.status_version) return incoming.status_version > known.status_version;
  // ISO 8601 in UTC sorts as text, but for the Z: a whole second has no fraction.
  return incoming.updated_at.slice(0, -1) >= known.updated_at.slice(0, -1);
}

// Whether an event had no place for all that is noted.
export const isCut = (room) => Object.values(room).some((text) => typeof text === "string" && text.endsWith(" … [cut]"));

// The stay of a booking's row, as arrivals and departures list it; null when it is on neither list today.
export function stayOf(row, businessDate) {
  // From the dates, as the row may be of an event of yesterday, when nobody was late yet.
  const late = row.status === "CONFIRMED" && row.check_in < businessDate && businessDate < row.check_out;
  const arrives = late || (row.status === "CONFIRMED" && row.check_in === businessDate);
  const leaves = row.status === "IN_HOUSE" && row.check_out <= businessDate;
  if (!arrives && !leaves) return null;
  const { booking_id, guest_name, room_number, room_type_name, check_in, check_out, status, is_overstay } = row;
  return { booking_id, guest_name, room_number, room_type_name, check_in, check_out, status, is_late_arrival: late, is_overdue: leaves && Boolean(is_overstay) };
}

export function houseOf(state) {
  const house = { rooms: new Map() };
  takeState(house, state);
  return house;
}

// Takes a whole state, whatever is known: after a restore of the database what is true has older versions. Answers
// whether the rooms are other ones than before.
export function takeState(house, state) {
  const { rooms, ...rest } = state;
  Object.assign(house, rest);
  for (const list of LISTS) house[list].sort(byRoom);
  house.clockAhead = Date.parse(state.now) - Date.now();
  const known = new Map([...house.rooms.values()].map((room) => [room.id, room]));
  house.rooms = new Map(rooms.map((room) => [room.room_number, room]));
  return rooms.length !== known.size || rooms.some((room) => !hasSamePlace(room, known.get(room.id)));
}

// Takes one room; answers "changed", "others" (one more room, one fewer, or one that belongs elsewhere) or null
// (nothing new). A room is the same one by its id: numbers are given to other rooms.
export function takeRoom(house, room) {
  const known = [...house.rooms.values()].find(({ id }) => id === room.id);
  if (!isCurrent(room, known)) return null;
  if (known && (!room.is_active || known.room_number !== room.room_number)) house.rooms.delete(known.room_number);
  if (!room.is_active) return known ? "others" : null;
  // An event shows no guests: who is in the room stays known until an event or an answer says otherwise.
  house.rooms.set(room.room_number, { ...known, ...room });
  return hasSamePlace(room, known) ? "changed" : "others";
}

const hasSamePlace = (room, known) =>
  room.room_number === known?.room_number && room.room_type_name === known.room_type_name;

// Takes a booking's row; answers the numbers of the rooms whose dues it touches.
export function takeBooking(house, row) {
  const touched = new Set();
  const stay = stayOf(row, house.hotel.business_date);
  for (const list of LISTS) {
    const before = house[list].find((known) => known.booking_id === row.booking_id);
    if (before) touched.add(before.room_number);
    house[list] = house[list].filter((known) => known !== before);
  }
  if (stay) {
    const list = house[stay.status === "IN_HOUSE" ? "departures" : "arrivals"];
    list.push(stay);
    list.sort(byRoom);
    touched.add(stay.room_number);
  }
  touched.delete(null);
  return touched;
}

// Those without a room come last, by name.
const byRoom = (a, b) => (a.room_number ?? Infinity) - (b.room_number ?? Infinity)
  || `${a.guest_name} ${a.booking_id}`.localeCompare(`${b.guest_name} ${b.booking_id}`);

export const now = (house) => Date.now() + house.clockAhead;

export function duesOf(house, number) {
  const leaving = house.departures.find((stay) => stay.room_number === number);
  const coming = house.arrivals.find((stay) => stay.room_number === number);
  return { leaving, coming };
}

// The events of one channel in order: "take" the next one, "drop" a repeat, or fill a "gap" first.
export function sequel(seq, last) {
  if (seq <= last) return "drop";
  return seq === last + 1 ? "take" : "gap";
}

export function stepsFor(room, me) {
  const mine = me.status_transitions[room.room_status] ?? [];
  return room.allowed_transitions.filter((status) => mine.includes(status));
}
