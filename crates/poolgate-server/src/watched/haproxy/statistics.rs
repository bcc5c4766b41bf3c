//! Reads HAProxy's `show stat`. Columns differ between versions, so each is read by its name.

use std::time::Duration;

use crate::watched::record::Trouble;

/// The backend at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// The sum of the servers' `maxconn`; `None` if one of them has none.
    pub(super) capacity: Option<u32>,
    /// Requests that servers work on.
    pub(super) in_progress: u32,
    /// Requests that are queued, for one server or for any.
    pub(super) queued: u32,
    /// Mean queue time of the last 1,024 requests.
    pub(super) queue_time: Duration,
    /// Requests since HAProxy's start; connections, if the backend is in TCP mode.
    pub(super) arrived: u64,
    /// Requests that got no server since HAProxy's start: most of them have waited for `timeout queue`.
    pub(super) failed: u64,
    /// No server takes requests.
    pub(super) is_down: bool,
}

/// The statistics of this backend and of its servers.
pub(super) fn parse(text: &str, backend: &str) -> Result<Reading, Trouble> {
    let Some(table) = text.strip_prefix("# ") else {
        let said = text.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
        return Err(Trouble::Unclear(format!("HAProxy has no statistics of a backend `{backend}`: {}", said.trim())));
    };
    let unclear = |error: csv::Error| Trouble::Unclear(format!("HAProxy's statistics cannot be read: {error}"));
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(table.trim_end().as_bytes());
    let columns = rows.headers().map_err(unclear)?.clone();
    let column = |name: &str| columns.iter().position(|column| column == name);
    let mut reading = Reading { capacity: Some(0), is_down: true, ..Reading::default() };
    let mut is_found = false;
    for row in rows.records() {
        let row = row.map_err(unclear)?;
        let field = |name: &str| column(name).and_then(|at| row.get(at)).filter(|field| !field.is_empty());
        let number = |name: &str| field(name).and_then(|field| field.parse::<u64>().ok());
        let count = |name: &str| number(name).and_then(|count| u32::try_from(count).ok());
        if field("pxname") != Some(backend) {
            continue;
        }
        if field("svname") == Some("BACKEND") {
            is_found = true;
            let needed = |name: &str| {
                number(name).ok_or_else(|| Trouble::Unclear(format!("HAProxy's `show stat` has no column `{name}`")))
            };
            reading.queued += u32::try_from(needed("qcur")?).unwrap_or(u32::MAX);
            reading.arrived = number("req_tot").map_or_else(|| needed("stot"), Ok)?;
            reading.failed = number("econ").unwrap_or_default();
            reading.queue_time = Duration::from_millis(number("qtime").unwrap_or_default());
        } else {
            reading.in_progress += count("scur").unwrap_or_default();
            reading.queued += count("qcur").unwrap_or_default();
            // `UP`, `UP 1/3`, `no check`; not `DOWN`, `MAINT`, `NOLB`, `DRAIN`.
            if field("status").is_some_and(|status| status.starts_with("UP") || status == "no check") {
                reading.is_down = false;
                reading.capacity = reading.capacity.zip(count("slim")).map(|(sum, limit)| sum.saturating_add(limit));
            }
        }
    }
    if is_found { Ok(reading) } else { Err(Trouble::Unclear(format!("HAProxy has no backend `{backend}`"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From HAProxy 2.6, without the columns after `ttime`.
    const SHOP: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,\
        status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,\
        rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,\
        hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,\
        last_chk,last_agt,qtime,ctime,rtime,ttime,\n\
        shop,app1,3,9,5,5,5,40,1,1,,0,,0,0,0,0,UP,1,1,0,0,0,9,0,,1,3,1,,40,,2,4,,9,,,,0,40,0,0,0,0,,,,40,0,0,,,,,0,,,120,0,50,170,\n\
        shop,app2,0,9,0,5,5,40,1,1,,0,,0,0,0,0,DOWN,1,1,0,0,0,9,0,,1,3,2,,40,,2,4,,9,,,,0,40,0,0,0,0,,,,40,0,0,,,,,0,,,120,0,50,170,\n\
        shop,BACKEND,2,19,10,15,200,90,1,1,0,0,,7,0,0,0,UP,2,2,0,,0,9,0,,1,3,0,,80,,1,8,,18,,,,0,80,0,0,7,0,,,,90,0,0,0,0,0,0,0,,,120,0,50,170,\n\n";

    #[test]
    fn a_backend_and_its_servers() {
        let expected = Reading {
            capacity: Some(5),
            in_progress: 5,
            queued: 5,
            queue_time: Duration::from_millis(120),
            arrived: 90,
            failed: 7,
            is_down: false,
        };
        assert_eq!(parse(SHOP, "shop").expect("readable"), expected);
        let unlimited = SHOP.replace("app1,3,9,5,5,5,", "app1,3,9,5,5,,");
        assert_eq!(parse(&unlimited, "shop").expect("readable").capacity, None);
        let down = SHOP.replace("0,UP,1,1", "0,MAINT,1,1");
        assert!(parse(&down, "shop").expect("readable").is_down);
    }

    #[test]
    fn what_is_not_it_is_named() {
        for (text, backend, said) in [
            ("No such proxy.\n\n", "shoop", "No such proxy"),
            ("Unknown command. Please enter one of the following commands only :\n", "shop", "Unknown command"),
            (SHOP, "other", "no backend `other`"),
            ("# pxname,svname\nshop,BACKEND\n", "shop", "no column `qcur`"),
            ("", "shop", "no statistics"),
            ("# pxname,\"\n", "shop", "no backend"),
        ] {
            let trouble = parse(text, backend).expect_err(text).to_string();
            assert!(trouble.contains(said), "{trouble}");
        }
    }
}
