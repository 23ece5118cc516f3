use super::{
    Error, Result,
    build::{self, Target},
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::{Stream, stream};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    io::ErrorKind,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, sync::watch, task::spawn_blocking, time};
use tower_http::services::ServeDir;

const PORT: u16 = 4700;
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Builds the book, serves it on loopback, and builds it again whenever one of its sources changes.
pub(super) fn serve(workspace: &Path, port: Option<u16>) -> Result<()> {
    let before = sources(workspace);
    let folder = build::build(workspace, Target::Server)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let listener = listen(port).await?;
        let port = listener.local_addr().map_err(|error| Error::new(error.to_string()))?.port();
        let (changed, changes) = watch::channel(());
        println!("http://127.0.0.1:{port}/   (Ctrl-C ends it)");
        let pages = async {
            let served = axum::serve(listener, router(&folder, port, changes)).await;
            served.map_err(|error| Error::new(format!("the server stopped: {error}")))
        };
        tokio::try_join!(pages, rebuild(workspace.to_owned(), before, changed)).map(drop)
    })
}

/// The port asked for, or else the usual one, or else any that is free.
async fn listen(port: Option<u16>) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let bound = match (port, bind(port.unwrap_or(PORT)).await) {
        (None, Err(error)) if error.kind() == ErrorKind::AddrInUse => bind(0).await,
        (_, bound) => bound,
    };
    bound.map_err(|error| Error::new(format!("cannot listen on this machine: {error}")))
}

fn router(folder: &Path, port: u16, changes: watch::Receiver<()>) -> Router {
    let hosts = Arc::new([format!("127.0.0.1:{port}"), format!("localhost:{port}")]);
    Router::new()
        .route("/changes", get(tell))
        .with_state(changes)
        .fallback_service(ServeDir::new(folder))
        .layer(middleware::from_fn_with_state(hosts, own_pages_only))
}

/// One event for each build.
async fn tell(
    State(mut changes): State<watch::Receiver<()>>,
) -> Sse<impl Stream<Item = std::result::Result<Event, Infallible>>> {
    changes.mark_unchanged();
    let events = stream::unfold(changes, async |mut changes| {
        changes.changed().await.ok()?;
        Some((Ok(Event::default().data("built")), changes))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Refuses what does not come from the book's own pages, and lets those load nothing from elsewhere.
async fn own_pages_only(State(hosts): State<Arc<[String; 2]>>, request: Request, next: Next) -> Response {
    if !is_ours(request.headers(), hosts.as_slice()) {
        return (StatusCode::FORBIDDEN, "this is not one of the book's own pages\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::CACHE_CONTROL, "no-cache"),
        // mdBook's pages hold scripts and styles of their own, hence 'unsafe-inline'.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
             img-src 'self' data:; frame-ancestors 'self'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a request carries our name (or else a foreign page had its name bound to this machine's address: DNS
/// rebinding) and comes from our pages. A link on a foreign page may lead here: a navigation reads nothing.
fn is_ours(headers: &HeaderMap, hosts: &[String]) -> bool {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let ours = |host: &str| hosts.iter().any(|own| own == host);
    header("host").is_some_and(ours)
        && header("origin").is_none_or(|origin| origin.strip_prefix("http://").is_some_and(ours))
        && (header("sec-fetch-mode") == Some("navigate")
            || header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none")))
}

/// Looks at the sources again and again, and builds when they differ. A failed build is told and leaves the pages of the
/// last good one.
async fn rebuild(
    workspace: PathBuf,
    mut before: BTreeMap<PathBuf, SystemTime>,
    changed: watch::Sender<()>,
) -> Result<()> {
    let mut looks = time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let lost = |error: tokio::task::JoinError| Error::new(format!("the build stopped: {error}"));
    loop {
        looks.tick().await;
        let folder = workspace.clone();
        let now = spawn_blocking(move || sources(&folder)).await.map_err(lost)?;
        if now == before {
            continue;
        }
        before = now;
        let folder = workspace.clone();
        match spawn_blocking(move || build::build(&folder, Target::Server)).await.map_err(lost)? {
            Ok(_) => {
                println!("built again");
                changed.send_replace(());
            }
            Err(error) => eprintln!("error: {error}"),
        }
    }
}

/// When each file that the book is made of was last changed.
fn sources(workspace: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut folders = vec![workspace.join("docs"), workspace.join("crates")];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        if folder.ends_with("docs/book") || folder.ends_with("target") {
            continue;
        }
        // A folder or file that vanished while we looked is a change, and the next look sees it.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(entry.path()),
                Ok(data) => {
                    files.insert(entry.path(), data.modified().unwrap_or(SystemTime::UNIX_EPOCH));
                }
                Err(_) => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_ours(&headers.collect(), &["127.0.0.1:4700".to_owned(), "localhost:4700".to_owned()])
    }

    #[test]
    fn the_books_own_pages_are_served() {
        assert!(ours(&[("host", "127.0.0.1:4700")]));
        assert!(ours(&[("host", "localhost:4700"), ("origin", "http://localhost:4700")]));
        assert!(ours(&[("host", "localhost:4700"), ("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn a_link_from_elsewhere_may_lead_here() {
        assert!(ours(&[
            ("host", "127.0.0.1:4700"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ]));
    }

    #[test]
    fn a_foreign_name_for_this_machine_is_refused() {
        assert!(!ours(&[("host", "evil.example:4700")]));
        assert!(!ours(&[("host", "127.0.0.1:4701")]));
        assert!(!ours(&[]));
    }

    #[test]
    fn a_foreign_page_is_refused() {
        for origin in ["https://evil.example", "null", "http://localhost:4701"] {
            assert!(!ours(&[("host", "127.0.0.1:4700"), ("origin", origin)]), "{origin}");
        }
        assert!(!ours(&[
            ("host", "127.0.0.1:4700"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ]));
    }
}
