// Owns the dialog of one room: its details, the status changes that the user may make, why not the others, and its history.

import { duesOf, isCut, now, refusedSteps, stepsFor } from "./state.js";
import { element, setText } from "./painting.js";
import { ago, capitalized, day, dueWords, faultWords, labelOf, lateWords, moment, verb, whoWords } from "./words.js";

const $ = (selector, within = document) => within.querySelector(selector);
// Milliseconds after the buttons change in which taps are ignored: a double tap must not press a new button.
const SETTLE = 700;
// Refusals of a change that nobody expects from this status: it is shown on demand.
const NO_NEXT_STEP = ["INVALID_TRANSITION", "NOBODY_IN_HOUSE"];

// `took(room)` is called with each room received from the server, so that the rest of the page is updated too.
export function panel({ board, api, slug, took }) {
  const dialog = $("#room");
  const base = `/api/staff/hotel/${slug}`;
  const note = $("#note");
  let number = null;
  let busy = false;
  let unsettled; // timer that is set while the buttons have just changed
  let painted = {}; // what each part shows, so that only changes are rendered
  let answer = null; // the server's: what may be done with the room, and if not, why; null if it can't be had
  let asked = 0; // how often the server was asked for it
  const overrides = new WeakMap(); // the call of each override button

  function open(roomNumber) {
    number = roomNumber;
    painted = {};
    answer = null;
    note.value = "";
    say("", "");
    $("#history").replaceChildren();
    $("#others").open = false;
    paint();
    dialog.showModal();
    $("#room-heading").focus();
    settle();
  }

  const room = () => board.rooms.get(number);
  const isOpen = () => number !== null && dialog.open;

  function paint() {
    const current = room();
    // Messages about an earlier version no longer apply.
    if (current && !once("version", [current.id, current.status_version]) && !busy) say("", "");
    if (!current) {
      painted = {}; // render everything if the room comes back
      say("", `Room ${number} is no longer on the board.`);
      for (const part of ["#steps", "#fault"]) $(part).hidden = true;
      return;
    }
    $("#steps").hidden = false;
    setText($("#room-heading"), `Room ${current.room_number}`);
    $("#room-status").dataset.status = current.room_status;
    setText($("#room-status .label"), labelOf(board, current.room_status));
    setText($("#room-status .since"), ago(current.status_changed_at, now(board)).long);
    paintFacts(current);
    const actions = answer?.status_version === current.status_version ? answer.actions : [];
    paintSteps(current, actions);
    paintFault(current, actions);
    if (!once("actions", [current.id, current.status_version, current.updated_at])) ask(current);
    if (!once("history", [current.id, current.status_version])) readHistory(current);
    // On opening; after a check-in, as events contain no guests; and when an event's notes were cut.
    if (!once("guest", [current.id, current.is_occupied]) || (isCut(current) && !once("whole", [current.id, current.updated_at]))) read();
  }

  const read = () => readRoom(number).catch(() => { painted.guest = null; });

  // Whether `part` already shows `what`; records it as shown.
  function once(part, what) {
    const key = JSON.stringify(what);
    const same = painted[part] === key;
    painted[part] = key;
    return same;
  }

  function paintFacts(current) {
    const zone = board.hotel.timezone;
    const { leaving, coming } = duesOf(board, current.room_number);
    const when = (time, who) => time && [moment(time, zone), who].filter(Boolean).join(", ");
    const guest = current.primary_guest && `${current.primary_guest.first_name} ${current.primary_guest.last_name}`;
    const until = current.current_booking && `until ${day(current.current_booking.check_out)}`;
    const tasks = board.my_tasks.filter((task) => task.room_number === current.room_number);
    const facts = [
      ["Type", current.room_type_name],
      ["Guest", guest && [guest, until].filter(Boolean).join(", ")],
      ["Today", dueWords({ leaving, coming }).join(", ")],
      ["Arriving", [coming?.guest_name, lateWords(coming, board.hotel.business_date)].filter(Boolean).join(", ")],
      ["My task", tasks.map((task) => [task.task_type_display, task.note].filter(Boolean).join(": ")).join("\n")],
      ["Cleaned", when(current.last_cleaned_at, current.cleaned_by_staff_name)],
      ["Inspected", when(current.last_inspected_at, current.inspected_by_staff_name)],
      ["Notes", current.turnover_notes],
    ].filter(([, value]) => value);
    if (once("facts", facts)) return;
    $("#facts").replaceChildren(...facts.flatMap(([term, value]) => [
      element("dt", { textContent: term }), element("dd", { textContent: value }),
    ]));
  }

  function paintSteps(current, actions) {
    const refused = refusedSteps(current, actions);
    const steps = stepsFor(current, board.me).filter((status) => !refused.some(({ body }) => body.to_status === status));
    paintButtons(current, steps);
    const items = refused.map((action) => ({
      ...action,
      id: `why-${action.body.to_status}`,
      status: action.body.to_status,
      label: verb(current.room_status, action.body.to_status),
      overriding: overrideOf(action, actions),
    }));
    const isFar = ({ reasons }) => reasons.some(({ code }) => NO_NEXT_STEP.includes(code));
    const far = items.filter(isFar);
    const near = items.filter((item) => !isFar(item));
    paintRefused($("#refused-steps"), near);
    paintRefused($("#refused-others"), far);
    $("#others").hidden = !far.length;
    $("#steps .none").hidden = steps.length + near.length > 0;
  }

  function paintButtons(current, steps) {
    if (once("steps", [current.id, current.status_version, steps])) return;
    const group = $("#steps .buttons");
    const held = group.contains(document.activeElement);
    group.replaceChildren(...steps.map((status) => {
      const button = element("button", { type: "button" }, element("span", { className: "mark" }), verb(current.room_status, status));
      button.dataset.to = button.dataset.status = status;
      return button;
    }));
    clearTimeout(unsettled);
    unsettled = setTimeout(settle, SETTLE);
    disableButtons();
    if (held) $("#room-heading").focus();
  }

  // The call that lifts a refusal, if the user holds the right; null otherwise.
  function overrideOf({ url, body, override }, actions) {
    if (!board.me.overrides.includes(override?.right)) return null;
    if (override.needs === "force") return { url, body: { ...body, force: true } };
    const call = actions.find((other) => other.action === "manager_override" && other.body.to_status === body.to_status);
    return call?.allowed ? { url: call.url, body } : null;
  }

  function paintFault(current, actions) {
    const { flag, clear } = board.me.may;
    const fault = faultWords(current);
    const isBroken = fault || current.room_status === "MAINTENANCE_REQUIRED";
    const known = fault && [capitalized(fault), current.maintenance_notes].filter(Boolean).join("\n");
    setText($("#fault .known"), known);
    const refusal = (name) => actions.find(({ action, allowed }) => action === name && !allowed);
    const report = refusal("report_fault");
    const repaired = isBroken && refusal("complete_repair");
    $("#fault [data-flag]").hidden = !flag || Boolean(report);
    $("#fault [data-fault=repaired]").hidden = !(clear && isBroken) || Boolean(repaired);
    paintRefused($("#refused-fault"), [
      report && { ...report, id: "why-report", label: $("#fault [data-fault=report]").textContent },
      repaired && { ...repaired, id: "why-repaired", label: $("#fault [data-fault=repaired]").textContent },
    ].filter(Boolean));
    $("#fault").hidden = !(flag || fault || report);
  }

  // Greyed, with all reasons and who may. Not `disabled`, so that keyboards and screen readers reach it.
  function paintRefused(list, items) {
    if (once(list.id, items)) return;
    const held = list.contains(document.activeElement);
    list.replaceChildren(...items.map(({ id, status, label, reasons, overriding }) => {
      const button = element("button", { type: "button" }, element("span", { className: "mark" }), overriding ? `Override: ${label}` : label);
      if (status) button.dataset.status = status;
      if (overriding) {
        button.dataset.override = status;
        overrides.set(button, overriding);
      } else {
        button.setAttribute("aria-disabled", "true");
      }
      button.setAttribute("aria-describedby", id);
      const why = reasons.map(({ message, who_can: roles }) =>
        element("p", { textContent: message }, element("small", { textContent: whoWords(roles) })));
      return element("li", {}, button, element("div", { id }, ...why));
    }));
    disableButtons();
    if (held) $("#room-heading").focus();
  }

  async function ask(current) {
    asked += 1;
    const turn = asked;
    const found = await api.look(`${base}/rooms/${current.id}/actions/`).catch(() => null);
    if (!isOpen() || turn !== asked) return;
    answer = found;
    paint();
  }

  async function readRoom(asked) {
    const answer = await api.look(`${base}/room-management/${encodeURIComponent(asked)}/`);
    took(answer);
    if (isOpen() && asked === number) paint();
  }

  async function readHistory(current) {
    const { history } = board.me.may;
    setText($("#history-note"), history ? "" : "Your role can't view the history of a room.");
    if (!history) return;
    const answer = await api.look(`${base}/rooms/${current.id}/status-history/?limit=20`).catch(() => null);
    // A request for a later version is already in flight.
    if (!isOpen() || room()?.id !== current.id || room().status_version !== current.status_version) return;
    if (!answer) {
      setText($("#history-note"), "The history can't be loaded right now.");
      painted.history = null;
      return;
    }
    const { status_history: events, total_events: total } = answer;
    $("#history").replaceChildren(...events.map(historyItem));
    setText($("#history-note"), total > events.length ? `The latest ${events.length} of ${total} changes.` : total ? "" : "No status changes yet.");
  }

  function historyItem(event) {
    const who = [event.changed_by_name ?? "HotelMate", event.source_display.toLowerCase()].join(", ");
    const time = element("time", { dateTime: event.created_at, textContent: moment(event.created_at, board.hotel.timezone) });
    const change = element("div", {}, labelOf(board, event.from_status), " → ", element("b", { textContent: labelOf(board, event.to_status) }));
    const item = element("li", {}, change, element("small", {}, time, ` · ${who}`));
    if (event.note) item.append(element("q", { textContent: event.note }));
    return item;
  }

  function say(done, refusal) {
    setText($("#done"), done);
    setText($("#refusal"), refusal);
    $("#refusal").hidden = !refusal;
  }

  // One request at a time; taps during a request are ignored.
  async function send(url, body, headers) {
    const at = number;
    busy = true;
    disableButtons();
    say("", "");
    try {
      const answer = await api.post(url, body, headers);
      took(answer.room);
      if (at === number) {
        note.value = "";
        say(answer.message, "");
      }
    } catch (refusal) {
      await explain(refusal, at);
    } finally {
      busy = false;
      disableButtons();
      if (isOpen()) paint();
    }
  }

  // Shows the server's message and the room's current status, read again as the panel may have been out of date.
  async function explain(refusal, at) {
    const read = await readRoom(at).then(() => true, () => false);
    if (at !== number) return;
    painted.actions = null;
    const sentence = refusal.isNoResponse && read ? "The server did not respond in time." : refusal.message;
    const name = refusal.details?.changed_by_name;
    const who = name ? ` It was changed by ${name}.` : "";
    const unknown = refusal.isNoResponse ? " The change may or may not have been saved." : "";
    const truth = read && room() ? ` Room ${number} is now: ${labelOf(board, room().room_status)}.` : unknown;
    say("", sentence + who + truth);
  }

  function settle() {
    clearTimeout(unsettled);
    unsettled = undefined;
    disableButtons();
  }

  // Marks buttons that ignore taps at the moment as disabled.
  function disableButtons() {
    for (const button of dialog.querySelectorAll("[data-to], [data-fault], [data-override]")) {
      if (busy || (unsettled && !button.dataset.fault)) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  }

  // A click outside the panel closes it; selecting text past its edge does not.
  let pressed = null;
  dialog.addEventListener("pointerdown", (event) => { pressed = event.target; });

  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const beside = event.target === dialog && pressed === dialog;
    if (beside || button?.matches("[data-close]")) dialog.close();
    if (!button || busy || !room()) return;
    const { id, status_version: version } = room();
    const ifMatch = { "If-Match": `"${version}"` };
    const overriding = overrides.get(button);
    if (button.dataset.to && !unsettled) {
      send(`${base}/rooms/${id}/status/`, { to_status: button.dataset.to, note: note.value }, ifMatch);
    } else if (overriding && !unsettled && !note.value.trim()) {
      say("", "An override needs a note that says why.");
      note.focus();
    } else if (overriding && !unsettled) {
      send(overriding.url, { ...overriding.body, note: note.value }, ifMatch);
    } else if (button.dataset.fault === "report") {
      send(`${base}/rooms/${encodeURIComponent(number)}/mark-maintenance/`, { priority: $("#priority").value, notes: note.value });
    } else if (button.dataset.fault === "repaired") {
      send(`${base}/rooms/${encodeURIComponent(number)}/complete-maintenance/`, { notes: note.value });
    }
  });
  for (const form of dialog.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
  dialog.addEventListener("close", () => { number = null; });

  const shows = (other) => isOpen() && other === number;

  return {
    open,
    // Every half minute: other rooms' bookings and the user's rights, too, decide what is possible.
    refresh: () => {
      if (!isOpen()) return;
      painted.actions = null;
      paint();
    },
    refreshIf: (changed) => shows(changed) && paint(),
    // For bookings: no event contains the room with its guests, and they can stand in the way.
    readIf: (changed) => {
      if (!shows(changed)) return;
      painted.actions = null;
      read();
    },
  };
}
