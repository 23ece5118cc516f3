//! A limit for each host, tenant or user.

use super::{Rate, RateLimit, Refused};

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

/// A [`RateLimit`] for each key, and for no more than so many keys at a time.
///
/// Take it so that one slow host, or one greedy tenant, holds up nobody else. Memory is bounded: when all `keys` are there
/// and another one comes, those that are like new are forgotten (nothing in flight, nobody waiting, a whole burst there,
/// no pause), which nobody can notice. So the number has to be that of the keys that are *in use* within the time in
/// which a burst comes in.
///
/// # Examples
/// ```
/// use concurrency::{PerKey, Rate};
/// use std::num::{NonZeroU32, NonZeroUsize};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let rate = Rate::per_second(NonZeroU32::new(5).unwrap());
/// let hosts = PerKey::new(rate, NonZeroUsize::new(2).unwrap(), NonZeroUsize::new(1_000).unwrap());
/// let permit = hosts.limit("example.org")?.acquire().await;
/// // ... the request ...
/// # drop(permit);
/// # Ok::<_, concurrency::rate_limit::Refused>(())
/// # }).unwrap();
/// ```
pub struct PerKey<K> {
    rate: Rate,
    places: NonZeroUsize,
    keys: NonZeroUsize,
    /// A std mutex: nothing is awaited under it.
    limits: Mutex<HashMap<K, RateLimit>>,
}

impl<K: Eq + Hash> PerKey<K> {
    /// For each key this rate and so many in flight; for so many keys.
    #[must_use]
    pub fn new(rate: Rate, places: NonZeroUsize, keys: NonZeroUsize) -> Self {
        Self { rate, places, keys, limits: Mutex::default() }
    }

    /// The limit of one key. Ask for it for each request and do not keep it: a limit that is held is in use.
    ///
    /// # Errors
    /// [`Refused::TooManyKeys`] if it is a new key and all others are in use. To find that out takes a look at each.
    pub fn limit(&self, key: K) -> Result<RateLimit, Refused> {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = limits.get(&key) {
            return Ok(limit.clone());
        }
        let keys = self.keys.get();
        if limits.len() >= keys {
            limits.retain(|_, limit| !limit.is_like_new());
        }
        if limits.len() >= keys {
            return Err(Refused::TooManyKeys { keys });
        }
        let limit = RateLimit::new(self.rate, self.places);
        limits.insert(key, limit.clone());
        Ok(limit)
    }

    /// How many keys are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<K> fmt::Debug for PerKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").field("rate", &self.rate).field("keys", &self.keys).finish_non_exhaustive()
    }
}
