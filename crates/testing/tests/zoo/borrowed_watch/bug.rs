//! A watch's `borrow` held across an await is a read lock: the sender's `send` blocks its thread.

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
        let theme = settings.borrow();
        render(&theme).await
    };
    tokio::join!(page, change).0
}
