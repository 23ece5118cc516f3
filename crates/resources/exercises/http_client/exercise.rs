//! A shop's way to its catalogue, another service. It works, on a good day. Task and rules: `cargo run`, or README.md.

use super::check::{Failure, Limits};
use common::http::{Client, Host};
use tokio::time::timeout;

/// Asks the catalogue.
pub struct Catalogue {
    host: Host,
    limits: Limits,
}

impl Catalogue {
    /// The catalogue on this host.
    pub fn new(host: &Host, limits: Limits) -> Self {
        Self { host: host.clone(), limits }
    }

    /// The description of an item.
    pub async fn item(&self, id: u32) -> Result<String, Failure> {
        let client = Client::new(&self.host);
        let response = client.get(&format!("/items/{id}")).await?;
        Ok(response.text().await?)
    }

    /// Orders an item, and gives the receipt.
    pub async fn order(&self, id: u32) -> Result<String, Failure> {
        let client = Client::new(&self.host);
        let path = format!("/orders/{id}");
        let response = match timeout(self.limits.total, client.post(&path)).await {
            Ok(Ok(response)) => response,
            // Connections break now and then.
            _ => client.post(&path).await?,
        };
        Ok(response.text().await?)
    }

    /// Whether the catalogue is well.
    pub async fn alive(&self) -> Result<(), Failure> {
        let client = Client::new(&self.host);
        let Ok(response) = timeout(self.limits.total, client.get("/health")).await else {
            return Err(Failure::TimedOut);
        };
        let response = response?;
        if response.is_success() { Ok(()) } else { Err(Failure::Status(response.status())) }
    }
}
