//! A content database as years of daily runs leave it.

use std::path::Path;

use rayon::prelude::*;
use serde_json::json;
use sqlx::{
    Connection as _, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use trendmill::{
    clock::Timestamp,
    corpus::{ContentHash, Fingerprint, MediaLocation},
    encoders,
    sandbox::{HORIZON, SandboxSettings, Truth, communities, truth},
};

use crate::{dice::Dice, vectors::vector};

/// Posts of a day.
const PER_DAY: usize = 1000;
/// Rows of one statement.
const AT_ONCE: usize = 500;
/// Who has written all of it.
const RUN: &str = "00000000-0000-7000-8000-000000000001";

/// The world whose posts the records are: it ends, so that later days bring nothing.
pub(crate) fn world(records: usize) -> anyhow::Result<SandboxSettings> {
    let days = records.div_ceil(PER_DAY);
    Ok(format!("sandbox:start=2024-01-01,days={days},posts={PER_DAY}").parse()?)
}

/// A post and the names of its contents.
struct Post {
    number: u64,
    truth: Truth,
    title: String,
    image: ContentHash,
    caption: String,
}

/// Fills the database of a home whose schema is there.
pub(crate) async fn fill(file: &Path, world: &SandboxSettings) -> anyhow::Result<()> {
    let posts = posts(world);
    let options = SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .pragma("locking_mode", "EXCLUSIVE")
        .pragma("cache_size", "-500000");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let dataset = world.to_string();
    records(&mut connection, &dataset, &posts).await?;
    observations(&mut connection, &dataset, &posts).await?;
    media(&mut connection, &posts).await?;
    captions(&mut connection, &posts).await?;
    let text = encoders::fingerprint("all-minilm-l6-v2")?;
    let image = encoders::fingerprint("efficientnet-lite0")?;
    // The fourth encoder is of an image with its text; no shipped pipeline computes it yet.
    let visual = Fingerprint::of(&[("bench", "visual")]);
    let title_of = |post: &Post| ContentHash::of(&post.title);
    let caption_of = |post: &Post| ContentHash::of(&post.caption);
    let image_of = |post: &Post| post.image;
    embeddings(&mut connection, &posts, (1, text, 384), title_of).await?;
    embeddings(&mut connection, &posts, (2, image, 1280), image_of).await?;
    embeddings(&mut connection, &posts, (3, text, 384), caption_of).await?;
    embeddings(&mut connection, &posts, (4, visual, 512), image_of).await?;
    let last = posts
        .last()
        .map_or(0, |post| post.truth.created_at.as_millis());
    for community in communities() {
        // So late that a walk does not meet the last posts again.
        sqlx::query("INSERT INTO watermarks VALUES (?, ?, ?)")
            .bind(&dataset)
            .bind(community)
            .bind(last + 7_200_000)
            .execute(&mut connection)
            .await?;
    }
    sqlx::raw_sql("PRAGMA analysis_limit = 1000; ANALYZE; PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

fn posts(world: &SandboxSettings) -> Vec<Post> {
    let truths: Vec<Truth> = truth(world, Timestamp::from_millis(i64::MAX)).collect();
    truths
        .into_par_iter()
        .enumerate()
        .map(|(number, truth)| {
            let number = number as u64;
            let mut dice = Dice(number);
            let mut thing = || format!("thing {}", dice.roll(1000));
            let caption = [thing(), thing(), thing()].join(", ");
            Post {
                number,
                title: format!(
                    "Post {number} of {}: {} beside {}",
                    truth.community,
                    thing(),
                    thing()
                ),
                image: ContentHash::of(format!("image {}", truth.id)),
                caption,
                truth,
            }
        })
        .collect()
}

fn place(post: &Post) -> String {
    format!(
        "http://images.sandbox.invalid/media/{}_0.jpg",
        post.truth.id
    )
}

/// Inserts rows in large statements; `bind` puts one row's values.
async fn insert<T: Sync>(
    connection: &mut SqliteConnection,
    into: &str,
    rows: &[T],
    bind: impl Fn(&mut sqlx::query_builder::Separated<'_, Sqlite, &'static str>, &T),
) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await?;
    for rows in rows.chunks(AT_ONCE) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT OR IGNORE INTO {into} "));
        query.push_values(rows, |mut row, value| bind(&mut row, value));
        query.build().execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn records(
    connection: &mut SqliteConnection,
    dataset: &str,
    posts: &[Post],
) -> anyhow::Result<()> {
    let into = "records (dataset, id, community, author, title, created_at, media, fields, \
                observed_at, stored_at, run_id)";
    insert(connection, into, posts, |row, post| {
        let (id, place) = (&post.truth.id, place(post));
        let seen = next_day(post.truth.created_at);
        row.push_bind(dataset.to_owned())
            .push_bind(id.clone())
            .push_bind(post.truth.community)
            .push_bind(format!("author_{}", Dice(!post.number).roll(50_000)))
            .push_bind(post.title.clone())
            .push_bind(post.truth.created_at.as_millis())
            .push_bind(json!([MediaLocation::Url(place.clone())]).to_string())
            .push_bind(
                json!({
                    "over_18": false, "spoiler": false, "is_self": false, "is_video": false,
                    "is_original_content": false, "stickied": false, "domain": "i.redd.it",
                    "post_hint": "image", "author_fullname": "t2_8qpcm7", "author_premium": false,
                    "subscribers": 31_560_411, "permalink": format!("/comments/{id}/"), "url": place,
                })
                .to_string(),
            )
            .push_bind(seen)
            .push_bind(seen)
            .push_bind(RUN);
    })
    .await
}

/// When the run of a post's day looked, in milliseconds.
fn next_day(moment: Timestamp) -> i64 {
    const DAY: i64 = 86_400_000;
    (moment.as_millis() / DAY + 1) * DAY
}

/// The first reading, and the one at the horizon.
async fn observations(
    connection: &mut SqliteConnection,
    dataset: &str,
    posts: &[Post],
) -> anyhow::Result<()> {
    let readings: Vec<(&Post, i64, f64)> = posts
        .iter()
        .flat_map(|post| {
            let created = post.truth.created_at.as_millis();
            let due = created + i64::try_from(HORIZON.as_millis()).unwrap_or(i64::MAX);
            let score = post.truth.score_36h as f64;
            [
                (post, next_day(post.truth.created_at), (score / 2.0).round()),
                (post, due, score),
            ]
        })
        .collect();
    let into = r#"observations (dataset, record_id, observed_at, age, score, "values", stored_at,
                  run_id)"#;
    insert(connection, into, &readings, |row, (post, at, score)| {
        row.push_bind(dataset.to_owned())
            .push_bind(post.truth.id.clone())
            .push_bind(*at)
            .push_bind(at - post.truth.created_at.as_millis())
            .push_bind(*score)
            .push_bind(
                r#"{"num_comments":4,"upvote_ratio":0.81,"num_crossposts":0,"gilded":0,"total_awards_received":0,"hide_score":false}"#,
            )
            .push_bind(*at)
            .push_bind(RUN);
    })
    .await
}

/// Posts in the order of the hash of one of their contents, as their rows will lie.
fn by_hash(
    posts: &[Post],
    hash: impl Fn(&Post) -> ContentHash + Sync,
) -> Vec<(ContentHash, &Post)> {
    let mut all: Vec<_> = posts.par_iter().map(|post| (hash(post), post)).collect();
    all.par_sort_unstable_by_key(|(hash, _)| *hash);
    all
}

async fn media(connection: &mut SqliteConnection, posts: &[Post]) -> anyhow::Result<()> {
    let into = "media (content, bytes, format, width, height, refs, stored_at)";
    insert(
        connection,
        into,
        &by_hash(posts, |post| post.image),
        |row, (hash, post)| {
            row.push_bind(hash.as_bytes().to_vec())
                .push_bind(80_000_i64)
                .push_bind("jpeg")
                .push_bind(320_i64)
                .push_bind(200 + i64::try_from(post.number % 200).unwrap_or(0))
                .push_bind(1_i64)
                .push_bind(next_day(post.truth.created_at));
        },
    )
    .await?;
    let into = "media_places (place, state, content, tried_at, run_id)";
    insert(connection, into, posts, |row, post| {
        row.push_bind(place(post))
            .push_bind("stored")
            .push_bind(post.image.as_bytes().to_vec())
            .push_bind(next_day(post.truth.created_at))
            .push_bind(RUN);
    })
    .await
}

async fn captions(connection: &mut SqliteConnection, posts: &[Post]) -> anyhow::Result<()> {
    let captioner = encoders::fingerprint("imagenet-tags")?;
    let into = "captions (fingerprint, content, caption, details, computed_at, run_id)";
    insert(
        connection,
        into,
        &by_hash(posts, |post| post.image),
        |row, (hash, post)| {
            let tags = post.caption.split(", ");
            let tags: Vec<_> = tags
                .map(|label| json!({"label": label, "score": 0.25}))
                .collect();
            row.push_bind(captioner.as_bytes().to_vec())
                .push_bind(hash.as_bytes().to_vec())
                .push_bind(post.caption.clone())
                .push_bind(json!({ "tags": tags }).to_string())
                .push_bind(next_day(post.truth.created_at))
                .push_bind(RUN);
        },
    )
    .await
}

/// The vectors of one content of each post, under an encoder with its number and width.
async fn embeddings(
    connection: &mut SqliteConnection,
    posts: &[Post],
    (encoder, fingerprint, width): (u64, Fingerprint, usize),
    content: impl Fn(&Post) -> ContentHash + Sync,
) -> anyhow::Result<()> {
    let into = "embeddings (fingerprint, content, kind, vector, computed_at, run_id)";
    for posts in posts.chunks(20 * AT_ONCE) {
        let worth = |post: &Post| match encoder {
            1 => post.truth.components.title,
            2 | 4 => post.truth.components.image,
            _ => 0.0,
        };
        let rows: Vec<(ContentHash, i64, Vec<u8>)> = posts
            .par_iter()
            .map(|post| {
                let vector = vector(encoder, post.number, width, worth(post));
                (content(post), next_day(post.truth.created_at), vector)
            })
            .collect();
        insert(connection, into, &rows, |row, (hash, at, vector)| {
            row.push_bind(fingerprint.as_bytes().to_vec())
                .push_bind(hash.as_bytes().to_vec())
                .push_bind("f16")
                .push_bind(vector.clone())
                .push_bind(*at)
                .push_bind(RUN);
        })
        .await?;
    }
    Ok(())
}
