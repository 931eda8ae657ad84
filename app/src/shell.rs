//! The HTML document, the application frame and the routes.

use crate::components::browser;
use crate::components::page_data::{QueryResource, load};
use crate::components::title::Announcer;
use crate::pages::account::{SignInPage, SignUpPage};
use crate::pages::lazy_routes::{AgentRoute, LazyRoute, ResultRoute, ScenarioRoute, SetupRoute};
use crate::pages::not_found::NotFound;
use crate::server_fns::SessionQuery;
use crate::server_fns::accounts::HeaderData;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, Title, provide_meta_context};
use leptos_router::components::{Route, Router, Routes};
use leptos_router::hooks::use_location;
use leptos_router::{ChooseView, PossibleRouteMatch, SsrMode, path};
use std::sync::Arc;

/// Behavior that works before and without WASM: confirmation before unsaved
/// changes are lost, theme switching without a reload, and fresh idempotency keys
/// after the page returns from the back-forward cache.
const PAGE_SCRIPT: &str = include_str!("page.js");

pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = theme();
    let preload_links = preload_links(&options);
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="description"
                    content="Rehearsal tests conversational agents: scenarios, live runs, verdicts backed by quotes."/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <HashedStylesheet id="leptos" options=options.clone()/>
                {preload_links}
                <script nonce=use_nonce() inner_html=PAGE_SCRIPT></script>
                <HydrationScripts options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// Preloads what the scripts would request last: the loader of the lazy chunks
/// and the chunk files of this page.
fn preload_links(options: &LeptosOptions) -> AnyView {
    let file = format!("/{}/{}", options.site_pkg_dir, options.output_name);
    let links = chunk_files().into_iter().map(|ending| {
        let href = format!("{file}{ending}");
        view! { <link rel="preload" href=href r#as="fetch" r#type="application/wasm" crossorigin=""/> }
    });
    view! { <link rel="modulepreload" href=format!("{file}_split.js")/> {links.collect_view()} }
        .into_any()
}

/// Suffixes of the names of the chunk files of the requested page.
#[cfg(feature = "ssr")]
fn chunk_files() -> Vec<String> {
    use crate::pages::lazy_routes::{ChunkFiles, LazyChunk};
    use leptos::server_fn::axum_export::http::request::Parts;
    let path = use_context::<Parts>().map(|parts| parts.uri.path().to_owned()).unwrap_or_default();
    let files = use_context::<ChunkFiles>().unwrap_or_default();
    LazyChunk::at(&path).map(|chunk| files.of(chunk)).unwrap_or_default()
}

#[cfg(not(feature = "ssr"))]
fn chunk_files() -> Vec<String> {
    Vec::new()
}

/// `light`, `dark` or `system` from the cookie, so that the first paint has the
/// right colors. In the browser the document already has the attribute.
#[cfg(feature = "ssr")]
pub(crate) fn theme() -> &'static str {
    use leptos::server_fn::axum_export::http::{header::COOKIE, request::Parts};
    let parts = use_context::<Parts>();
    let cookies = parts.as_ref().and_then(|parts| parts.headers.get(COOKIE)?.to_str().ok());
    let value = cookies
        .and_then(|all| all.split(';').find_map(|cookie| cookie.trim().strip_prefix("theme=")));
    match value {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "system",
    }
}

#[cfg(not(feature = "ssr"))]
fn theme() -> &'static str {
    "system"
}

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let announcer = Announcer::provide();
    Effect::new(|before: Option<()>| {
        if before.is_none() {
            browser::mark_hydrated();
            add_keyboard_shortcuts();
        }
    });
    view! {
        <Title formatter=document_title/>
        <Router>
            <a class="skip" href="#main" rel="external">"Skip to content"</a>
            {header()}
            <main id="main" tabindex="-1">{routes()}</main>
            {footer()}
            {announcer.region()}
            {help()}
        </Router>
    }
}

/// The text of the title element. In the browser it is set as text. The server writes
/// it into the document, and leptos_meta does not escape it.
fn document_title(title: String) -> String {
    let title = if cfg!(feature = "ssr") {
        title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    } else {
        title
    };
    format!("{title} · Rehearsal")
}

/// The page of a route. One type for all routes, because the router is compiled
/// once per type. [`route_path`] exists for the same reason.
#[derive(Clone, Copy, Debug)]
enum RoutePage {
    SignIn,
    SignUp,
    Lazy(LazyRoute),
}

impl ChooseView for RoutePage {
    async fn choose(self) -> AnyView {
        match self {
            Self::SignIn => SignInPage().into_any(),
            Self::SignUp => SignUpPage().into_any(),
            Self::Lazy(page) => page.view().await,
        }
    }

    async fn preload(&self) {
        if let Self::Lazy(page) = self {
            // `LazyRoute::view` shows a failure in place of the page.
            let _ = page.chunk().load().await;
        }
    }
}

impl RoutePage {
    const fn result(page: ResultRoute) -> Self {
        Self::Lazy(LazyRoute::Result(page))
    }

    const fn agent(page: AgentRoute) -> Self {
        Self::Lazy(LazyRoute::Agent(page))
    }

    const fn scenario(page: ScenarioRoute) -> Self {
        Self::Lazy(LazyRoute::Scenario(page))
    }

    const fn setup(page: SetupRoute) -> Self {
        Self::Lazy(LazyRoute::Setup(page))
    }
}

fn route_path(
    path: impl PossibleRouteMatch + Send + Sync + 'static,
) -> Arc<dyn PossibleRouteMatch + Send + Sync> {
    Arc::new(path)
}

fn routes() -> impl IntoView {
    // Waits for all data, so that status and title are right and pages are
    // complete without JavaScript.
    const ASYNC: SsrMode = SsrMode::Async;
    use RoutePage as P;
    view! {
        <Routes fallback=NotFound>
            <Route path=route_path(path!("/")) view=P::result(ResultRoute::Home) ssr=ASYNC/>
            <Route path=route_path(path!("/sign-in")) view=P::SignIn ssr=ASYNC/>
            <Route path=route_path(path!("/sign-up")) view=P::SignUp ssr=ASYNC/>
            <Route path=route_path(path!("/agents")) view=P::agent(AgentRoute::Agents) ssr=ASYNC/>
            <Route path=route_path(path!("/agents/new")) view=P::agent(AgentRoute::Agent) ssr=ASYNC/>
            <Route path=route_path(path!("/agents/:id")) view=P::agent(AgentRoute::Agent) ssr=ASYNC/>
            <Route path=route_path(path!("/agents/:id/chat")) view=P::agent(AgentRoute::AgentChat) ssr=ASYNC/>
            <Route path=route_path(path!("/scenarios")) view=P::scenario(ScenarioRoute::Scenarios) ssr=ASYNC/>
            <Route path=route_path(path!("/scenarios/new")) view=P::scenario(ScenarioRoute::Scenario) ssr=ASYNC/>
            <Route path=route_path(path!("/scenarios/:id")) view=P::scenario(ScenarioRoute::Scenario) ssr=ASYNC/>
            <Route path=route_path(path!("/import")) view=P::agent(AgentRoute::Import) ssr=ASYNC/>
            <Route path=route_path(path!("/suites")) view=P::result(ResultRoute::Suites) ssr=ASYNC/>
            <Route path=route_path(path!("/suites/new")) view=P::setup(SetupRoute::NewSuite) ssr=ASYNC/>
            <Route path=route_path(path!("/suites/:id")) view=P::result(ResultRoute::Suite) ssr=ASYNC/>
            <Route path=route_path(path!("/runs/:id")) view=P::result(ResultRoute::Run) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/connections")) view=P::setup(SetupRoute::Connections) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/connections/new")) view=P::setup(SetupRoute::Connection) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/connections/:id")) view=P::setup(SetupRoute::Connection) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/connections/:id/prices")) view=P::setup(SetupRoute::Prices) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/models")) view=P::setup(SetupRoute::Models) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/profiles")) view=P::setup(SetupRoute::Profiles) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/profiles/new")) view=P::setup(SetupRoute::Profile) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/profiles/:id")) view=P::setup(SetupRoute::Profile) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/tokens")) view=P::setup(SetupRoute::Tokens) ssr=ASYNC/>
            <Route path=route_path(path!("/settings/account")) view=P::setup(SetupRoute::Account) ssr=ASYNC/>
        </Routes>
    }
}

fn header() -> AnyView {
    let session: QueryResource<HeaderData> = load(|| SessionQuery {});
    provide_context(session);
    let path = use_location().pathname;
    let link = move |href: &'static str, label: &'static str, section: &'static str| {
        let current = move || path.with(|path| path.starts_with(section)).then_some("page");
        view! { <a href=href aria-current=current>{label}</a> }
    };
    view! {
        <header class="top">
            <a class="brand" href="/">"Rehearsal"</a>
            <nav aria-label="Main">
                {link("/suites", "Suites", "/suites")}
                {link("/scenarios", "Scenarios", "/scenarios")}
                {link("/agents", "Agents", "/agents")}
                {link("/settings/connections", "Settings", "/settings")}
            </nav>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move {
                    account(session.wait().await.unwrap_or_default())
                })}
            </Suspense>
        </header>
    }
    .into_any()
}

fn account(session: HeaderData) -> AnyView {
    match session.email {
        Some(email) => view! {
            <div class="user-menu">
                <span class="hint clip">{email}</span>
                <form method="post" action="/forms/sign-out" class="inline">
                    <button type="submit" class="small quiet">"Sign out"</button>
                </form>
            </div>
        }
        .into_any(),
        None => view! { <div class="user-menu"><a href="/sign-in">"Sign in"</a></div> }.into_any(),
    }
}

fn footer() -> AnyView {
    let location = use_location();
    let current_url = move || {
        let search = location.search.get();
        let separator = if search.is_empty() { "" } else { "?" };
        format!("{}{separator}{search}", location.pathname.get())
    };
    let themes = [("system", "System"), ("light", "Light"), ("dark", "Dark")];
    let buttons = themes.into_iter().map(|(word, label)| {
        view! { <button type="submit" name="theme" value=word class="small quiet">{label}</button> }
    });
    view! {
        <footer class="bottom">
            <form method="post" action="/forms/theme" class="inline" aria-label="Theme">
                <input type="hidden" name="next" value=current_url/>
                <span class="hint">"Theme "</span>
                {buttons.collect_view()}
            </form>
            <a href="/api/docs" rel="external">"API"</a>
        </footer>
    }
    .into_any()
}

/// Single-key shortcuts, disabled while typing.
fn add_keyboard_shortcuts() {
    let handle = window_event_listener(leptos::ev::keydown, |event| {
        if browser::is_typing(&event) {
            return;
        }
        match event.key().as_str() {
            "?" => browser::open_dialog("help"),
            "/" => browser::focus_next("[data-search]", false),
            "j" => browser::focus_next("[data-row]", false),
            "k" => browser::focus_next("[data-row]", true),
            "f" => browser::focus_next("[data-failure]", false),
            _ => return,
        }
        event.prevent_default();
    });
    on_cleanup(move || handle.remove());
}

fn help() -> AnyView {
    let shortcuts = [
        ("?", "show keyboard shortcuts"),
        ("/", "focus the search field"),
        ("j  k", "next or previous item"),
        ("f", "next failure"),
        ("←  →", "move between the buttons of a run"),
        ("Enter", "open the focused item"),
        ("Alt+↑  Alt+↓", "move a row of an editor up or down"),
    ];
    let rows = shortcuts.into_iter().map(|(key, action)| {
        view! { <div><dt><kbd>{key}</kbd></dt><dd>{action}</dd></div> }
    });
    view! {
        <dialog id="help" aria-labelledby="help-head">
            <h2 id="help-head">"Keyboard shortcuts"</h2>
            <dl class="facts-list">{rows.collect_view()}</dl>
            <form method="dialog"><button>"Close"</button></form>
        </dialog>
    }
    .into_any()
}
