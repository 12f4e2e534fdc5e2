//! One record as it is shown, and which others have its images.

use std::collections::BTreeMap;

use super::{Error, Store, hashes, records::RecordRow};
use crate::corpus::{ContentHash, Look, Record};

impl Store {
    /// A record by its id.
    ///
    /// # Errors
    ///
    /// Where the database fails or the row cannot be read.
    pub async fn record(&self, dataset: &str, id: &str) -> Result<Option<Record>, Error> {
        let row = sqlx::query_as!(
            RecordRow,
            "SELECT id, community, author, title, created_at, media, fields
             FROM records WHERE dataset = ? AND id = ?",
            dataset,
            id,
        )
        .fetch_optional(self.content.read())
        .await?;
        row.map(Record::try_from).transpose()
    }

    /// The stored images that look like `content` and are others, nearest first: their hashes, and
    /// in how many of 64 comparisons they differ. It reads the looks of all images.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn alike(&self, content: ContentHash) -> Result<Vec<(ContentHash, u32)>, Error> {
        let key = content.as_bytes().as_slice();
        let own = sqlx::query_scalar!("SELECT look FROM media WHERE content = ?", key)
            .fetch_optional(self.content.read())
            .await?;
        let Some(own) = own.flatten().map(|look| Look(look.cast_unsigned())) else {
            return Ok(Vec::new());
        };
        let rows = sqlx::query!(
            r#"SELECT content, look AS "look!" FROM media
               WHERE look IS NOT NULL AND content != ? AND refs > 0"#,
            key
        )
        .fetch_all(self.content.read())
        .await?;
        let mut alike = Vec::new();
        for row in rows {
            let distance = own.distance(Look(row.look.cast_unsigned()));
            if distance <= Look::ALIKE {
                alike.push((hashes::read("media", &row.content)?, distance));
            }
        }
        alike.sort_by_key(|&(content, distance)| (distance, content));
        Ok(alike)
    }

    /// Which records of a data set hold these images: by image the ids, in their order. It reads
    /// the whole data set.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn holders(
        &self,
        dataset: &str,
        contents: &[ContentHash],
    ) -> Result<BTreeMap<ContentHash, Vec<String>>, Error> {
        let wanted = hashes::to_json(contents);
        let rows = sqlx::query!(
            r#"SELECT DISTINCT media_places.content AS "content!: Vec<u8>", records.id AS "id!: String"
               FROM records, json_each(records.media) AS location
               JOIN media_places ON media_places.place =
                   coalesce(location.value ->> 'url', location.value ->> 'file')
               WHERE records.dataset = ?
                 AND media_places.content IN (SELECT unhex(value) FROM json_each(?))
               ORDER BY records.id"#,
            dataset,
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        let mut holders: BTreeMap<ContentHash, Vec<String>> = BTreeMap::new();
        for row in rows {
            let content = hashes::read("media_places", &row.content)?;
            holders.entry(content).or_default().push(row.id);
        }
        Ok(holders)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::{
        clock::Timestamp,
        corpus::{MediaInfo, MediaLocation, MediaOutcome},
        store::Writer,
    };

    #[tokio::test]
    async fn reposts_are_found_by_their_bytes_and_by_their_look() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let writer = Writer {
            run_id: "r",
            task_id: "t",
            stored_at: Timestamp::from_millis(9),
        };
        let info = |name: &str| MediaInfo {
            content: ContentHash::of(name),
            bytes: 3,
            format: "png".to_owned(),
            width: 1,
            height: 1,
        };
        let url = |name: &str| format!("https://x.example/{name}.png");
        let page: Vec<_> = [("a", "same"), ("b", "other"), ("c", "again"), ("d", "flat")]
            .map(|(id, name)| {
                let record = Record {
                    id: id.to_owned(),
                    community: None,
                    author: None,
                    title: None,
                    created_at: None,
                    media: vec![MediaLocation::Url(url(name))],
                    fields: Map::new(),
                };
                (record, None)
            })
            .into();
        let seen_at = Timestamp::from_millis(1);
        store
            .store_page("x", &page, seen_at, 0, writer)
            .await
            .unwrap();
        // `again` is `same` from another place; `near` differs in three bits, `far` in many.
        let batch = [
            ("same", "same"),
            ("again", "same"),
            ("other", "near"),
            ("flat", "far"),
        ]
        .map(|(place, content)| (url(place), MediaOutcome::Stored(info(content))));
        let looks = [
            ("same", 0xff_u64 << 56),
            ("near", 0xf1 << 56),
            ("far", 0x0f0f_0f0f),
        ]
        .map(|(name, bits)| (ContentHash::of(name), Some(Look(bits))));
        store
            .store_media_outcomes(&batch, &looks, writer)
            .await
            .unwrap();
        let (same, near) = (ContentHash::of("same"), ContentHash::of("near"));
        assert_eq!(store.alike(same).await.unwrap(), [(near, 3)]);
        assert_eq!(store.alike(near).await.unwrap(), [(same, 3)]);
        assert_eq!(store.alike(ContentHash::of("none")).await.unwrap(), []);
        let holders = store.holders("x", &[same, near]).await.unwrap();
        assert_eq!(holders[&same], ["a", "c"]);
        assert_eq!(holders[&near], ["b"]);
        assert_eq!(store.holders("y", &[same]).await.unwrap().len(), 0);
        assert_eq!(
            store.record("x", "c").await.unwrap().as_ref(),
            Some(&page[2].0)
        );
        assert_eq!(store.record("x", "z").await.unwrap(), None);
    }
}
