//! One client, made once; a place for each request; one time limit for all of it; a body that is read, but not any body.

use super::check::{Failure, Limits};
use common::{
    http::{Client, Host, Response},
    web::NetworkError,
};
use tokio::{sync::Semaphore, time::timeout};

/// Asks the catalogue.
pub struct Catalogue {
    // It owns the connections: they live as long as it does.
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
        // Once: a connection that breaks does not say what has become of the order.
        self.ask(self.client.post(&format!("/orders/{id}"))).await
    }

    /// Whether the catalogue is well.
    pub async fn alive(&self) -> Result<(), Failure> {
        // Nobody wants the body. It is read all the same: that is what keeps the connection.
        self.ask(self.client.get("/health")).await.map(drop)
    }

    async fn ask(
        &self,
        request: impl Future<Output = Result<Response, NetworkError>>,
    ) -> Result<String, Failure> {
        let all = async {
            // The place is kept until the body has been read, not only until the head is there.
            let Ok(_place) = timeout(self.limits.wait, self.places.acquire()).await else {
                return Err(Failure::Busy);
            };
            let mut response = request.await?;
            let body = read(&mut response, self.limits.body_bytes).await;
            // Whatever happened to its body: the status is what is told.
            if response.is_success() { body } else { Err(Failure::Status(response.status())) }
        };
        // Around everything, the body included. When it ends, all within is dropped: place, request, connection.
        timeout(self.limits.total, all).await.unwrap_or(Err(Failure::TimedOut))
    }
}

/// The body, unless it has more than `limit` bytes. Then it is not read on: to close the connection costs less.
async fn read(response: &mut Response, limit: usize) -> Result<String, Failure> {
    let mut body = String::new();
    if response.content_length().is_some_and(|told| told > limit) {
        return Err(Failure::TooLarge);
    }
    // What is not told is counted.
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > limit {
            return Err(Failure::TooLarge);
        }
        body += &piece;
    }
    Ok(body)
}
