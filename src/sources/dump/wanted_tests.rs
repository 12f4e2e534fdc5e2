//! What is passed over is never wanted.

use super::*;
use crate::sources::{ImageSize, reddit::post::parse_post};

fn wanted(communities: Option<&[&str]>, since: Option<&str>) -> Wanted {
    Wanted::new(ScrapeRequest {
        communities: communities.map(|all| all.iter().map(|name| (*name).to_owned()).collect()),
        since: since.map(|text| text.parse().unwrap()),
        ..ScrapeRequest::everything("2020-01-02".parse().unwrap())
    })
}

/// Values of `subreddit`, as writers write them and as they could.
const NAMES: &[&str] = &[
    "\"pics\"",
    "\"PiCs\"",
    "\"aww\"",
    "\" pics \"",
    "\"p\\u0069cs\"",
    "\"\"",
    "null",
    "7",
    "\"picsart\"",
    "\"\u{a0}pics\"",
    "\"<TEST>\"",
];

/// Values of `created_utc`, on the first two days of 2020 and elsewhere.
const TIMES: &[&str] = &[
    "1577836800",
    "\"1577836800\"",
    "1577836799.5",
    "1577836799",
    "1577750000",
    "1577923200.4",
    "1577923201.9",
    "1577990000",
    "1.57788e9",
    "1577880000000e-3",
    "null",
    "0",
    "-1",
    "\" 1577836800\"",
    "[1]",
];

#[test]
fn what_is_passed_over_would_not_be_kept() {
    let filters = [
        wanted(Some(&["pics", "funny"]), None),
        wanted(Some(&["Pics"]), Some("2020-01-01")),
        wanted(None, Some("2020-01-01")),
        wanted(Some(&[]), None),
    ];
    let (mut passed_over, mut kept) = (0, 0);
    for colon in [":", ": ", "\t:\n"] {
        for name in NAMES {
            for parent in NAMES {
                for time in TIMES {
                    let lines = [
                        format!(
                            r#"{{"created_utc"{colon}{time},"crosspost_parent_list":
                            [{{"subreddit"{colon}{parent},"created_utc":1500000000}}],
                            "id":"a","permalink":"/r/pics/comments/a/","subreddit"{colon}{name},
                            "title":"b"}}"#
                        ),
                        format!(
                            r#"{{"id":"a","title":"\"subreddit\":\"aww\"","x":["subreddit"],
                            "subreddit_name_prefixed":"r/pics","created_utc"{colon}{time} }}"#
                        ),
                    ];
                    for (filter, line) in filters
                        .iter()
                        .flat_map(|f| lines.iter().map(move |l| (f, l)))
                    {
                        let post = parse_post(line.as_bytes(), ImageSize::Original).unwrap();
                        let unwanted = filter.request().unwanted(&post.record);
                        kept += u32::from(unwanted.is_none());
                        if filter.passes_over(line.as_bytes()).is_some() {
                            passed_over += 1;
                            assert!(unwanted.is_some(), "{line}");
                        }
                    }
                }
            }
        }
    }
    assert!(passed_over > 1000 && kept > 1000, "{passed_over} {kept}");
}

#[test]
fn lines_of_others_are_passed_over() {
    let filter = wanted(Some(&["pics"]), Some("2019-01-01"));
    let line = |community: &str, time: &str| {
        format!(r#"{{"created_utc":{time},"subreddit":"{community}","title":"pics"}}"#)
    };
    let reason = |community, time| filter.passes_over(line(community, time).as_bytes());
    assert_eq!(reason("aww", "1577836800"), Some("other_community"));
    assert_eq!(reason("pics", "1500000000"), Some("before_since"));
    assert_eq!(reason("pics", "\"1600000000\""), Some("after_as_of"));
    assert_eq!(reason("PICS", "1577836800.0"), None);
    let now = ScrapeRequest {
        now: Some("2020-06-01".parse().unwrap()),
        ..filter.request().clone()
    };
    // What cannot be yet is left to the parser.
    let line = line("pics", "1700000000");
    assert_eq!(Wanted::new(now).passes_over(line.as_bytes()), None);
    assert_eq!(filter.passes_over(line.as_bytes()), Some("after_as_of"));
    let crosspost = r#"{"crosspost_parent_list":[{"subreddit":"aww"}],"subreddit":"pics"}"#;
    assert_eq!(filter.passes_over(crosspost.as_bytes()), None);
}
