//! A pool's figures in the metrics of an app, by the names that libraries give them.

use super::{
    super::{Figures, record::Trouble},
    text::{self, Sample},
};
use crate::settings::{MetricNames, MetricSelector};

/// Names of one library. A name may stand for several series, which are added up.
struct Names {
    in_use: &'static str,
    idle: &'static str,
    max: &'static str,
    waiting: Option<&'static str>,
}

/// The first library whose `in_use` is there counts.
const LIBRARIES: [Names; 6] = [
    // OpenTelemetry's conventions since 1.27.
    Names {
        in_use: "db_client_connection_count{db_client_connection_state=\"used\"}",
        idle: "db_client_connection_count{db_client_connection_state=\"idle\"}",
        max: "db_client_connection_max",
        waiting: Some("db_client_connection_pending_requests"),
    },
    // Poolgate's own, and others that shorten the label.
    Names {
        in_use: "db_client_connection_count{state=\"used\"}",
        idle: "db_client_connection_count{state=\"idle\"}",
        max: "db_client_connection_max",
        waiting: Some("db_client_connection_pending_requests"),
    },
    // OpenTelemetry's older conventions.
    Names {
        in_use: "db_client_connections_usage{state=\"used\"}",
        idle: "db_client_connections_usage{state=\"idle\"}",
        max: "db_client_connections_max",
        waiting: Some("db_client_connections_pending_requests"),
    },
    // Micrometer.
    Names {
        in_use: "hikaricp_connections_active",
        idle: "hikaricp_connections_idle",
        max: "hikaricp_connections_max",
        waiting: Some("hikaricp_connections_pending"),
    },
    // HikariCP's own tracker for Prometheus.
    Names {
        in_use: "hikaricp_active_connections",
        idle: "hikaricp_idle_connections",
        max: "hikaricp_max_connections",
        waiting: Some("hikaricp_pending_threads"),
    },
    // `collectors.NewDBStatsCollector` of client_golang. It counts the waits, not those that wait now.
    Names {
        in_use: "go_sql_in_use_connections",
        idle: "go_sql_idle_connections",
        max: "go_sql_max_open_connections",
        waiting: None,
    },
];
/// Npgsql has OpenTelemetry's names, and one of its own for those that wait.
const NPGSQL_WAITING: &str = "db_client_connection_npgsql_pending_requests";
/// Labels that name a pool.
const POOL_LABELS: [&str; 6] =
    ["pool", "pool_name", "db_client_connection_pool_name", "db_client_connections_pool_name", "db_name", "name"];

/// What the metrics show of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) in_use: u32,
    pub(super) idle: u32,
    /// `None` if it is not shown, or is no limit.
    pub(super) max: Option<u32>,
    pub(super) waiting: Option<u32>,
}

/// The pool's figures in a text.
pub(super) fn read(text: &str, names: &MetricNames) -> Result<Reading, Trouble> {
    let samples = text::samples(text).map_err(|error| Trouble::Unclear(error.to_string()))?;
    let samples: Vec<_> = samples.into_iter().filter(|sample| is_of_pool(sample, names.pool.as_deref())).collect();
    let sum = |selector: &MetricSelector| {
        let values = samples.iter().filter(|sample| sample.is_of(selector)).map(|sample| count(sample.value));
        values.fold(None, |sum: Option<u32>, value| Some(sum.unwrap_or_default().saturating_add(value)))
    };
    let built_in = |name: &str| name.parse().ok().and_then(|selector| sum(&selector));
    let library = LIBRARIES.iter().find(|library| built_in(library.in_use).is_some());
    let figure = |own: &Option<MetricSelector>, theirs: fn(&Names) -> Option<&'static str>| match own {
        Some(selector) => sum(selector),
        None => library.and_then(theirs).and_then(built_in),
    };
    let in_use = figure(&names.in_use, |names| Some(names.in_use)).ok_or_else(|| missing(names))?;
    Ok(Reading {
        in_use,
        idle: figure(&names.idle, |names| Some(names.idle)).unwrap_or_default(),
        max: figure(&names.max, |names| Some(names.max)).filter(|max| (1..u32::MAX).contains(max)),
        waiting: figure(&names.waiting, |names| names.waiting).or_else(|| built_in(NPGSQL_WAITING)),
    })
}

impl Reading {
    pub(super) fn figures(&self, capacity: Option<u32>) -> Figures {
        let capacity = capacity.or(self.max).unwrap_or_default();
        Figures {
            pool_size: capacity,
            capacity,
            checked_out: self.in_use,
            idle: self.idle,
            waiting: self.waiting,
            ..Figures::default()
        }
    }
}

fn is_of_pool(sample: &Sample<'_>, pool: Option<&str>) -> bool {
    pool.is_none_or(|pool| POOL_LABELS.iter().any(|label| sample.label(label) == Some(pool)))
}

fn missing(names: &MetricNames) -> Trouble {
    let of_pool = names.pool.as_ref().map(|pool| format!(" of a pool `{pool}`")).unwrap_or_default();
    Trouble::Unclear(match &names.in_use {
        Some(selector) => format!("the metrics have no `{selector}`{of_pool}"),
        None => format!(
            "the metrics show no connections in use{of_pool} by a name that Poolgate knows: name them in \
             watch.metrics.in_use, .idle, .max and .waiting"
        ),
    })
}

/// A number of connections. What is not a number, or is below 0, counts as 0; -1 and infinity mean no limit.
fn count(value: f64) -> u32 {
    if value == -1.0 { u32::MAX } else { value.round() as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(change: impl FnOnce(&mut MetricNames)) -> MetricNames {
        let mut names = MetricNames::default();
        change(&mut names);
        names
    }

    fn reading(in_use: u32, idle: u32, max: Option<u32>, waiting: Option<u32>) -> Reading {
        Reading { in_use, idle, max, waiting }
    }

    #[test]
    fn the_names_of_the_libraries_are_known() {
        for (library, text, expected) in [
            ("OpenTelemetry", include_str!("texts/opentelemetry.txt"), reading(7, 3, Some(10), Some(4))),
            ("older OpenTelemetry", include_str!("texts/opentelemetry-older.txt"), reading(2, 8, Some(10), Some(0))),
            ("Micrometer", include_str!("texts/micrometer.txt"), reading(9, 1, Some(10), Some(12))),
            ("older Micrometer", include_str!("texts/micrometer-older.txt"), reading(0, 10, Some(10), Some(0))),
            ("Go", include_str!("texts/go.txt"), reading(1, 2, Some(90), None)),
            ("Npgsql", include_str!("texts/npgsql.txt"), reading(20, 0, Some(20), Some(6))),
        ] {
            assert_eq!(read(text, &MetricNames::default()).expect(library), expected, "{library}");
        }
    }

    #[test]
    fn one_pool_of_several_and_names_of_the_app() {
        let text =
            "pool_used{pool=\"a\"} 2\npool_used{pool=\"b\"} 3\npool_all{pool=\"b\",kind=\"max\"} 9\npool_all 1\n";
        let named = |names: &mut MetricNames| {
            names.in_use = Some("pool_used".parse().expect("a name"));
            names.max = Some("pool_all{kind=\"max\"}".parse().expect("a name"));
        };
        assert_eq!(read(text, &names(named)).expect("readable"), reading(5, 0, Some(9), None));
        let of_b = names(|names| {
            named(names);
            names.pool = Some("b".to_owned());
        });
        assert_eq!(read(text, &of_b).expect("readable"), reading(3, 0, Some(9), None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |text: &str, names: &MetricNames| read(text, names).expect_err(text).to_string();
        assert!(said("up 1\n", &MetricNames::default()).contains("watch.metrics.in_use"));
        assert!(said("{\"status\":\"UP\"}", &MetricNames::default()).contains("line 1"));
        let other = names(|names| names.pool = Some("reports".to_owned()));
        assert!(said("hikaricp_connections_active{pool=\"main\"} 1\n", &other).contains("a pool `reports`"));
    }

    #[test]
    fn no_limit_is_no_capacity() {
        let text = "go_sql_in_use_connections{db_name=\"shop\"} 3\ngo_sql_max_open_connections{db_name=\"shop\"} ";
        for none in ["0", "-1", "+Inf", "NaN"] {
            let text = format!("{text}{none}\n");
            assert_eq!(read(&text, &MetricNames::default()).expect("readable").max, None, "{none}");
        }
    }
}
