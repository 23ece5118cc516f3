//! Breaks `in-flight`: a connection that broke is in use no more, and so its place is not given back: with each there is one less.

use super::check::{Failure, Limits};
use common::{
    http::{Client, Host, Response},
    web::NetworkError,
};
use std::time::Duration;
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
            let mut place = Place::of(&self.places, self.limits.wait).await?;
            let mut response = request.await.inspect_err(|_| place.in_use = false)?;
            let body = read(&mut response, self.limits.body_bytes).await;
            if response.is_success() { body } else { Err(Failure::Status(response.status())) }
        };
        timeout(self.limits.total, all).await.unwrap_or(Err(Failure::TimedOut))
    }
}

/// A place that goes back when it is dropped, as long as a connection has it.
struct Place<'s> {
    places: &'s Semaphore,
    in_use: bool,
}

impl<'s> Place<'s> {
    async fn of(places: &'s Semaphore, wait: Duration) -> Result<Self, Failure> {
        let Ok(Ok(permit)) = timeout(wait, places.acquire()).await else { return Err(Failure::Busy) };
        permit.forget();
        Ok(Self { places, in_use: true })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.in_use {
            self.places.add_permits(1);
        }
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
