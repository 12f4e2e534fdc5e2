//! What was known of authors and communities, each time that it was read.

use super::{Error, Store};
use crate::{
    clock::Timestamp,
    corpus::{AuthorReading, CommunityReading},
};

impl Store {
    /// Keeps readings of authors and communities. One of the same moment takes the place of the
    /// other.
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
        for author in authors {
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
        let other = store.author_at("dump", "t2_a", at(6)).await.unwrap();
        assert_eq!(other, None, "another data set has its own");
        let found = store.community_at("reddit", "pics", at(3)).await.unwrap();
        assert_eq!(found, Some(community));
    }
}
