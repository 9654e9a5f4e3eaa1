"use strict";
new EventSource("v1/events").onmessage = e => {
  document.getElementById("all").textContent = JSON.stringify(JSON.parse(e.data), null, 1);
};
