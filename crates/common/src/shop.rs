//! A shop's services in memory: its stock, its bank and its book of orders, with what came of every call.

use crate::Recorder;
use std::{
    collections::BTreeMap,
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};
use tokio::time::sleep;

/// What a checkout calls. Clones are handles to the same shop; each call is a lane of the recorder.
///
/// A call that is dropped before it has answered has done nothing. That is kinder than a network, where nobody knows.
///
/// # Examples
/// ```
/// use common::{Recorder, clock, shop::{Line, Order, Shop}};
///
/// clock::paused(async {
///     let shop = Shop::new(&Recorder::new("one order")).stocked(7, 10);
///     let order = Order { id: 1, lines: vec![Line { item: 7, pieces: 2 }], cents: 500 };
///     shop.take(7, 2).await?;
///     let payment = shop.charge(&order).await?;
///     shop.write(&order, payment).await?;
///     assert_eq!((shop.on_the_shelf(7), shop.balance()), (8, 500));
/// # Ok::<(), common::shop::Refused>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Shop {
    shared: Arc<Shared>,
    recorder: Recorder,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// One order is written at a time. Hardly ever does anybody wait for it.
    book: tokio::sync::Mutex<Vec<Order>>,
}

#[derive(Default)]
struct State {
    shelf: BTreeMap<u32, i64>,
    balance: i64,
    payments: u32,
    declined: Vec<u32>,
    unwritten: Vec<u32>,
    somebody_writes_for: Duration,
}

/// What a customer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub id: u32,
    /// What, and how much of it.
    pub lines: Vec<Line>,
    /// What all of it costs.
    pub cents: i64,
}

/// A line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which.
    pub item: u32,
    /// How many.
    pub pieces: i64,
}

/// Money that the bank has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// The bank's own number for it.
    pub id: u32,
    /// How much.
    pub cents: i64,
}

/// What a customer gets for an order that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The order's number.
    pub order: u32,
    /// The money that was paid for it.
    pub payment: Payment,
}

/// Why a call was refused. A call that was refused has done nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are not as many pieces on the shelf.
    SoldOut {
        /// Of what.
        item: u32,
    },
    /// The bank won't pay.
    Declined {
        /// The order's number.
        order: u32,
    },
    /// The order could not be written down.
    Unwritten {
        /// The order's number.
        order: u32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SoldOut { item } => write!(f, "item {item} is sold out"),
            Self::Declined { order } => write!(f, "the payment of order {order} was declined"),
            Self::Unwritten { order } => write!(f, "order {order} could not be written"),
        }
    }
}

impl std::error::Error for Refused {}

impl Shop {
    /// With empty shelves, a bank that pays, and an empty book.
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        Self { shared: Arc::default(), recorder: recorder.clone() }
    }

    /// Puts pieces on the shelf.
    #[must_use = "the shelf is filled in place; bind or chain what is returned"]
    pub fn stocked(self, item: u32, pieces: i64) -> Self {
        self.lock().shelf.insert(item, pieces);
        self
    }

    /// From now on, the bank declines to pay for this order.
    #[must_use = "it is set in place; bind or chain what is returned"]
    pub fn declining(self, order: u32) -> Self {
        self.lock().declined.push(order);
        self
    }

    /// From now on, this order can't be written.
    #[must_use = "it is set in place; bind or chain what is returned"]
    pub fn unable_to_write(self, order: u32) -> Self {
        self.lock().unwritten.push(order);
        self
    }

    /// From now on, whoever wants to write finds somebody else at it, and waits for so long.
    #[must_use = "it is set in place; bind or chain what is returned"]
    pub fn busy_book(self, wait: Duration) -> Self {
        self.lock().somebody_writes_for = wait;
        self
    }

    /// Takes pieces from the shelf: 5 ms.
    ///
    /// # Errors
    /// [`Refused::SoldOut`].
    ///
    /// # Cancel safety
    /// Dropped before it has answered, it has taken nothing.
    pub async fn take(&self, item: u32, pieces: i64) -> Result<(), Refused> {
        let call = async {
            sleep(Duration::from_millis(5)).await;
            let mut state = self.lock();
            let left = state.shelf.entry(item).or_default();
            if *left < pieces {
                return Err(Refused::SoldOut { item });
            }
            *left -= pieces;
            Ok(())
        };
        self.recorder.try_lane(format!("take {pieces} of item {item}"), call).await
    }

    /// Puts pieces back on the shelf. It is not async: the message is sent, and nobody waits for an answer.
    pub fn put_back(&self, item: u32, pieces: i64) {
        self.told(format!("put back {pieces} of item {item}"));
        *self.lock().shelf.entry(item).or_default() += pieces;
    }

    /// Has the bank take the money for an order: 20 ms.
    ///
    /// # Errors
    /// [`Refused::Declined`].
    ///
    /// # Cancel safety
    /// Dropped before it has answered, it has taken nothing.
    pub async fn charge(&self, order: &Order) -> Result<Payment, Refused> {
        let call = async {
            sleep(Duration::from_millis(20)).await;
            let mut state = self.lock();
            if state.declined.contains(&order.id) {
                return Err(Refused::Declined { order: order.id });
            }
            state.balance += order.cents;
            state.payments += 1;
            Ok(Payment { id: state.payments, cents: order.cents })
        };
        self.recorder.try_lane(format!("charge order {}", order.id), call).await
    }

    /// Gives money back. It is not async: the message is sent, and nobody waits for an answer.
    pub fn refund(&self, payment: Payment) {
        self.told(format!("refund payment {}", payment.id));
        self.lock().balance -= payment.cents;
    }

    /// Writes a paid order into the book. It waits only while somebody else is writing.
    ///
    /// # Errors
    /// [`Refused::Unwritten`].
    ///
    /// # Cancel safety
    /// Dropped before it has answered, it has written nothing.
    pub async fn write(&self, order: &Order, payment: Payment) -> Result<(), Refused> {
        let call = async {
            let mut book = self.shared.book.lock().await;
            let wait = self.lock().somebody_writes_for;
            if !wait.is_zero() {
                sleep(wait).await;
            }
            if self.lock().unwritten.contains(&order.id) {
                return Err(Refused::Unwritten { order: order.id });
            }
            book.push(Order { cents: payment.cents, ..order.clone() });
            Ok(())
        };
        self.recorder.try_lane(format!("write order {}", order.id), call).await
    }

    /// Sends the customer a mail: 10 ms. A mail that is not sent does no harm.
    ///
    /// # Cancel safety
    /// Dropped before it has ended, there is no mail.
    pub async fn mail(&self, order: &Order) {
        let call = sleep(Duration::from_millis(10));
        self.recorder.lane(format!("mail about order {}", order.id), call).await;
    }

    /// How many pieces are on the shelf.
    #[must_use]
    pub fn on_the_shelf(&self, item: u32) -> i64 {
        self.lock().shelf.get(&item).copied().unwrap_or(0)
    }

    /// The cents that the bank has taken and not given back.
    #[must_use]
    pub fn balance(&self) -> i64 {
        self.lock().balance
    }

    /// The orders that were written.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    pub async fn orders(&self) -> Vec<Order> {
        self.shared.book.lock().await.clone()
    }

    /// Records a call that is over as it begins.
    fn told(&self, name: String) {
        let call = pin!(self.recorder.lane(name, async {}));
        let over = call.poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(over.is_ready(), "there is nothing in it to wait for");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shop").field("balance", &self.balance()).finish_non_exhaustive()
    }
}
