//! Progress: what is running and how long it took.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Prints a title, runs the work, prints how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("{what} …");
    let start = Instant::now();
    let result = work()?;
    println!("  done in {}", Took(start.elapsed()));
    Ok(result)
}

/// A duration for display: `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) struct Took(pub(crate) Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 9.95 {
            write!(f, "{seconds:.1} s")
        } else if seconds < 99.5 {
            write!(f, "{seconds:.0} s")
        } else {
            let whole = seconds.round() as u64;
            write!(f, "{} min {:02} s", whole / 60, whole % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let shown = |millis| Took(Duration::from_millis(millis)).to_string();
        assert_eq!(shown(412), "0.4 s");
        assert_eq!(shown(12_400), "12 s");
        assert_eq!(shown(99_700), "1 min 40 s");
        assert_eq!(shown(185_000), "3 min 05 s");
    }
}
