//! The shop's rows. Each depends only on its number, so all machines create the same rows in any order.

use crate::demo::random::Random;

/// Number of products.
pub(super) const PRODUCTS: u64 = 2_000;
/// Number of customers.
pub(super) const CUSTOMERS: u64 = 8_000;
/// Number of orders, with 2.5 lines each on average, which makes about 100,000 rows in all.
pub(super) const ORDERS: u64 = 26_000;

/// Orders date from the two years before this second: 2026-06-30T00:00:00Z.
const NEWEST_ORDER_AT: i64 = 1_782_777_600;
const TWO_YEARS_SECONDS: u64 = 2 * 365 * 24 * 3600;
const MOST_LINES: u64 = 4;

/// A value of a row.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Integer(i64),
    Text(String),
}

pub(super) fn product(id: u64) -> Vec<Value> {
    let mut random = Random::of(1, id);
    let (category, things) = CATALOG[random.below(CATALOG.len() as u64) as usize];
    let name = format!("{} {} {} {id}", random.choose(&QUALITIES), random.choose(&MATERIALS), random.choose(things));
    let stock = 20_000 + random.below(80_000) as i64;
    vec![integer(id), Value::Text(name), text(category), Value::Integer(price_cents(id)), Value::Integer(stock)]
}

pub(super) fn customer(id: u64) -> Vec<Value> {
    let mut random = Random::of(2, id);
    let (first, last) = (random.choose(&FIRST_NAMES), random.choose(&LAST_NAMES));
    let email = format!("{}.{}.{id}@example.com", first.to_lowercase(), last.to_lowercase());
    vec![integer(id), Value::Text(format!("{first} {last}")), Value::Text(email), text(random.choose(&COUNTRIES))]
}

pub(super) fn order(id: u64) -> Vec<Value> {
    let mut random = Random::of(3, id);
    // Order numbers grow with time.
    let age = (ORDERS - id) * TWO_YEARS_SECONDS / ORDERS + random.below(600);
    vec![integer(id), integer(1 + favored(&mut random, CUSTOMERS)), Value::Integer(NEWEST_ORDER_AT - age as i64)]
}

pub(super) fn order_lines(order_id: u64) -> impl Iterator<Item = Vec<Value>> {
    let mut random = Random::of(4, order_id);
    let lines = 1 + random.below(MOST_LINES);
    (1..=lines).map(move |line| {
        let product = 1 + favored(&mut random, PRODUCTS);
        vec![
            integer(order_id),
            integer(line),
            integer(product),
            Value::Integer(1 + random.below(5) as i64),
            Value::Integer(price_cents(product)),
        ]
    })
}

fn price_cents(product: u64) -> i64 {
    // From 1.99 to about 400, with many more low prices than high ones, always ending in 9.
    let unit = Random::of(5, product).unit();
    190 + (unit.powi(3) * 4_000.0) as i64 * 10 + 9
}

/// `0..bound`, with low numbers more often: in every shop a few products and customers make most of the sales.
fn favored(random: &mut Random, bound: u64) -> u64 {
    ((random.unit().powi(2) * bound as f64) as u64).min(bound - 1)
}

fn integer(value: u64) -> Value {
    Value::Integer(value as i64)
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

const QUALITIES: [&str; 10] =
    ["Classic", "Compact", "Deluxe", "Everyday", "Folding", "Light", "Modern", "Rustic", "Sturdy", "Travel"];
const MATERIALS: [&str; 10] =
    ["Bamboo", "Canvas", "Ceramic", "Copper", "Cotton", "Glass", "Leather", "Linen", "Oak", "Steel"];
const CATALOG: [(&str, &[&str]); 8] = [
    ("books", &["Atlas", "Cookbook", "Diary", "Notebook", "Sketchbook"]),
    ("garden", &["Lantern", "Planter", "Rake", "Trowel", "Watering Can"]),
    ("home", &["Basket", "Cushion", "Lamp", "Mirror", "Vase"]),
    ("kitchen", &["Bowl", "Kettle", "Mug", "Pan", "Teapot"]),
    ("music", &["Drum", "Flute", "Guitar Stand", "Metronome", "Ukulele"]),
    ("office", &["Chair", "Desk", "File Box", "Pen Holder", "Shelf"]),
    ("sports", &["Bottle", "Jump Rope", "Mat", "Racket", "Towel"]),
    ("toys", &["Blocks", "Kite", "Puzzle", "Robot", "Train"]),
];
const FIRST_NAMES: [&str; 16] = [
    "Ada", "Ben", "Carla", "David", "Elena", "Femi", "Grace", "Hugo", "Ines", "Jonas", "Kaya", "Liam", "Mei", "Noor",
    "Olga", "Pablo",
];
const LAST_NAMES: [&str; 16] = [
    "Adams", "Berg", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kumar", "Lopez",
    "Meyer", "Novak", "Okafor", "Park",
];
const COUNTRIES: [&str; 8] = ["BR", "DE", "ES", "FR", "IN", "JP", "NG", "US"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_about_a_hundred_thousand_rows() {
        let lines: usize = (1..=ORDERS).map(|order| order_lines(order).count()).sum();
        let rows = (PRODUCTS + CUSTOMERS + ORDERS) as usize + lines;
        assert!((95_000..=110_000).contains(&rows), "{rows} rows");
    }

    #[test]
    fn order_lines_have_existing_products_at_their_price() {
        for line in (1..=500).flat_map(order_lines) {
            let [_, _, Value::Integer(product), Value::Integer(quantity), price] = &line[..] else {
                panic!("{line:?}")
            };
            assert!((1..=PRODUCTS as i64).contains(product) && (1..=5).contains(quantity), "{line:?}");
            assert_eq!(*price, super::product(*product as u64)[3]);
        }
    }

    #[test]
    fn a_row_is_always_the_same() {
        assert_eq!(product(42), product(42));
        assert_ne!(product(42)[1], product(43)[1]);
        assert_eq!(customer(1).len(), 4);
        assert_eq!(order(1)[0], Value::Integer(1));
    }
}
