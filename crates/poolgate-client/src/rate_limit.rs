//! `RateLimit` and `RateLimit-Policy`: what is left of a server's quotas (IETF httpapi draft 10, RFC 9651 lists).
//!
//! The lists are read here and not by a library: sfv would be 6.4 KB more for every page to load (brotli). It is what the
//! tests compare with.

use std::time::Duration;

use poolgate_throttle::Quota;

/// The tightest of the quotas in requests: one that is used up for the longest, or the one with the least left. `None`: the
/// field is malformed, or says nothing that can be obeyed.
pub(crate) fn tightest(limit: &str, policy: Option<&str>) -> Option<Quota> {
    let policies = policy.and_then(entries).unwrap_or_default();
    let quotas = entries(limit)?.into_iter().filter_map(|entry| {
        let policy = policies.iter().find(|policy| policy.name == entry.name);
        if policy.is_some_and(|policy| policy.counts_other_things) {
            return None;
        }
        // Without a reset the window is the longest that it can take.
        let seconds = entry.reset.or(policy.and_then(|policy| policy.window))?;
        let remaining = u32::try_from(entry.remaining?).unwrap_or(u32::MAX);
        Some(Quota { remaining, reset: Duration::from_secs(seconds) })
    });
    quotas.min_by(|a, b| a.remaining.cmp(&b.remaining).then(b.reset.cmp(&a.reset)))
}

/// One member of either list, with the parameters that matter.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    /// `r`
    remaining: Option<u64>,
    /// `t`
    reset: Option<u64>,
    /// `w`
    window: Option<u64>,
    /// `qu` is there and not `"requests"`.
    counts_other_things: bool,
}

/// A parameter's value.
#[derive(Debug)]
enum Value {
    /// A whole number that is not negative.
    Count(u64),
    Fraction,
    Text(String),
    Other,
}

/// The members of a list of strings; `None` where it is malformed, as RFC 9651 has it or by the type of a parameter.
fn entries(field: &str) -> Option<Vec<Entry>> {
    let (mut rest, mut entries) = (Rest(field.as_bytes()), Vec::new());
    rest.skip(|byte| byte == b' ');
    while !rest.0.is_empty() {
        entries.push(rest.entry()?);
        rest.skip_whitespace();
        if !rest.0.is_empty() {
            rest.take(b',')?;
            rest.skip_whitespace();
            // Nothing may end with a comma.
            rest.0.first()?;
        }
    }
    Some(entries)
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn entry(&mut self) -> Option<Entry> {
        let mut entry = Entry { name: self.string()?, ..Entry::default() };
        while self.take(b';').is_some() {
            self.skip(|byte| byte == b' ');
            let key = self.key()?;
            let value = if self.take(b'=').is_some() { self.value()? } else { Value::Other };
            match (key, value) {
                (b"r", Value::Count(count)) => entry.remaining = Some(count),
                (b"t", Value::Count(count)) => entry.reset = Some(count),
                (b"w", Value::Count(count)) => entry.window = Some(count),
                (b"qu", Value::Text(unit)) => entry.counts_other_things = unit != "requests",
                (b"r" | b"t" | b"w" | b"qu", _) => return None,
                _ => {}
            }
        }
        Some(entry)
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        self.0.first().filter(|first| first.is_ascii_lowercase() || **first == b'*')?;
        Some(self.skip(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)))
    }

    fn value(&mut self) -> Option<Value> {
        match *self.0.first()? {
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'?' => {
                self.take(b'?');
                self.take(b'0').or_else(|| self.take(b'1')).map(|()| Value::Other)
            }
            b':' => {
                self.take(b':');
                self.skip(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.take(b':').map(|()| Value::Other)
            }
            b'@' => {
                self.take(b'@');
                // A date has no fraction.
                self.number().filter(|value| !matches!(value, Value::Fraction)).map(|_| Value::Other)
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                self.skip(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Value::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.take(b'-').is_some();
        let digits = self.skip(|byte| byte.is_ascii_digit());
        let whole = digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10) + u64::from(digit - b'0'));
        if self.take(b'.').is_some() {
            let fraction = self.skip(|byte| byte.is_ascii_digit());
            return ((1..=12).contains(&digits.len()) && (1..=3).contains(&fraction.len())).then_some(Value::Fraction);
        }
        let value = if negative && whole > 0 { Value::Other } else { Value::Count(whole) };
        (1..=15).contains(&digits.len()).then_some(value)
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut text = String::new();
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'"' => return Some(text),
                b'\\' => {
                    let escaped = *self.0.first().filter(|byte| b"\"\\".contains(byte))?;
                    self.take(escaped);
                    text.push(escaped.into());
                }
                b' '..=b'~' => text.push((*first).into()),
                _ => return None,
            }
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn skip_whitespace(&mut self) {
        self.skip(|byte| byte == b' ' || byte == b'\t');
    }

    /// Passes over such bytes; gives them.
    fn skip(&mut self, such: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().position(|byte| !such(*byte)).unwrap_or(self.0.len());
        let (passed, rest) = self.0.split_at_checked(length).unwrap_or((self.0, &[]));
        self.0 = rest;
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn quota(remaining: u32, seconds: u64) -> Option<Quota> {
        Some(Quota { remaining, reset: Duration::from_secs(seconds) })
    }

    #[test]
    fn says_what_is_left_and_until_when() {
        assert_eq!(tightest(r#""default";r=50;t=30"#, None), quota(50, 30));
        assert_eq!(tightest(r#""per-client";r=0;t=3"#, None), quota(0, 3));
        assert_eq!(tightest(r#""a";pk=:c29tZQ==:;t=7;r=1;new=(a b)"#, None), None, "a parameter is no list");
        assert_eq!(tightest(r#""a";pk=:c29tZQ==:;t=7;r=1;new=?0"#, None), quota(1, 7));
    }

    #[test]
    fn the_tightest_of_several_counts() {
        assert_eq!(tightest(r#""hour";r=900;t=3000, "minute";r=3;t=20"#, None), quota(3, 20));
        assert_eq!(tightest(r#""minute";r=0;t=20, "hour";r=0;t=3000, "day";r=5;t=9"#, None), quota(0, 3000));
    }

    #[test]
    fn the_policy_has_the_window_and_the_unit() {
        let policy = Some(r#""a";q=10;w=60, "b";q=1000;w=60;qu="content-bytes", "c";q=4;w=9;qu="requests""#);
        assert_eq!(tightest(r#""a";r=2"#, policy), quota(2, 60));
        assert_eq!(tightest(r#""a";r=2"#, None), None, "until when is not known");
        assert_eq!(tightest(r#""b";r=0;t=5"#, policy), None, "bytes are not requests");
        assert_eq!(tightest(r#""b";r=0;t=5, "c";r=1"#, policy), quota(1, 9));
        assert_eq!(tightest(r#""a";r=2;t=5"#, Some("malformed;;")), quota(2, 5));
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for malformed in [
            "",
            "limit=10, remaining=1, reset=4",
            "100",
            "default;r=1;t=1",
            r#""a";r=-1;t=5"#,
            r#""a";r=1.5;t=5"#,
            r#""a";r="1";t=5"#,
            r#""a";r=1;t=soon"#,
            r#""a";t=5"#,
            r#"("a" "b");r=1;t=5"#,
            r#""a";r=0;t=5,"#,
            r#""a;r=0;t=5"#,
            r#""a";r=0;t=99999999999999999"#,
            "ü",
        ] {
            assert_eq!(tightest(malformed, None), None, "{malformed}");
        }
    }

    /// Every field that differs from a good one by one byte is read, or refused, as sfv does.
    #[test]
    fn reads_what_the_library_reads() {
        let good = [
            r#""a\"";r=50;t=30, "b";x=-1.25;y=@-12;z=tok/en:;q=?1;v, "c""#,
            r#"  "minute";r=3;  t=20;pk="x",	"hour";r=900  "#,
        ];
        let mut refused = 0;
        for good in good {
            assert!(entries(good).is_some(), "{good}");
            for at in 0..=good.len() {
                for insert in
                    ["", "\"", "\\", ";", ",", "=", " ", "\t", "(", "?", "@", "-", ".", "0", "A", "a", "*", "é"]
                {
                    for skip in [0, 1] {
                        let Some(end) = good.get(at + skip..) else { continue };
                        let field = format!("{}{insert}{end}", &good[..at]);
                        let theirs = sfv::Parser::new(&field).parse::<sfv::List>();
                        let theirs = theirs.ok().filter(|list| list.iter().all(is_entry));
                        assert_eq!(entries(&field).is_some(), theirs.is_some(), "{field}");
                        refused += u32::from(theirs.is_none());
                    }
                }
            }
        }
        assert!(refused > 500, "{refused}");
    }

    fn is_entry(entry: &sfv::ListEntry) -> bool {
        let sfv::ListEntry::Item(item) = entry else { return false };
        let counts = |key: &str| match item.params.get(sfv::KeyRef::from_str(key).unwrap()) {
            None => true,
            Some(value) => value.as_integer().is_some_and(|number| i64::from(number) >= 0),
        };
        item.bare_item.as_string().is_some() && ["r", "t", "w"].into_iter().all(counts)
    }

    #[test]
    fn large_numbers_saturate() {
        assert_eq!(tightest(r#""a";r=999999999999999;t=999999999999999"#, None), quota(u32::MAX, 999_999_999_999_999));
    }
}
