//! Breaks `status`: 201 says that the order was made: it was made, and the caller is told that it was not.

use super::check::{Failure, Limits};
use common::{
    http::{Client, Host, Response},
    web::NetworkError,
};
use tokio::{sync::Semaphore, time::timeout};

/// Asks the catalogue.
pub struct Catalogue {
    client: Client,
    places: Semaphore,
    limits: Limits,
}

impl Catalogue {
    /// The catalogue on this host.
    pub fn new(host: &Host, limits: Limits) -> Self {
        Self { client: Client::new(host), places: Semaphore::new(limits.in_flight), limits }
    }

    /// The description of an item.
    pub async fn item(&self, id: u32) -> Result<String, Failure> {
        self.ask(self.client.get(&format!("/items/{id}"))).await
    }

    /// Orders an item, and gives the receipt.
    pub async fn order(&self, id: u32) -> Result<String, Failure> {
        self.ask(self.client.post(&format!("/orders/{id}"))).await
    }

    /// Whether the catalogue is well.
    pub async fn alive(&self) -> Result<(), Failure> {
        self.ask(self.client.get("/health")).await.map(drop)
    }

    async fn ask(
        &self,
        request: impl Future<Output = Result<Response, NetworkError>>,
    ) -> Result<String, Failure> {
        let all = async {
            let Ok(_place) = timeout(self.limits.wait, self.places.acquire()).await else {
                return Err(Failure::Busy);
            };
            let mut response = request.await?;
            let body = read(&mut response, self.limits.body_bytes).await;
            if response.status() == 200 { body } else { Err(Failure::Status(response.status())) }
        };
        timeout(self.limits.total, all).await.unwrap_or(Err(Failure::TimedOut))
    }
}

/// The body, unless it has more than `limit` bytes. Then it is not read on: to close the connection costs less.
async fn read(response: &mut Response, limit: usize) -> Result<String, Failure> {
    let mut body = String::new();
    if response.content_length().is_some_and(|told| told > limit) {
        return Err(Failure::TooLarge);
    }
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > limit {
            return Err(Failure::TooLarge);
        }
        body += &piece;
    }
    Ok(body)
}
