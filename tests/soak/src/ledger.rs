//! The ledger of orders: each order that was sent, its client's answer, and the database's rows at the end.
//!
//! Customer, product and quantity identify an order. So the database shows whether each one was carried out once, twice or
//! not at all, independent of its number.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result};
use poolgate_native::{Answer, NoAnswer};
use serde::Serialize;
use serde_json::{Value, json};

/// Size of the demo's data.
const PRODUCTS: u64 = 2_000;
const CUSTOMERS: u64 = 8_000;

/// The demo's 503 after it gave up on a statement, perhaps the commit: the only 503 after which the order may exist. The
/// gate's 503 comes before any work.
const PERHAPS_DONE: &str = "The database is not available";

/// An order's number in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(u64);

/// The client's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Placed, under this number.
    Placed(i64),
    /// Not placed: rejected before any work, or never sent.
    Refused,
    /// Unknown.
    Unsure,
}

/// The orders of one program.
#[derive(Debug, Default)]
pub struct Ledger {
    next: AtomicU64,
    told: Mutex<BTreeMap<Tag, Told>>,
}

/// A row of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub id: i64,
    tag: Tag,
}

/// The comparison of ledger and database. All lists must be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Number of orders sent.
    pub made: u64,
    /// Orders whose client was told that they are placed.
    pub placed: u64,
    /// Orders whose client does not know.
    pub unsure: u64,
    /// How many of those are in the database.
    pub unsure_and_stored: u64,
    /// Orders that the client was told are placed, but that are not in the database under that number.
    pub lost: u64,
    /// Orders that are in the database more than once.
    pub twice: u64,
    /// Orders that the client was told are refused, but that are in the database.
    pub refused_and_stored: u64,
    /// Orders that are in the database but were never sent.
    pub unknown: u64,
    /// Orders that are in the database without their line.
    pub halves: u64,
}

impl Tag {
    /// The order as a JSON document.
    #[must_use]
    pub fn document(self) -> String {
        let Self(number) = self;
        let (customer, product) = (number / PRODUCTS % CUSTOMERS + 1, number % PRODUCTS + 1);
        let quantity = number / (PRODUCTS * CUSTOMERS) + 1;
        json!({ "customer_id": customer, "lines": [{ "product_id": product, "quantity": quantity }] }).to_string()
    }

    fn of(customer: u64, product: u64, quantity: u64) -> Self {
        let [customer, product, quantity] = [customer, product, quantity].map(|number| number.saturating_sub(1));
        Self((quantity * CUSTOMERS + customer) * PRODUCTS + product)
    }
}

impl Told {
    /// Reads an answer to an order.
    #[must_use]
    pub fn by(answer: &Result<Answer, NoAnswer>) -> Self {
        match answer {
            Ok(answer) => Self::by_response(answer.status.as_u16(), &answer.body),
            Err(_) => Self::Unsure,
        }
    }

    /// Reads the same from a response's parts.
    #[must_use]
    pub fn by_response(status: u16, body: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        match status {
            201 => document["id"].as_i64().map_or(Self::Unsure, Self::Placed),
            400..=499 => Self::Refused,
            503 if !document["detail"].as_str().is_none_or(|detail| detail.contains(PERHAPS_DONE)) => Self::Refused,
            _ => Self::Unsure,
        }
    }
}

impl Ledger {
    /// A new order; its state is unknown until the client is told.
    pub fn make(&self) -> Tag {
        let tag = Tag(self.next.fetch_add(1, Relaxed));
        self.tell(tag, Told::Unsure);
        tag
    }

    /// Records the client's answer.
    pub fn tell(&self, tag: Tag, told: Told) {
        self.lock().insert(tag, told);
    }

    /// Compares with the database: all orders of the run, and the number of orders without a line.
    pub fn audit(&self, stored: &[Stored], halves: u64) -> Audit {
        let told = self.lock();
        let mut found: BTreeMap<Tag, Vec<i64>> = BTreeMap::new();
        for order in stored {
            found.entry(order.tag).or_default().push(order.id);
        }
        let mut audit = Audit { made: told.len() as u64, halves, ..Audit::default() };
        let mut answered = BTreeSet::new();
        for (tag, told) in told.iter() {
            let ids = found.get(tag).map_or(&[][..], Vec::as_slice);
            match told {
                Told::Placed(id) => {
                    audit.placed += 1;
                    audit.lost += u64::from(!ids.contains(id) || !answered.insert(*id));
                }
                Told::Refused => audit.refused_and_stored += u64::from(!ids.is_empty()),
                Told::Unsure => {
                    audit.unsure += 1;
                    audit.unsure_and_stored += u64::from(!ids.is_empty());
                }
            }
        }
        audit.twice = found.values().filter(|ids| ids.len() > 1).count() as u64;
        audit.unknown = found.keys().filter(|tag| !told.contains_key(tag)).count() as u64;
        audit
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Tag, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    /// The statement whose rows [`read`](Self::read) reads: the orders with a higher number.
    #[must_use]
    pub fn select(after: i64) -> String {
        format!(
            "SELECT o.id, o.customer_id, l.product_id, l.quantity FROM orders o
             JOIN order_lines l ON l.order_id = o.id WHERE o.id > {after}"
        )
    }

    /// Reads rows as psql prints them.
    ///
    /// # Errors
    ///
    /// A row has another form.
    pub fn read(rows: &str) -> Result<Vec<Self>> {
        let read = |row: &str| {
            let numbers: Vec<u64> = row.split('|').map(str::parse).collect::<Result<_, _>>().ok()?;
            let [id, customer, product, quantity] = numbers[..] else { return None };
            Some(Self { id: i64::try_from(id).ok()?, tag: Tag::of(customer, product, quantity) })
        };
        rows.lines().map(|row| read(row).with_context(|| format!("not an order: {row:?}"))).collect()
    }
}

impl Audit {
    /// No order was lost, placed twice, or placed although it was refused.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        [self.lost, self.twice, self.refused_and_stored, self.unknown, self.halves] == [0; 5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(tag: Tag, id: i64) -> Stored {
        let document: Value = serde_json::from_str(&tag.document()).expect("a document");
        let line = &document["lines"][0];
        let row = format!("{id}|{}|{}|{}", document["customer_id"], line["product_id"], line["quantity"]);
        Stored::read(&row).expect("a row")[0]
    }

    #[test]
    fn an_order_is_known_by_what_is_in_it() {
        for number in [0, 1, 1_999, 2_000, 15_999_999, 16_000_000, 31_999_999] {
            assert_eq!(stored(Tag(number), 5), Stored { id: 5, tag: Tag(number) }, "{}", Tag(number).document());
        }
    }

    #[test]
    fn what_a_client_was_told_must_be_true() {
        let ledger = Ledger::default();
        let [placed, lost, refused, done, unsure, twice] = [(); 6].map(|()| ledger.make());
        ledger.tell(placed, Told::Placed(1));
        ledger.tell(lost, Told::Placed(2));
        ledger.tell(refused, Told::Refused);
        ledger.tell(done, Told::Refused);
        ledger.tell(twice, Told::Placed(4));
        let in_database =
            [stored(placed, 1), stored(done, 3), stored(twice, 4), stored(twice, 5), stored(Tag(1_000), 6)];
        let audit = ledger.audit(&in_database, 0);
        let expected = Audit {
            made: 6,
            placed: 3,
            unsure: 1,
            lost: 1,
            twice: 1,
            refused_and_stored: 1,
            unknown: 1,
            ..Audit::default()
        };
        assert_eq!((audit.clone(), audit.is_clean()), (expected, false));
        ledger.tell(unsure, Told::Refused);

        let clean = Ledger::default();
        let tag = clean.make();
        assert!(clean.audit(&[stored(tag, 1)], 0).is_clean(), "its client was not told that it is refused");
        assert!(!clean.audit(&[], 1).is_clean());
    }

    #[test]
    fn only_what_comes_before_the_work_refuses() {
        let by = |status, body: &str| Told::by_response(status, body.as_bytes());
        assert_eq!(by(201, r#"{"id":7}"#), Told::Placed(7));
        assert_eq!(by(201, ""), Told::Unsure);
        assert_eq!(by(429, "{}"), Told::Refused);
        assert_eq!(by(503, r#"{"detail":"The gate is full."}"#), Told::Refused);
        assert_eq!(by(503, r#"{"detail":"The database is not available; try again in a moment."}"#), Told::Unsure);
        assert_eq!((by(503, ""), by(500, "{}")), (Told::Unsure, Told::Unsure));
        assert_eq!(Told::by(&Err(NoAnswer::Late)), Told::Unsure);
    }
}
