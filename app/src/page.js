// What must hold before the WASM has come, and where it never comes. Written
// into every page with its nonce; `shell.rs` says what it is for.
(() => {
  const unsaved = () => document.querySelector("form.editor[data-unsaved]");
  let page = "";
  const typed = (form) => {
    if (!form?.matches("form.editor")) return;
    form.dataset.unsaved = "";
    page = location.pathname;
  };

  addEventListener("input", ({ target }) => {
    if (target.id !== "test-model") typed(target.form);
  });
  addEventListener("click", ({ target }) => typed(target.closest?.("[name=_action]")?.form));
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
  // A link is followed by the browser then, which asks before it leaves.
  addEventListener(
    "click",
    (event) => unsaved() && event.target.closest?.("a[href]") && event.stopPropagation(),
    true,
  );
  // Back between pages that the application drew unloads nothing: it is asked
  // here, and undone where the answer is no.
  let undoing = false;
  addEventListener("popstate", (event) => {
    if (!undoing && (!unsaved() || location.pathname === page)) return;
    const stay = !undoing && !confirm("Leave this page? What you typed is not saved.");
    if (stay) history.forward();
    if (stay || undoing) event.stopImmediatePropagation();
    undoing = stay;
  });
  // A page that comes back as it was left must not send the key it sent before.
  addEventListener("pageshow", ({ persisted }) => {
    for (const key of persisted ? document.getElementsByName("idempotency_key") : []) {
      key.value = `${key.value.split(".")[0]}.${Date.now()}`;
    }
  });
})();
