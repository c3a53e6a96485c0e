// Owns the page as a whole: reads the embedded state, and lets news of the house reach the picture and the panel.

import { houseOf } from "./house.js";
import { painter } from "./painting.js";

const state = JSON.parse(document.getElementById("board-state").textContent);
const house = houseOf(state);
const picture = painter(house);
picture.paintAll();
setInterval(picture.paintTimes, 30_000);
