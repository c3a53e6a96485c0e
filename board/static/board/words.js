// Owns the texts for statuses, times, faults, arrivals and departures.

export const PRIORITIES = { LOW: "low", MED: "medium", HIGH: "high" };

// For wall screens, where a status gets one short line.
export const SHORT = {
  CHECKOUT_DIRTY: "Dirty",
  CLEANING_IN_PROGRESS: "Cleaning",
  CLEANED_UNINSPECTED: "To inspect",
  READY_FOR_GUEST: "Ready",
  MAINTENANCE_REQUIRED: "Repair",
};

const UNITS = [[86_400_000, "d", "day"], [3_600_000, "h", "hour"], [60_000, "min", "minute"]];

// The elapsed time: short for a tile, long for screen readers.
export function ago(since, now) {
  const past = Math.max(0, now - Date.parse(since));
  // Hours are more precise than days until two days have passed.
  for (const [length, short, long] of UNITS) {
    if (past >= (short === "d" ? 2 * length : length)) {
      const count = Math.floor(past / length);
      return { short: `${count} ${short}`, long: `for ${count} ${long}${count === 1 ? "" : "s"}` };
    }
  }
  return { short: "now", long: "just now" };
}

export function dueWords({ leaving, coming }) {
  const words = [];
  if (leaving) words.push(leaving.is_overdue ? "overdue" : "due out");
  if (coming) words.push(coming.is_late_arrival ? "late arrival" : "due in");
  return words;
}

// When a late arrival was due; empty for all others.
export function lateWords(stay, today) {
  if (!stay?.is_late_arrival) return "";
  const yesterday = new Date(Date.parse(`${today}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10);
  return stay.check_in === yesterday ? "due yesterday" : `due ${day(stay.check_in)}`;
}

export function faultWords(room) {
  if (!room.maintenance_required) return "";
  const priority = PRIORITIES[room.maintenance_priority];
  return priority ? `fault, ${priority}` : "fault";
}

const READINESS = {
  OCCUPIED: "still occupied",
  CHECKOUT_DIRTY: "dirty",
  CLEANING_IN_PROGRESS: "being cleaned",
  CLEANED_UNINSPECTED: "awaiting inspection",
  READY_FOR_GUEST: "ready",
  MAINTENANCE_REQUIRED: "in maintenance",
  OUT_OF_ORDER: "out of order",
};

export function readiness(room, stay) {
  if (stay.room_number === null) return "no room assigned";
  if (!room) return "room not in service";
  if (room.room_status === "READY_FOR_GUEST" && room.maintenance_required) return "ready, with a fault";
  return READINESS[room.room_status];
}

// The label of the button for a status change.
export function verb(from, to) {
  const verbs = {
    OCCUPIED: "Guest in house",
    CHECKOUT_DIRTY: ["MAINTENANCE_REQUIRED", "OUT_OF_ORDER"].includes(from) ? "Needs cleaning" : "Dirty",
    CLEANING_IN_PROGRESS: from === "CLEANED_UNINSPECTED" ? "Clean again" : "Start cleaning",
    CLEANED_UNINSPECTED: "Cleaned",
    READY_FOR_GUEST: "Ready for guest",
    MAINTENANCE_REQUIRED: "Needs maintenance",
    OUT_OF_ORDER: "Out of order",
  };
  return verbs[to] ?? to;
}

export const capitalized = (text) => text && text[0].toUpperCase() + text.slice(1);

// Which roles may do something; empty if none.
export const whoWords = (roles) => capitalized(roles.length ? `${roles.join(", ")} may.` : "");

export const labelOf = (board, status) => board.statuses.find(({ value }) => value === status)?.label ?? status;

export function clock(iso, timezone) {
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: timezone }).format(new Date(iso));
}

export function moment(iso, timezone) {
  const options = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: timezone };
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(iso));
}

export function day(date, options = { day: "numeric", month: "short" }) {
  return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" }).format(new Date(`${date}T00:00:00Z`));
}
