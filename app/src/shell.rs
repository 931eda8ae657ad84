//! The document around every page, the header, and the routes.

use crate::components::browser;
use crate::components::load::{Data, ask};
use crate::components::title::Announcer;
use crate::pages::account::{SignInPage, SignUpPage};
use crate::pages::agents::edit::{AgentPage, NewAgentPage};
use crate::pages::agents::list::AgentsPage;
use crate::pages::home::HomePage;
use crate::pages::not_found::NotFound;
use crate::pages::run::RunPage;
use crate::pages::scenarios::edit::{NewScenarioPage, ScenarioPage};
use crate::pages::scenarios::list::ScenariosPage;
use crate::pages::settings::connection::{ConnectionPage, NewConnectionPage};
use crate::pages::settings::connections::ConnectionsPage;
use crate::pages::settings::models::ModelsPage;
use crate::pages::settings::tokens::TokensPage;
use crate::pages::suite::SuitePage;
use crate::pages::suites::list::SuitesPage;
use crate::pages::suites::new::NewSuitePage;
use crate::server_fns::Ask;
use crate::server_fns::accounts::Visitor;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, Title, provide_meta_context};
use leptos_router::components::{Route, Router, Routes};
use leptos_router::hooks::use_location;
use leptos_router::{SsrMode, path};

/// A few lines that need no WASM: leaving an editor with unsaved changes asks
/// first; colours change without leaving; a page out of the browser's
/// back-forward cache sends fresh keys.
const PAGE_SCRIPT: &str = include_str!("page.js");

/// The HTML document around the application.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = theme();
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="description"
                    content="Rehearsal tests conversational agents: scenarios, live runs, verdicts that can be checked."/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <HashedStylesheet id="leptos" options=options.clone()/>
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

/// `light`, `dark` or `system`, from the cookie, so that the first paint is
/// right. In the browser the attribute stands already.
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

/// The application: same view on both sides.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let announcer = Announcer::provide();
    Effect::new(|before: Option<()>| {
        if before.is_none() {
            browser::mark_hydrated();
            listen_to_keys();
        }
    });
    view! {
        <Title formatter=|title: String| format!("{title} · Rehearsal")/>
        <Router>
            <a class="skip" href="#main" rel="external">"To the content"</a>
            {header()}
            <main id="main" tabindex="-1">{routes()}</main>
            {footer()}
            {announcer.region()}
            {help()}
        </Router>
    }
}

fn routes() -> impl IntoView {
    // Everything is waited for: statuses and titles are right, and pages are
    // whole without scripts.
    const WHOLE: SsrMode = SsrMode::Async;
    view! {
        <Routes fallback=NotFound>
            <Route path=path!("/") view=HomePage ssr=WHOLE/>
            <Route path=path!("/sign-in") view=SignInPage ssr=WHOLE/>
            <Route path=path!("/sign-up") view=SignUpPage ssr=WHOLE/>
            <Route path=path!("/agents") view=AgentsPage ssr=WHOLE/>
            <Route path=path!("/agents/new") view=NewAgentPage ssr=WHOLE/>
            <Route path=path!("/agents/:id") view=AgentPage ssr=WHOLE/>
            <Route path=path!("/scenarios") view=ScenariosPage ssr=WHOLE/>
            <Route path=path!("/scenarios/new") view=NewScenarioPage ssr=WHOLE/>
            <Route path=path!("/scenarios/:id") view=ScenarioPage ssr=WHOLE/>
            <Route path=path!("/suites") view=SuitesPage ssr=WHOLE/>
            <Route path=path!("/suites/new") view=NewSuitePage ssr=WHOLE/>
            <Route path=path!("/suites/:id") view=SuitePage ssr=WHOLE/>
            <Route path=path!("/runs/:id") view=RunPage ssr=WHOLE/>
            <Route path=path!("/settings/connections") view=ConnectionsPage ssr=WHOLE/>
            <Route path=path!("/settings/connections/new") view=NewConnectionPage ssr=WHOLE/>
            <Route path=path!("/settings/connections/:id") view=ConnectionPage ssr=WHOLE/>
            <Route path=path!("/settings/models") view=ModelsPage ssr=WHOLE/>
            <Route path=path!("/settings/tokens") view=TokensPage ssr=WHOLE/>
        </Routes>
    }
}

fn header() -> AnyView {
    let session: Data<Visitor> = ask(|| Ask::Session);
    provide_context(session);
    let path = use_location().pathname;
    let place = move |href: &'static str, label: &'static str, part: &'static str| {
        let current = move || path.with(|path| path.starts_with(part)).then_some("page");
        view! { <a href=href aria-current=current>{label}</a> }
    };
    view! {
        <header class="top">
            <a class="brand" href="/">"Rehearsal"</a>
            <nav aria-label="Main">
                {place("/suites", "Suites", "/suites")}
                {place("/scenarios", "Scenarios", "/scenarios")}
                {place("/agents", "Agents", "/agents")}
                {place("/settings/connections", "Settings", "/settings")}
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

fn account(session: Visitor) -> AnyView {
    match session.email {
        Some(email) => view! {
            <div class="who">
                <span class="hint clip">{email}</span>
                <form method="post" action="/forms/sign-out" class="inline">
                    <button type="submit" class="small quiet">"Sign out"</button>
                </form>
            </div>
        }
        .into_any(),
        None => view! { <div class="who"><a href="/sign-in">"Sign in"</a></div> }.into_any(),
    }
}

fn footer() -> AnyView {
    let location = use_location();
    let here = move || {
        let search = location.search.get();
        let mark = if search.is_empty() { "" } else { "?" };
        format!("{}{mark}{search}", location.pathname.get())
    };
    let themes = [("system", "System"), ("light", "Light"), ("dark", "Dark")];
    let buttons = themes.into_iter().map(|(word, label)| {
        view! { <button type="submit" name="theme" value=word class="small quiet">{label}</button> }
    });
    view! {
        <footer class="bottom">
            <form method="post" action="/forms/theme" class="inline" aria-label="Colours">
                <input type="hidden" name="next" value=here/>
                <span class="hint">"Colours "</span>
                {buttons.collect_view()}
            </form>
            <a href="/api/docs" rel="external">"API"</a>
        </footer>
    }
    .into_any()
}

/// Single keys: dead while something is typed.
fn listen_to_keys() {
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
    let keys = [
        ("?", "this help"),
        ("/", "search"),
        ("j  k", "next and previous entry"),
        ("f", "next failure"),
        ("Enter", "open it"),
        ("Alt+↑  Alt+↓", "move a row of an editor"),
    ];
    let rows = keys.into_iter().map(|(key, what)| {
        view! { <div><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div> }
    });
    view! {
        <dialog id="help" aria-labelledby="help-head">
            <h2 id="help-head">"Keys"</h2>
            <dl class="facts-list">{rows.collect_view()}</dl>
            <form method="dialog"><button>"Close"</button></form>
        </dialog>
    }
    .into_any()
}
