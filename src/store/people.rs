//! What was known of authors and communities, each time that it was read.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{Error, Store, purge};
use crate::{
    clock::Timestamp,
    corpus::{AuthorReading, CommunityReading},
};

impl Store {
    /// Keeps readings of authors and communities. One of the same moment takes the place of the
    /// other. Nothing is kept of an author who was purged or forgotten.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.people.put", skip_all)]
    pub async fn put_people(
        &self,
        dataset: &str,
        authors: &[AuthorReading],
        communities: &[CommunityReading],
    ) -> Result<(), Error> {
        let mut transaction = self.content.write().await?;
        let people: Vec<&str> = authors
            .iter()
            .flat_map(|author| author.name.iter().chain([&author.id]))
            .map(String::as_str)
            .collect();
        let away = purge::kept_away_people(self, &mut transaction, dataset, &people).await?;
        for author in authors {
            let name = author.name.as_deref();
            let is_away = name.is_some_and(|name| away.contains(name));
            if is_away || away.contains(author.id.as_str()) {
                continue;
            }
            let (read_at, created_at) = (
                author.read_at.as_millis(),
                author.created_at.map(Timestamp::as_millis),
            );
            sqlx::query!(
                "INSERT INTO author_readings (dataset, author, read_at, name, created_at,
                     link_karma, comment_karma)
                 VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET
                     name = excluded.name, created_at = excluded.created_at,
                     link_karma = excluded.link_karma, comment_karma = excluded.comment_karma",
                dataset,
                author.id,
                read_at,
                author.name,
                created_at,
                author.link_karma,
                author.comment_karma,
            )
            .execute(&mut *transaction)
            .await?;
        }
        for community in communities {
            let read_at = community.read_at.as_millis();
            sqlx::query!(
                "INSERT INTO community_readings (dataset, community, read_at, subscribers)
                 VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET subscribers = excluded.subscribers",
                dataset,
                community.name,
                read_at,
                community.subscribers,
            )
            .execute(&mut *transaction)
            .await?;
        }
        self.content.commit(transaction, "content").await
    }

    /// Keeps the answer for these authors, who were asked for at `asked_at`. One who is not in the
    /// answer is kept as known by nothing but the id: the source no longer knows the account, and
    /// where it knows another what was read of this one before is removed.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn put_asked_authors(
        &self,
        dataset: &str,
        asked: &[String],
        found: &[AuthorReading],
        asked_at: Timestamp,
    ) -> Result<(), Error> {
        let known: HashSet<&str> = found.iter().map(|author| author.id.as_str()).collect();
        let unknown = asked.iter().filter(|id| !known.contains(id.as_str()));
        let unknown = unknown.map(|id| AuthorReading {
            id: id.clone(),
            read_at: asked_at,
            name: None,
            created_at: None,
            link_karma: None,
            comment_karma: None,
        });
        let unknown: Vec<AuthorReading> = unknown.collect();
        if !found.is_empty() {
            self.forget_accounts(dataset, &unknown).await?;
        }
        let authors = [found, &unknown].concat();
        self.put_people(dataset, &authors, &[]).await
    }

    /// Removes all readings of these accounts.
    async fn forget_accounts(
        &self,
        dataset: &str,
        accounts: &[AuthorReading],
    ) -> Result<(), Error> {
        let ids: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
        let ids = serde_json::json!(ids).to_string();
        let mut transaction = self.content.write().await?;
        sqlx::query!(
            "DELETE FROM author_readings
             WHERE dataset = ? AND author IN (SELECT value FROM json_each(?))",
            dataset,
            ids,
        )
        .execute(&mut *transaction)
        .await?;
        self.content.commit(transaction, "content").await
    }

    /// The authors of records of the time `every` before `as_of` of whom nothing was read since that
    /// time before their record, with the publication of their first such record, the earliest
    /// first. `field` is that of a record which holds the id of its author; where a record lacks it,
    /// its author's name stands for it.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.people.authors_to_read", skip_all)]
    pub async fn authors_to_read(
        &self,
        dataset: &str,
        field: &str,
        as_of: Timestamp,
        every: Duration,
    ) -> Result<Vec<(String, Timestamp)>, Error> {
        let (since, as_of) = ((as_of - every).as_millis(), as_of.as_millis());
        let stands = as_of - since;
        let rows = sqlx::query!(
            r#"SELECT ifnull(fields ->> ?2, author) AS "author!: String", min(created_at) AS "published!: i64"
               FROM records
               WHERE dataset = ?1 AND created_at > ?3 AND created_at <= ?4
                 AND ifnull(fields ->> ?2, author) IS NOT NULL
                 AND NOT EXISTS (
                     SELECT 1 FROM author_readings
                     WHERE author_readings.dataset = records.dataset
                       AND author_readings.author = ifnull(fields ->> ?2, records.author)
                       AND read_at > records.created_at - ?5)
               GROUP BY 1 ORDER BY 2, 1"#,
            dataset,
            field,
            since,
            as_of,
            stands,
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.author, Timestamp::from_millis(row.published)))
            .collect())
    }

    /// The authors of whom something was read, by the source's ids, each with the moment of the
    /// first reading.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn authors_read(&self, dataset: &str) -> Result<HashMap<String, Timestamp>, Error> {
        let rows = sqlx::query!(
            r#"SELECT author AS "author!", min(read_at) AS "read_at!: i64" FROM author_readings
               WHERE dataset = ? AND name IS NOT NULL GROUP BY author"#,
            dataset,
        )
        .fetch_all(self.content.read())
        .await?;
        let read = rows.into_iter();
        Ok(read
            .map(|row| (row.author, Timestamp::from_millis(row.read_at)))
            .collect())
    }

    /// The communities of which something was read, in lower case, each with the moment of the
    /// first reading.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn communities_read(
        &self,
        dataset: &str,
    ) -> Result<HashMap<String, Timestamp>, Error> {
        let rows = sqlx::query!(
            r#"SELECT lower(community) AS "community!: String", min(read_at) AS "read_at!: i64"
               FROM community_readings WHERE dataset = ? GROUP BY lower(community)"#,
            dataset,
        )
        .fetch_all(self.content.read())
        .await?;
        let read = rows.into_iter();
        Ok(read
            .map(|row| (row.community, Timestamp::from_millis(row.read_at)))
            .collect())
    }

    /// Those of these communities of which nothing was read in the time `every` before `as_of`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn communities_to_read(
        &self,
        dataset: &str,
        names: &[String],
        as_of: Timestamp,
        every: Duration,
    ) -> Result<Vec<String>, Error> {
        let (since, as_of) = ((as_of - every).as_millis(), as_of.as_millis());
        let read = sqlx::query_scalar!(
            r#"SELECT DISTINCT lower(community) AS "community!: String" FROM community_readings
             WHERE dataset = ? AND read_at BETWEEN ? AND ?"#,
            dataset,
            since,
            as_of,
        )
        .fetch_all(self.content.read())
        .await?;
        let is_known = |name: &&String| !read.contains(&name.to_ascii_lowercase());
        Ok(names.iter().filter(is_known).cloned().collect())
    }

    /// What was known of an author at `at`: the latest reading until then.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.people.author", skip_all)]
    pub async fn author_at(
        &self,
        dataset: &str,
        author: &str,
        at: Timestamp,
    ) -> Result<Option<AuthorReading>, Error> {
        let at = at.as_millis();
        let row = sqlx::query!(
            "SELECT author, read_at, name, created_at, link_karma, comment_karma
             FROM author_readings WHERE dataset = ? AND author = ? AND read_at <= ?
             ORDER BY read_at DESC LIMIT 1",
            dataset,
            author,
            at,
        )
        .fetch_optional(self.content.read())
        .await?;
        Ok(row.map(|row| AuthorReading {
            id: row.author,
            read_at: Timestamp::from_millis(row.read_at),
            name: row.name,
            created_at: row.created_at.map(Timestamp::from_millis),
            link_karma: row.link_karma,
            comment_karma: row.comment_karma,
        }))
    }

    /// What was known of a community at `at`: the latest reading until then.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.people.community", skip_all)]
    pub async fn community_at(
        &self,
        dataset: &str,
        community: &str,
        at: Timestamp,
    ) -> Result<Option<CommunityReading>, Error> {
        let at = at.as_millis();
        let row = sqlx::query!(
            "SELECT community, read_at, subscribers
             FROM community_readings WHERE dataset = ? AND community = ? AND read_at <= ?
             ORDER BY read_at DESC LIMIT 1",
            dataset,
            community,
            at,
        )
        .fetch_optional(self.content.read())
        .await?;
        Ok(row.map(|row| CommunityReading {
            name: row.community,
            read_at: Timestamp::from_millis(row.read_at),
            subscribers: row.subscribers,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + hour * 3_600_000)
    }

    fn author(hour: i64, karma: f64) -> AuthorReading {
        AuthorReading {
            id: "t2_a".to_owned(),
            read_at: at(hour),
            name: Some("ann".to_owned()),
            created_at: Some(at(-1000)),
            link_karma: Some(karma),
            comment_karma: None,
        }
    }

    #[tokio::test]
    async fn what_was_known_is_never_of_later() {
        let store = Store::in_memory().await.unwrap();
        let community = CommunityReading {
            name: "pics".to_owned(),
            read_at: at(3),
            subscribers: Some(30e6),
        };
        let authors = [author(2, 10.0), author(5, 20.0)];
        let communities = std::slice::from_ref(&community);
        store
            .put_people("reddit", &authors, communities)
            .await
            .unwrap();
        // Read again at the same moment, as after a crash.
        store
            .put_people("reddit", &[author(5, 21.0)], &[])
            .await
            .unwrap();
        let known = async |hour| {
            let found = store.author_at("reddit", "t2_a", at(hour)).await.unwrap();
            found.map(|author| author.link_karma)
        };
        assert_eq!(known(1).await, None);
        assert_eq!(known(4).await, Some(Some(10.0)));
        assert_eq!(known(6).await, Some(Some(21.0)));
        // One who was asked for and is not there is not asked for again at once.
        let asked = ["t2_a".to_owned(), "t2_gone".to_owned()];
        store
            .put_asked_authors("reddit", &asked, &[author(7, 22.0)], at(7))
            .await
            .unwrap();
        let gone = store.author_at("reddit", "t2_gone", at(7)).await.unwrap();
        assert_eq!(
            gone.map(|gone| (gone.name, gone.link_karma)),
            Some((None, None))
        );
        // An account that goes takes along what was known of it, unless the answer knows nobody.
        let one = ["t2_a".to_owned()];
        store
            .put_asked_authors("reddit", &one, &[], at(8))
            .await
            .unwrap();
        assert_eq!(known(6).await, Some(Some(21.0)));
        let both = ["t2_a".to_owned(), "t2_b".to_owned()];
        let answer = AuthorReading {
            id: "t2_b".to_owned(),
            ..author(9, 1.0)
        };
        store
            .put_asked_authors("reddit", &both, &[answer], at(9))
            .await
            .unwrap();
        assert_eq!((known(6).await, known(9).await), (None, Some(None)));
        let other = store.author_at("dump", "t2_a", at(6)).await.unwrap();
        assert_eq!(other, None, "another data set has its own");
        let found = store.community_at("reddit", "pics", at(3)).await.unwrap();
        assert_eq!(found, Some(community));
    }
}
