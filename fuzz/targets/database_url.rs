//! A database URL shows no part of its password, neither in its text nor in its error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poolgate_server::settings::{DatabaseUrl, WatchUrl};

/// A shorter part is meaningless and would be found by chance, as would one of punctuation only.
const SHORTEST_PART: usize = 4;
const FEWEST_LETTERS: usize = 2;
/// No message and no other part of a URL has two of them side by side.
const LETTERS: &str = "QXZJKVWqxzjkvw";

fuzz_target!(|input: (u8, &str)| {
    let (shape, text) = input;
    let is_letter = |c: &char| LETTERS.contains(*c);
    // Asterisks stand for the password.
    let is_allowed = |c: &char| is_letter(c) || !(c.is_ascii_alphanumeric() || *c == '*');
    let password: String = text.chars().filter(is_allowed).collect();
    let url = match shape % 10 {
        0 => format!("postgres://app:{password}@db:5432/shop"),
        1 => format!("postgres://app:{password}@db/shop?sslmode=require"),
        2 => format!("postgres:/app:{password}@db/shop"),
        3 => format!("postgres:app:{password}@db/shop"),
        4 => format!("postgresql+asyncpg://app:{password}@[::1]/shop"),
        5 => format!("postgres://db/shop?user=app&password={password}"),
        6 => format!("postgres://app:1234?{password}@db/shop"),
        7 => format!("pgbouncer://stats:{password}@pooler:6432/shop"),
        8 => format!("sqlite://app:{password}@db/shop"),
        _ => format!("mysql://app:{password}@db/shop"),
    };
    let database = DatabaseUrl::new(&url).map_or_else(|error| format!("{error} {error:?}"), |url| format!("{url} {url:?}"));
    let watched = WatchUrl::new(&*url).map_or_else(|error| format!("{error} {error:?}"), |url| format!("{url} {url:?}"));
    let characters: Vec<char> = password.chars().collect();
    let is_telling = |part: &&[char]| part.iter().filter(|c| is_letter(c)).count() >= FEWEST_LETTERS;
    for part in characters.windows(SHORTEST_PART).filter(is_telling) {
        let part: String = part.iter().collect();
        assert!(!database.contains(&part) && !watched.contains(&part), "{url}\n{database}\n{watched}");
    }
});
