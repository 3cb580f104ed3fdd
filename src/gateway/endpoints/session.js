// Warns before the session ends and renews it while somebody works on the page. See docs/forms-and-scripts.md.
(() => {
  "use strict";
  const { src, dataset: options } = document.currentScript;
  const at = (name) => new URL(name, src);
  const warn = Number(options.warn) || 300;
  const language = options.lang || document.documentElement.lang || navigator.language;
  const text = /^ru/i.test(language)
    ? { ending: "Ваш сеанс скоро закончится.", ended: "Ваш сеанс закончился. Войдите в новой вкладке: эта страница останется как есть.", stay: "Остаться", signIn: "Войти", hide: "Скрыть" }
    : { ending: "Your session ends soon.", ended: "Your session has ended. Sign in, in a new tab: this page stays as it is.", stay: "Stay signed in", signIn: "Sign in", hide: "Hide" };
  let active = false, stay = false, known = false, over = false, warned = false, refused = 0, running = false, idle = 0, lonely = 5, timer, box;

  const tell = (name, detail) =>
    dispatchEvent(new CustomEvent(`vestibule:${name}`, { detail, cancelable: true })) && options.dialog !== "off";

  const hide = () => { box?.remove(); box = undefined; };

  function show(message, answer) {
    hide();
    box = document.createElement("div");
    box.setAttribute("role", "alert");
    box.className = "vestibule-session";
    // Set one by one, as a policy without unsafe-inline allows.
    Object.assign(box.style, {
      position: "fixed", right: "1rem", bottom: "1rem", zIndex: "2147483647", maxWidth: "22rem", margin: "0 0 0 1rem", padding: "1rem 1.25rem",
      border: "1px solid", borderRadius: ".75rem", background: "Canvas", color: "CanvasText",
      boxShadow: "0 .25rem 1.5rem rgb(0 0 0 / .25)", font: "1rem/1.4 system-ui, sans-serif",
    });
    const words = document.createElement("p");
    words.textContent = message;
    words.style.margin = "0 0 .75rem";
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = text.hide;
    close.addEventListener("click", hide);
    // Large enough for a finger.
    for (const press of [answer, close]) {
      Object.assign(press.style, { display: "inline-block", margin: "0 .5rem 0 0", padding: ".5rem .75rem", font: "inherit" });
    }
    box.append(words, answer, close);
    document.body.append(box);
  }

  function staying() {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text.stay;
    button.addEventListener("click", () => { active = stay = true; step(); });
    return button;
  }

  function signingIn() {
    const link = document.createElement("a");
    link.href = at("sign-in");
    link.target = "_blank";
    link.rel = "noopener";
    link.textContent = text.signIn;
    return link;
  }

  // What the gateway knows; null when there is no session, undefined when nobody can tell.
  async function ask(used) {
    try {
      const answer = await fetch(at(used ? "session?active" : "session"), { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout?.(15000) });
      return answer.ok ? await answer.json() : answer.status === 401 ? null : undefined;
    } catch {
      return undefined;
    }
  }

  function renew() {
    return new Promise((done) => {
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.src = at("silent");
      const finish = (renewed) => {
        clearTimeout(limit);
        removeEventListener("message", hear);
        frame.remove();
        done(renewed);
      };
      const hear = ({ origin, source, data }) => {
        if (origin === location.origin && source === frame.contentWindow && data?.type === "vestibule:silent") finish(data.ok === true);
      };
      const limit = setTimeout(finish, 15000, false);
      addEventListener("message", hear);
      document.body.append(frame);
    });
  }

  // One tab at a time, where browsers can tell; another tab's renewal is seen at the next look.
  const renewAlone = () => navigator.locks
    ? navigator.locks.request(at("silent").pathname, { ifAvailable: true }, (lock) => lock ? renew() : undefined)
    : renew();

  async function look() {
    const used = active, wished = stay;
    active = stay = false;
    let session = await ask(used);
    if (session && used && options.renew !== "off" && session.expires_at - session.now < warn && (wished || refused !== session.expires_at)) {
      const renewed = await renewAlone();
      if (renewed === false) refused = session.expires_at;
      session = await ask(true);
    }
    if (session === undefined) return 30;
    if (session === null) {
      if (known && !over) {
        over = true;
        if (tell("ended", {})) show(text.ended, signingIn());
      }
      // Whoever signs in elsewhere comes back to this tab, and then it is looked at once.
      return lonely = Math.min(300, lonely * 2);
    }
    const life = session.expires_at - session.now, left = session.idle_expires_at - session.now;
    idle = Math.max(idle, left);
    // An idle time that is shorter than the warning is not all warning.
    const safe = Math.min(life - warn, left - Math.min(warn, idle / 2)), near = safe < 0;
    const detail = { seconds: left, expires_at: session.expires_at };
    lonely = 5;
    if (!near || over) {
      if (over || warned) tell("renewed", detail);
      hide();
      over = warned = false;
    }
    known = true;
    if (near && !warned) {
      warned = true;
      const lost = refused === session.expires_at || options.renew === "off" && session.expires_at - session.now < warn;
      if (tell("ending", detail)) show(text.ending, lost ? signingIn() : staying());
    }
    return Math.min(300, Math.max(1, near ? left / 4 : Math.min(safe, left / 3)));
  }

  async function step() {
    clearTimeout(timer);
    if (running) return;
    running = true;
    const pause = await look();
    running = false;
    timer = setTimeout(step, active && warned ? 1000 : pause * 1000);
  }

  for (const kind of ["pointerdown", "keydown", "input", "wheel", "touchstart"]) {
    addEventListener(kind, () => {
      if (active) return;
      active = true;
      if (warned && !running) { clearTimeout(timer); timer = setTimeout(step, 500); }
    }, { capture: true, passive: true });
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) step(); });
  if (document.body) step(); else addEventListener("DOMContentLoaded", step);
})();
