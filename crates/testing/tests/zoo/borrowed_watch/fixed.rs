//! What is needed longer is cloned.

use std::time::Duration;
use tokio::{sync::watch, time::sleep};

async fn render(theme: &str) -> usize {
    sleep(Duration::from_millis(10)).await;
    theme.len()
}

/// Renders a page while the theme is changed.
pub async fn program(themes: watch::Sender<String>) -> usize {
    let settings = themes.subscribe();
    let change = async {
        sleep(Duration::from_millis(5)).await;
        themes.send_replace(String::from("dark"));
    };
    let page = async {
        let theme = settings.borrow().clone();
        render(&theme).await
    };
    tokio::join!(page, change).0
}
