//! Tests of the parent.

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn due(id: &str, absent: Option<Duration>) -> DueCheck {
    DueCheck {
        id: id.to_owned(),
        absent_since: absent.map(|absent| NOW - absent),
    }
}

fn answer(standings: &[(&str, Standing)]) -> HashMap<String, Standing> {
    let standings = standings.iter();
    standings
        .map(|(id, standing)| ((*id).to_owned(), standing.clone()))
        .collect()
}

fn gone(judged: &Judged) -> Vec<(&str, &str)> {
    let gone = judged.gone.iter();
    gone.map(|(id, reason)| (id.as_str(), *reason)).collect()
}

#[test]
fn each_standing_has_its_rule() {
    let batch = ["there", "deleted", "removed", "authorless", "absent"].map(|id| due(id, None));
    let answer = answer(&[
        ("there", Standing::There),
        ("deleted", Standing::Deleted),
        ("removed", Standing::Removed("moderator".to_owned())),
        ("authorless", Standing::AuthorGone),
    ]);
    let judged = judge(&batch, &answer, RemovedRule::Purge, NOW);
    assert_eq!(
        gone(&judged),
        [("deleted", "deleted"), ("removed", "removed")]
    );
    assert_eq!(judged.checked.there, ["there", "authorless"]);
    assert_eq!(judged.checked.authorless, ["authorless"]);
    assert_eq!(judged.checked.absent, ["absent"]);
    let judged = judge(&batch, &answer, RemovedRule::KeepOut, NOW);
    assert_eq!(gone(&judged), [("deleted", "deleted")]);
    assert_eq!(judged.checked.removed["removed"], "moderator");
}

#[test]
fn one_absence_is_no_deletion() {
    let other = answer(&[("other", Standing::There)]);
    let minutes = |minutes| Some(Duration::from_mins(minutes));
    let batch = [
        due("new", None),
        due("young", minutes(59)),
        due("old", minutes(60)),
    ];
    let judged = judge(&batch, &other, RemovedRule::Purge, NOW);
    assert_eq!(gone(&judged), [("old", "absent")]);
    assert_eq!(judged.checked.absent, ["new", "young"]);
    // A server that answers with nothing knows nothing.
    let judged = judge(&batch, &answer(&[]), RemovedRule::Purge, NOW);
    assert_eq!(judged, Judged::default());
}

#[test]
fn the_cycle_is_shorter_than_two_days() {
    let cycle = |cycle: &str| {
        let settings = Map::from_iter([("cycle".to_owned(), json!(cycle))]);
        settings::parse::<Settings>(&settings).and_then(|settings| settings.cycle())
    };
    assert_eq!(cycle("36h").unwrap(), Duration::from_hours(36));
    let error = cycle("48h").unwrap_err();
    assert!(error.message.contains("too long"), "{}", error.message);
}
