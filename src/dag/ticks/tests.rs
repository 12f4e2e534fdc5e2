//! What the clocks of every zone make of a pattern.

use proptest::prelude::*;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn takes_five_fields_and_iana_names() {
    for pattern in [
        "0 4 * * *",
        "*/5 * * * *",
        "30 1 1-7 * MON",
        "0 0 L * *",
        "@daily",
    ] {
        assert_eq!(check_cron(pattern), Ok(()), "{pattern}");
    }
    for pattern in [
        "",
        "4 * *",
        "0 0 4 * * *",
        "61 * * * *",
        "a b c d e",
        "ö * * * *",
    ] {
        assert!(check_cron(pattern).is_err(), "{pattern}");
    }
    assert_eq!(check_zone("Europe/Berlin"), Ok(()));
    assert!(check_zone("Mars/Olympus").is_err());
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The ticks of one local day in New York, as its clocks show them.
fn on(day: &str, pattern: &str) -> String {
    let ticks = Ticks::cron(pattern, "America/New_York").unwrap();
    let zone: Tz = "America/New_York".parse().unwrap();
    let shown: Vec<String> = ticks
        .iter_after(start_of_day(day.parse().unwrap(), zone.name()).unwrap() - MILLISECOND)
        .map(|tick| tick.date_time().with_timezone(&zone))
        .take_while(|tick| tick.format("%F").to_string() == day)
        .map(|tick| tick.format("%H:%M %Z").to_string())
        .collect();
    match shown.len() {
        0..=5 => shown.join(", "),
        count => format!("{count} ticks, {} … {}", shown[0], shown[count - 1]),
    }
}

/// What others do was measured: Airflow 3.3, Dagster 1.13, Prefect 3.8, croner 4.0, croner 3.0,
/// cron 0.17.
#[test]
fn where_clocks_change() {
    let (spring, autumn) = ("2026-03-08", "2026-11-01");
    let rows: [(&str, &str, [&str; 6]); 7] = [
        (
            spring,
            "30 2 * * *",
            ["03:30", "03:00", "01:30 EST", "03:00", "03:00", "never"],
        ),
        (
            autumn,
            "30 1 * * *",
            [
                "2nd 01:30",
                "2nd 01:30",
                "1st 01:30",
                "1st 01:30",
                "1st 01:30",
                "twice",
            ],
        ),
        (autumn, "0 * * * *", ["25", "25", "24", "25", "24", "25"]),
        (
            autumn,
            "*/30 1 * * *",
            ["4", "4", "2", "4", "2", "4, disordered"],
        ),
        (
            spring,
            "0 */2 * * *",
            [
                "03:00, 04:00",
                "03:00, 04:00",
                "01:00, 04:00",
                "04:00",
                "04:00",
                "04:00",
            ],
        ),
        (
            spring,
            "15 2-3 * * *",
            [
                "03:15",
                "03:00, 03:15",
                "01:15, 03:15",
                "03:15",
                "03:15",
                "03:15",
            ],
        ),
        // Not measured with the others: a list of fixed times.
        (spring, "30 2,14 * * *", [""; 6]),
    ];
    let mut table = vec![row(
        "",
        "",
        "trendmill",
        [
            "Airflow", "Dagster", "Prefect", "croner 4", "croner 3", "cron",
        ],
    )];
    table.extend(
        rows.into_iter()
            .map(|(day, pattern, others)| row(day, pattern, &on(day, pattern), others)),
    );
    insta::assert_snapshot!(table.join("\n"), @"
                           trendmill                                              Airflow       Dagster       Prefect       croner 4   croner 3   cron
2026-03-08  30 2 * * *     03:00 EDT                                              03:30         03:00         01:30 EST     03:00      03:00      never
2026-11-01  30 1 * * *     01:30 EDT                                              2nd 01:30     2nd 01:30     1st 01:30     1st 01:30  1st 01:30  twice
2026-11-01  0 * * * *      25 ticks, 00:00 EDT … 23:00 EST                        25            25            24            25         24         25
2026-11-01  */30 1 * * *   01:00 EDT, 01:30 EDT, 01:00 EST, 01:30 EST             4             4             2             4          2          4, disordered
2026-03-08  0 */2 * * *    11 ticks, 00:00 EST … 22:00 EDT                        03:00, 04:00  03:00, 04:00  01:00, 04:00  04:00      04:00      04:00
2026-03-08  15 2-3 * * *   03:15 EDT                                              03:15         03:00, 03:15  01:15, 03:15  03:15      03:15      03:15
2026-03-08  30 2,14 * * *  03:00 EDT, 14:30 EDT
    ");
}

fn row(day: &str, pattern: &str, ours: &str, others: [&str; 6]) -> String {
    let widths = [12, 12, 12, 9, 9, 0];
    let others: Vec<String> = std::iter::zip(others, widths)
        .map(|(other, width)| format!("{other:<width$}"))
        .collect();
    let row = format!(
        "{day:<10}  {pattern:<13}  {ours:<53}  {}",
        others.join("  ")
    );
    row.trim_end().to_owned()
}

#[test]
fn a_period_is_counted_in_utc() {
    let ticks = Ticks::every(Duration::from_hours(6), Duration::from_hours(5));
    let after: Vec<String> = ticks
        .iter_after(at("2026-03-08T05:00:00Z"))
        .take(2)
        .map(|tick| tick.to_string())
        .collect();
    assert_eq!(after, ["2026-03-08T11:00:00Z", "2026-03-08T17:00:00Z"]);
    assert_eq!(
        ticks.before(at("2026-03-08T05:00:00Z")),
        Some(at("2026-03-07T23:00:00Z"))
    );
    assert_eq!(
        ticks.before(at("2026-03-08T05:00:00.001Z")),
        Some(at("2026-03-08T05:00:00Z"))
    );
}

proptest! {
    /// Forwards and backwards meet, and ticks strictly increase.
    #[test]
    fn after_and_before_are_inverse(
        zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
        second in 0_i64..2_145_916_800,
        pattern in prop::sample::select(vec![
            "0 4 * * *", "30 1 * * *", "*/15 * * * *", "0 */2 * * *", "15 2-3 * * MON", "0 0 1 * *",
            "30 2,14 * * *", "@daily",
        ]),
    ) {
        let ticks = Ticks::cron(pattern, zone.name()).unwrap();
        let moment = Timestamp::from_millis(second * 1000);
        let next = ticks.after(moment).unwrap();
        prop_assert!(next > moment);
        let last = ticks.before(next).unwrap();
        prop_assert!(last <= moment, "{} {pattern}: {last} {moment} {next}", zone.name());
        prop_assert_eq!(ticks.after(last), Some(next));
    }
}

#[test]
fn a_day_begins_where_its_clocks_do() {
    let day = |date: &str, zone| {
        start_of_day(date.parse().unwrap(), zone)
            .unwrap()
            .to_string()
    };
    assert_eq!(
        day("2026-03-08", "America/New_York"),
        "2026-03-08T05:00:00Z"
    );
    // Midnight was jumped over.
    assert_eq!(
        day("2018-11-04", "America/Sao_Paulo"),
        "2018-11-04T03:00:00Z"
    );
    // The whole day was.
    assert_eq!(
        day("2011-12-30", "Pacific/Apia"),
        day("2011-12-31", "Pacific/Apia")
    );
    assert!(start_of_day("2026-01-01".parse().unwrap(), "Mars/Olympus").is_err());
}

mod zones;
