// The live page: a clock over server-sent events, and a WebSocket that gives back what it is told.
"use strict";

const at = (id) => document.getElementById(id);
const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString("ru");

function show(id, on, text) {
  at(id).textContent = text;
  at(id).className = on ? "state on" : "state off";
}

const events = new EventSource("/events");
events.addEventListener("open", () => show("events-state", true, "события приходят"));
events.addEventListener("error", () => show("events-state", false, "связь потеряна, пробуем ещё раз"));
events.addEventListener("tick", (event) => {
  at("clock").textContent = time(JSON.parse(event.data).seconds);
});

const address = new URL("/live/socket", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new WebSocket(address);

function say(seconds, text) {
  const line = document.createElement("li");
  const when = document.createElement("time");
  when.textContent = time(seconds);
  line.append(when, text);
  at("lines").append(line);
  while (at("lines").children.length > 100) at("lines").firstChild.remove();
  at("talk").scrollTop = at("talk").scrollHeight;
}

socket.addEventListener("open", () => {
  show("socket-state", true, "соединение открыто");
  at("send").disabled = false;
});
socket.addEventListener("close", () => {
  show("socket-state", false, "соединение закрыто");
  at("send").disabled = true;
});
socket.addEventListener("message", (event) => {
  const { seconds, echo } = JSON.parse(event.data);
  at("socket-time").textContent = time(seconds);
  if (echo !== null) say(seconds, "Сервер: " + echo);
});
at("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (text === "" || socket.readyState !== WebSocket.OPEN) return;
  say(Date.now() / 1000, "Вы: " + text);
  socket.send(text);
  at("text").value = "";
});
