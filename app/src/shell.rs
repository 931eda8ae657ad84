//! The document around every page, the header, and the routes.

use crate::components::browser;
use crate::components::load::{Data, ask};
use crate::components::title::Announcer;
use crate::pages::account::{SignInPage, SignUpPage};
use crate::pages::home::HomePage;
use crate::pages::later::{Part, SetUp, Write};
use crate::pages::not_found::NotFound;
use crate::pages::run::RunPage;
use crate::pages::suite::SuitePage;
use crate::pages::suites::list::SuitesPage;
use crate::server_fns::{SessionQuery};
use crate::server_fns::accounts::Visitor;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, Title, provide_meta_context};
use leptos_router::components::{Route, Router, Routes};
use leptos_router::hooks::use_location;
use leptos_router::{ChooseView, PossibleRouteMatch, SsrMode, path};
use std::sync::Arc;

/// A few lines that need no WASM: leaving an editor with unsaved changes asks
/// first; colours change without leaving; a page out of the browser's
/// back-forward cache sends fresh keys.
const PAGE_SCRIPT: &str = include_str!("page.js");

/// The HTML document around the application.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = theme();
    let hints = hints(&options);
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
                {hints}
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

/// Fetches early what the scripts would ask for last: the loader of the parts,
/// and the files of the part that this page is in.
fn hints(options: &LeptosOptions) -> AnyView {
    let file = format!("/{}/{}", options.site_pkg_dir, options.output_name);
    let files = Part::at(&asked_path()).map(Part::files).into_iter().flatten();
    let parts = files.map(|ending| {
        let href = format!("{file}{ending}");
        view! { <link rel="preload" href=href r#as="fetch" r#type="application/wasm" crossorigin=""/> }
    });
    view! { <link rel="modulepreload" href=format!("{file}_split.js")/> {parts.collect_view()} }
        .into_any()
}

/// The path that was asked for.
#[cfg(feature = "ssr")]
fn asked_path() -> String {
    use leptos::server_fn::axum_export::http::request::Parts;
    use_context::<Parts>().map(|parts| parts.uri.path().to_owned()).unwrap_or_default()
}

#[cfg(not(feature = "ssr"))]
fn asked_path() -> String {
    String::new()
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

/// What a route shows. One type for all, as the router's code is there once a
/// type; so it is with [`at`].
#[derive(Clone, Copy, Debug)]
enum Page {
    Home,
    SignIn,
    SignUp,
    Suites,
    Suite,
    Run,
    Write(Write),
    SetUp(SetUp),
}

impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        match self {
            Self::Home => HomePage().into_any(),
            Self::SignIn => SignInPage().into_any(),
            Self::SignUp => SignUpPage().into_any(),
            Self::Suites => SuitesPage().into_any(),
            Self::Suite => SuitePage().into_any(),
            Self::Run => RunPage().into_any(),
            Self::Write(page) => page.view().await,
            Self::SetUp(page) => page.view().await,
        }
    }

    async fn preload(&self) {
        let part = match self {
            Self::Write(_) => Part::Write,
            Self::SetUp(_) => Part::SetUp,
            _ => return,
        };
        // A failure is shown in the page's place: see `Missing::view`.
        let _ = part.load().await;
    }
}

fn at(
    path: impl PossibleRouteMatch + Send + Sync + 'static,
) -> Arc<dyn PossibleRouteMatch + Send + Sync> {
    Arc::new(path)
}

fn routes() -> impl IntoView {
    // Everything is waited for: statuses and titles are right, and pages are
    // whole without scripts.
    const WHOLE: SsrMode = SsrMode::Async;
    use Page as P;
    view! {
        <Routes fallback=NotFound>
            <Route path=at(path!("/")) view=P::Home ssr=WHOLE/>
            <Route path=at(path!("/sign-in")) view=P::SignIn ssr=WHOLE/>
            <Route path=at(path!("/sign-up")) view=P::SignUp ssr=WHOLE/>
            <Route path=at(path!("/agents")) view=P::Write(Write::Agents) ssr=WHOLE/>
            <Route path=at(path!("/agents/new")) view=P::Write(Write::NewAgent) ssr=WHOLE/>
            <Route path=at(path!("/agents/:id")) view=P::Write(Write::Agent) ssr=WHOLE/>
            <Route path=at(path!("/scenarios")) view=P::Write(Write::Scenarios) ssr=WHOLE/>
            <Route path=at(path!("/scenarios/new")) view=P::Write(Write::NewScenario) ssr=WHOLE/>
            <Route path=at(path!("/scenarios/:id")) view=P::Write(Write::Scenario) ssr=WHOLE/>
            <Route path=at(path!("/suites")) view=P::Suites ssr=WHOLE/>
            <Route path=at(path!("/suites/new")) view=P::SetUp(SetUp::NewSuite) ssr=WHOLE/>
            <Route path=at(path!("/suites/:id")) view=P::Suite ssr=WHOLE/>
            <Route path=at(path!("/runs/:id")) view=P::Run ssr=WHOLE/>
            <Route path=at(path!("/settings/connections")) view=P::SetUp(SetUp::Connections) ssr=WHOLE/>
            <Route path=at(path!("/settings/connections/new")) view=P::SetUp(SetUp::NewConnection) ssr=WHOLE/>
            <Route path=at(path!("/settings/connections/:id")) view=P::SetUp(SetUp::Connection) ssr=WHOLE/>
            <Route path=at(path!("/settings/models")) view=P::SetUp(SetUp::Models) ssr=WHOLE/>
            <Route path=at(path!("/settings/tokens")) view=P::SetUp(SetUp::Tokens) ssr=WHOLE/>
        </Routes>
    }
}

fn header() -> AnyView {
    let session: Data<Visitor> = ask(|| SessionQuery {});
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
