//! What the database finds of logged runs is what the filters of published ones would take.

use super::{asked::Asked, filter::Filter, limits, order::Order, run::Run};
use crate::{
    clock::Timestamp,
    store::{LoggedSearch, NewLoggedRun, RunUpdate, Store},
};
use serde_json::json;

/// Twelve runs, with what they hold of `m`, `p` and `t` in every combination that matters.
async fn store() -> Store {
    let store = Store::in_memory().await.unwrap();
    let metrics = [json!(0.5), json!("NaN"), json!(-2), json!(null)];
    for number in 0..12_u8 {
        let id = format!("run{number:02}");
        let new = NewLoggedRun {
            run_id: &id,
            experiment: 0,
            name: ["Dag-1", "dag_2", "other*"][usize::from(number) % 3],
            user: "me",
            started_at: Timestamp::from_millis(i64::from(number % 5)),
            tags: &[],
        };
        store.add_logged_run(new).await.unwrap();
        let value = &metrics[usize::from(number) % 4];
        let point = json!({ "key": "m", "value": value, "timestamp": 1, "step": number });
        let points: Vec<_> = limits::metric(&Asked::of(point).unwrap())
            .into_iter()
            .collect();
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let params = if number % 2 == 0 {
            vec![text("p", &number.to_string())]
        } else {
            vec![]
        };
        let tags = if number % 3 == 0 {
            vec![text("t x", "It's")]
        } else {
            vec![]
        };
        store
            .log_entries(&id, &points, &params, &tags)
            .await
            .unwrap();
        if number % 4 == 0 {
            let ended_at = Some(Timestamp::from_millis(i64::from(number)));
            let update = RunUpdate {
                status: Some("FINISHED"),
                ended_at,
                name: None,
            };
            store.update_logged_run(&id, update).await.unwrap();
        }
    }
    store
}

async fn searched(store: &Store, filter: &Filter, order: &Order) -> Vec<Run> {
    let found = store.search_logged_runs(LoggedSearch {
        experiments: &[0],
        active: true,
        deleted: false,
        conditions: filter.conditions(),
        order: order.keys(),
        from: 0,
        limit: 100,
    });
    found.await.unwrap().into_iter().map(Run::from).collect()
}

#[tokio::test]
async fn the_database_finds_what_filters_take() {
    let store = store().await;
    let nothing = Filter::default();
    let all = searched(&store, &nothing, &Order::default()).await;
    assert_eq!(all.len(), 12);
    let ids = |runs: &[Run]| -> Vec<_> { runs.iter().map(|run| run.id.clone()).collect() };
    for (text, count) in [
        ("metrics.m > 0", 3),
        ("metrics.m != 0.5", 6),
        ("metrics.m <= 0.5", 6),
        ("metrics.m IS NULL", 3),
        ("metrics.m IS NOT NULL AND params.p = '2'", 1),
        ("params.p != '2'", 5),
        ("params.p IS NULL AND metrics.m < 0", 0),
        ("params.p LIKE '1_'", 1),
        ("params.p IN ('2', '4', '5')", 2),
        ("params.p NOT IN ('2', '4', '5')", 4),
        ("tags.`t x` = \"It's\"", 4),
        ("tags.`t x` ILIKE 'IT%'", 4),
        ("tags.`t x` LIKE 'IT%'", 0),
        ("tags.`mlflow.runName` = 'Dag-1'", 4),
        ("run_name LIKE 'dag%'", 4),
        ("run_name ILIKE 'dag__'", 8),
        ("run_name LIKE '%*'", 4),
        ("attributes.status = 'FINISHED' AND end_time > 3", 2),
        ("end_time IS NULL", 9),
        ("start_time >= 3 AND start_time != 4", 2),
        ("run_id = 'run03'", 1),
        ("experiment_id = '0'", 12),
        ("artifact_uri LIKE 'mlflow-artifacts:/0/run0%'", 10),
        ("user_id != 'me'", 0),
        ("`run name` = 'dag_2'", 4),
    ] {
        let filter = Filter::read::<Run>(Some(text)).unwrap();
        let found = searched(&store, &filter, &Order::default()).await;
        let taken: Vec<_> = all
            .iter()
            .filter(|run| filter.takes(*run))
            .cloned()
            .collect();
        assert_eq!(ids(&found), ids(&taken), "{text}");
        assert_eq!(found.len(), count, "{text}");
    }
}

#[tokio::test]
async fn the_database_orders_as_lists_are_ordered() {
    let store = store().await;
    let nothing = Filter::default();
    let all = searched(&store, &nothing, &Order::default()).await;
    for keys in [
        ["metrics.m DESC", "run_id ASC"],
        ["metrics.m ASC", "params.p DESC"],
        ["params.p", "start_time"],
        ["tags.`t x` DESC", "run_name"],
        ["end_time DESC", "status"],
    ] {
        let order = Order::read::<Run>(&keys).unwrap();
        let found = searched(&store, &nothing, &order).await;
        let sorted = order.sorted(all.clone());
        let ids = |runs: &[Run]| -> Vec<_> { runs.iter().map(|run| run.id.clone()).collect() };
        assert_eq!(ids(&found), ids(&sorted), "{keys:?}");
    }
}
