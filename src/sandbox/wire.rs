//! Posts and communities in the shapes that Reddit's API answers with.

use serde_json::{Map, Value, json};

use super::{
    communities::Community,
    fate::Fate,
    world::{Kind, Post, World, account},
};
use crate::clock::Timestamp;

/// The name of a post's `number`th image file, without its extension.
pub(super) fn image_stem(post: &Post, number: u32) -> String {
    format!("{}_{number}", post.id)
}

/// The post and the number that an image's file name belongs to.
pub(super) fn image_named(world: &World, file: &str) -> Option<(Post, u32)> {
    let (stem, extension) = file.rsplit_once('.')?;
    let (id, number) = stem.split_once('_')?;
    let post = world.post(world.place(id)?);
    let number: u32 = number.parse().ok()?;
    (number < post.images() && world.frame(&post, number).format.extension() == extension)
        .then_some((post, number))
}

/// A post as a child of a listing, as it is at `now`; `None` where it is to be found no more.
///
/// `base` is the address under which the server's images are found, without a slash at its end.
pub(super) fn post(world: &World, post: &Post, now: Timestamp, base: &str) -> Option<Value> {
    let fate = world.fate(post.place, now);
    if fate == Some(Fate::Vanished) {
        return None;
    }
    let numbers = post.numbers(now);
    let community = post.community;
    let slug = slug(&post.title);
    let permalink = format!("/r/{}/comments/{}/{slug}/", community.name, post.id);
    let page = format!("https://www.reddit.com{permalink}");
    let created = post.created_at.as_seconds();
    let mut data = json!({
        "id": post.id,
        "name": format!("t3_{}", post.id),
        "title": post.title,
        "subreddit": community.name,
        "subreddit_name_prefixed": format!("r/{}", community.name),
        "subreddit_id": format!("t5_{}", community.id),
        "subreddit_type": "public",
        "subreddit_subscribers": community.subscribers,
        "author": world.author(post.author).name,
        "author_fullname": format!("t2_{}", account(post.author)),
        "author_flair_text": null,
        "author_premium": false,
        "created": created,
        "created_utc": created,
        "edited": false,
        "score": numbers.score,
        "ups": numbers.score,
        "downs": 0,
        "upvote_ratio": numbers.upvote_ratio,
        "num_comments": numbers.comments,
        "num_crossposts": 0,
        "total_awards_received": 0,
        "gilded": 0,
        "hide_score": false,
        "over_18": post.over_18,
        "spoiler": false,
        "stickied": false,
        "locked": false,
        "archived": false,
        "quarantine": false,
        "is_self": post.kind == Kind::Text,
        "is_video": false,
        "is_original_content": false,
        "is_reddit_media_domain": post.kind != Kind::Text,
        "link_flair_text": post.flair,
        "distinguished": null,
        "removed_by_category": null,
        "media": null,
        "selftext": "",
        "thumbnail": "default",
        "permalink": permalink,
    });
    let fields = data.as_object_mut()?;
    // What the account that asks has done with it: nothing.
    for name in ["clicked", "hidden", "saved", "visited"] {
        fields.insert(name.to_owned(), json!(false));
    }
    match post.kind {
        _ if fate.is_some() => {
            fields.insert("domain".to_owned(), json!("reddit.com"));
            fields.insert("url".to_owned(), json!(page));
        }
        Kind::Text => {
            fields.insert(
                "domain".to_owned(),
                json!(format!("self.{}", community.name)),
            );
            fields.insert("url".to_owned(), json!(page));
            fields.insert("selftext".to_owned(), json!("What do you think?"));
        }
        Kind::Gallery(images) => gallery(world, post, images, base, fields),
        _ => single(world, post, base, fields),
    }
    if fate == Some(Fate::Deleted) || world.account_is_gone(post.author, now) {
        fields.insert("author".to_owned(), json!("[deleted]"));
        // An account that is gone has no number any more.
        for name in ["author_fullname", "author_premium"] {
            fields.shift_remove(name);
        }
    }
    let (category, text) = match fate {
        Some(Fate::Deleted) => ("deleted", "[deleted]"),
        Some(Fate::Removed(category)) => (category, "[removed]"),
        Some(Fate::Vanished) | None => return Some(json!({"kind": "t3", "data": data})),
    };
    if fate == Some(Fate::Deleted) {
        fields.insert("title".to_owned(), json!("[deleted by user]"));
    }
    fields.insert("removed_by_category".to_owned(), json!(category));
    fields.insert("selftext".to_owned(), json!(text));
    fields.insert("is_robot_indexable".to_owned(), json!(false));
    Some(json!({"kind": "t3", "data": data}))
}

fn single(world: &World, post: &Post, base: &str, fields: &mut Map<String, Value>) {
    let frame = world.frame(post, 0);
    let file = format!("{}.{}", image_stem(post, 0), frame.format.extension());
    let url = format!("{base}/media/{file}");
    let preview = json!({
        "enabled": true,
        "images": [{
            "id": image_stem(post, 0),
            "source": {"url": url, "width": frame.width, "height": frame.height},
            "resolutions": [{
                "url": format!("{url}?width=108&crop=smart&auto=webp"),
                "width": 108,
                "height": (frame.height * 108).div_ceil(frame.width.max(1)),
            }],
            "variants": {},
        }],
    });
    fields.insert("domain".to_owned(), json!("i.redd.it"));
    fields.insert("post_hint".to_owned(), json!("image"));
    fields.insert("preview".to_owned(), preview);
    fields.insert("url_overridden_by_dest".to_owned(), json!(url));
    fields.insert("url".to_owned(), json!(url));
}

fn gallery(world: &World, post: &Post, images: u32, base: &str, fields: &mut Map<String, Value>) {
    let mut metadata = Map::new();
    let mut items = Vec::new();
    for number in 0..images {
        let frame = world.frame(post, number);
        let id = image_stem(post, number);
        items.push(json!({"media_id": id, "id": number + 1, "is_deleted": false}));
        let url = format!("{base}/media/{id}.{}", frame.format.extension());
        let image = json!({
            "id": id,
            "status": "valid",
            "e": "Image",
            "m": frame.format.media_type(),
            "p": [],
            "s": {"u": url, "x": frame.width, "y": frame.height},
        });
        metadata.insert(id, image);
    }
    let url = format!("https://www.reddit.com/gallery/{}", post.id);
    fields.insert("domain".to_owned(), json!("reddit.com"));
    fields.insert("is_gallery".to_owned(), json!(true));
    fields.insert("gallery_data".to_owned(), json!({"items": items}));
    fields.insert("media_metadata".to_owned(), Value::Object(metadata));
    fields.insert("url_overridden_by_dest".to_owned(), json!(url));
    fields.insert("url".to_owned(), json!(url));
}

/// A listing of posts.
pub(super) fn listing(children: &[Value], after: Option<&str>) -> Value {
    json!({
        "kind": "Listing",
        "data": {
            "after": after,
            "before": null,
            "dist": children.len(),
            "modhash": null,
            "geo_filter": "",
            "children": children,
        },
    })
}

/// What Reddit tells about a community.
pub(super) fn about(community: &Community) -> Value {
    json!({
        "kind": "t5",
        "data": {
            "id": community.id,
            "name": format!("t5_{}", community.id),
            "display_name": community.name,
            "display_name_prefixed": format!("r/{}", community.name),
            "title": community.name,
            "subscribers": community.subscribers,
            "over18": false,
            "subreddit_type": "public",
            "url": format!("/r/{}/", community.name),
        },
    })
}

/// An account as `/user/NAME/about` tells of it; `about` is what [`user`] tells, with its number.
pub(super) fn account_page(id: &str, mut about: Value) -> Value {
    let karma = |name: &str| about[name].as_u64().unwrap_or(0);
    let total = karma("link_karma") + karma("comment_karma");
    about["id"] = json!(id);
    about["created"] = about["created_utc"].clone();
    about["total_karma"] = json!(total);
    about["verified"] = json!(true);
    about["is_employee"] = json!(false);
    json!({"kind": "t2", "data": about})
}

/// What Reddit tells about the author of this number.
pub(super) fn user(world: &World, author: usize) -> Value {
    let somebody = world.author(author);
    let (links, comments) = somebody.karma;
    json!({
        "name": somebody.name,
        "created_utc": 1_500_000_000.0 + 86_400.0 * author as f64,
        "link_karma": links,
        "comment_karma": comments,
        "profile_img": "",
        "profile_color": "",
        "profile_over_18": false,
    })
}

/// The words of a title as they stand in an address.
fn slug(title: &str) -> String {
    let words: Vec<String> = title
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(8)
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("_")
}
