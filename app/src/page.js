// Behavior that works before and without WASM. `shell.rs` inlines it into every
// page with the CSP nonce.
(() => {
  const unsaved = () => document.querySelector("form.editor[data-unsaved]");
  let unsavedPath = location.pathname;
  const markUnsaved = (form) => {
    if (!form?.matches("form.editor")) return;
    form.dataset.unsaved = "";
    unsavedPath = location.pathname;
  };

  addEventListener("input", ({ target }) => {
    if (target.id !== "test-model") markUnsaved(target.form);
  });
  addEventListener("click", ({ target }) => markUnsaved(target.closest?.("[name=_action]")?.form));
  addEventListener("submit", (event) => {
    const { target, submitter } = event;
    if (event.defaultPrevented) return;
    if (submitter?.name === "theme") {
      event.preventDefault();
      document.documentElement.dataset.theme = submitter.value;
      document.cookie = `theme=${submitter.value}; Path=/; Max-Age=31536000; SameSite=Lax`;
    } else {
      delete target.dataset.unsaved;
    }
  });
  addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());
  // Hides the click from the router: the browser follows the link and asks first.
  addEventListener(
    "click",
    (event) => unsaved() && event.target.closest?.("a[href]") && event.stopPropagation(),
    true,
  );
  // Back between client-side routes does not unload the page, so this asks and
  // goes forward again if the user stays.
  let undoing = false;
  addEventListener("popstate", (event) => {
    if (!undoing && (!unsaved() || location.pathname === unsavedPath)) return;
    const stay = !undoing && !confirm("Leave this page? Your changes are not saved.");
    if (stay) history.forward();
    if (stay || undoing) event.stopImmediatePropagation();
    else forget();
    undoing = stay;
  });
  // The input of a new object is kept in this tab over a reload. `unsaved.rs` shows it
  // again. Secrets are not kept.
  const KEPT = "kept:";
  const forget = () => {
    const names = Object.keys(sessionStorage).filter((name) => name.startsWith(KEPT));
    for (const name of names) sessionStorage.removeItem(name);
  };
  const keep = () => {
    const form = unsaved();
    if (form?.dataset.keep === undefined) return;
    const isKept = ([name, value]) =>
      typeof value === "string" &&
      !["headers", "query"].includes(name) &&
      form.elements.namedItem(name)?.type !== "password";
    const fields = JSON.stringify([...new FormData(form)].filter(isKept));
    try {
      sessionStorage.setItem(KEPT + location.pathname + location.search, fields);
    } catch {
      // The storage is full, so this input does not survive a reload.
    }
  };
  addEventListener("pagehide", keep);
  // What is typed between a reload and the return of the kept input is newer. The form is
  // rendered again with the kept input, so this puts the newer values and the focus back.
  const typed = new Map();
  let focused;
  const noteTyped = ({ target }) => target.form?.dataset.keep !== undefined && typed.set(target.id, target);
  addEventListener("input", noteTyped);
  addEventListener("focusin", ({ target }) => (focused = target));
  addEventListener("kept-input-restored", () => {
    removeEventListener("input", noteTyped);
    for (const [id, { value, checked }] of typed) {
      const field = document.getElementById(id);
      if (!field) continue;
      field.value = value;
      field.checked = checked;
      for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
    }
    const field = document.getElementById(focused?.id);
    if (!field || field === focused) return;
    field.focus();
    if (field.selectionStart !== null) field.setSelectionRange?.(focused.selectionStart, focused.selectionEnd);
  });
  const [navigation] = performance.getEntriesByType("navigation");
  if (!["reload", "back_forward"].includes(navigation?.type)) forget();

  // A click on a value of a tried response sets the chosen pointer of the form.
  addEventListener("click", (event) => {
    const value = event.target.closest?.("button[name=pointer]");
    const chosen = document.getElementById("pointer_target")?.selectedOptions[0];
    const field = document.getElementById(chosen?.dataset.field);
    if (!value || !field) return;
    event.preventDefault();
    field.value = value.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    const status = document.getElementById("pointer_status");
    status.textContent = `${chosen.textContent}: ${value.value}`;
  });

  // Files that are dropped on the form of the import become the files of its input.
  const dropZone = (event) => event.target.closest?.("[data-drop]");
  addEventListener("dragover", (event) => {
    const zone = dropZone(event);
    if (zone) {
      event.preventDefault();
      zone.dataset.over = "";
    }
  });
  addEventListener("dragleave", (event) => delete dropZone(event)?.dataset.over);
  addEventListener("drop", (event) => {
    const zone = dropZone(event);
    if (!zone) return;
    event.preventDefault();
    delete zone.dataset.over;
    if (event.dataTransfer.files.length === 0) return;
    zone.querySelector("input[type=file]").files = event.dataTransfer.files;
    zone.requestSubmit();
  });

  // A page from the back-forward cache must not reuse its idempotency key.
  addEventListener("pageshow", ({ persisted }) => {
    for (const key of persisted ? document.getElementsByName("idempotency_key") : []) {
      key.value = `${key.value.split(".")[0]}.${Date.now()}`;
    }
  });
})();
