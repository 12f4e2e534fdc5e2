//! Where a post's images are, in the author's order.

use std::path::Path;

use serde_json::{Map, Value};
use url::Url;

use super::post::unescape;
use crate::{corpus::MediaLocation, sources::ImageSize};

/// The images of a post: those of the post it repeats, its gallery, the file it links to, the
/// images inside its text, or the preview of what it links to; the first of these that it has.
///
/// Of each, the original or a preview, as `size` says. A preview is signed for its width, so only
/// those can be had that the post names; those among the `variants` and in `o` are blurred.
pub(super) fn locations(post: &Map<String, Value>, size: ImageSize) -> Vec<MediaLocation> {
    let parent = post
        .get("crosspost_parent_list")
        .and_then(Value::as_array)
        .and_then(|parents| parents.last())
        .and_then(Value::as_object);
    let post = parent.unwrap_or(post);
    let urls = if is_gallery(post) {
        gallery(post, size)
    } else if let Some(url) = linked_file(post, size) {
        vec![url]
    } else {
        let inside = images_in_text(post, size);
        if inside.is_empty() {
            preview(post, size).into_iter().collect()
        } else {
            inside
        }
    };
    urls.into_iter().map(MediaLocation::Url).collect()
}

fn is_gallery(post: &Map<String, Value>) -> bool {
    post.get("is_gallery").and_then(Value::as_bool) == Some(true)
        || post.get("gallery_data").is_some_and(Value::is_object)
}

/// The gallery's images in its own order. A deleted gallery (`gallery_data` is null) has none.
fn gallery(post: &Map<String, Value>, size: ImageSize) -> Vec<String> {
    let items = post
        .get("gallery_data")
        .and_then(|data| data.get("items"))
        .and_then(Value::as_array);
    let Some(items) = items else {
        return Vec::new();
    };
    items
        .iter()
        .filter(|item| item.get("is_deleted").and_then(Value::as_bool) != Some(true))
        .filter_map(|item| {
            let id = item.get("media_id")?.as_str()?;
            uploaded(id, post.get("media_metadata")?.get(id)?, size)
        })
        .collect()
}

/// Images uploaded into the text of a post, in the order in which the text shows them.
fn images_in_text(post: &Map<String, Value>, size: ImageSize) -> Vec<String> {
    let Some(images) = post.get("media_metadata").and_then(Value::as_object) else {
        return Vec::new();
    };
    let text = post.get("selftext").and_then(Value::as_str).unwrap_or("");
    let mut found: Vec<_> = images
        .iter()
        .filter_map(|(id, image)| {
            Some((
                text.find(id.as_str()).unwrap_or(usize::MAX),
                uploaded(id, image, size)?,
            ))
        })
        .collect();
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, url)| url).collect()
}

/// An uploaded image. One on which Reddit has not finished its work has no address
/// yet, but it will have that of its id; it is asked for until it is there.
fn uploaded(id: &str, image: &Value, size: ImageSize) -> Option<String> {
    match image.get("status").and_then(Value::as_str) {
        Some("valid") => {}
        Some("unprocessed") if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            let extension = match image.get("m").and_then(Value::as_str) {
                None | Some("image/jpg" | "image/jpeg") => "jpg",
                Some("image/png") => "png",
                Some("image/gif") => "gif",
                Some("image/webp") => "webp",
                Some(_) => return None,
            };
            let pending = MediaLocation::PENDING;
            return Some(format!("https://i.redd.it/{id}.{extension}{pending}"));
        }
        _ => return None,
    }
    let source = image.get("s")?;
    if source.get("u").is_some()
        && let Some(url) = smaller(image.get("p"), ["u", "x", "y"], size)
    {
        return Some(url);
    }
    let url = source.get("u").or_else(|| source.get("gif"))?.as_str()?;
    original(&Url::parse(&unescape(url)).ok()?)
}

/// The image file that a post links to.
fn linked_file(post: &Map<String, Value>, size: ImageSize) -> Option<String> {
    let url = ["url_overridden_by_dest", "url"]
        .iter()
        .find_map(|name| post.get(*name)?.as_str().filter(|url| !url.is_empty()))?;
    let url = original(&Url::parse(unescape(url).trim()).ok()?)?;
    // The preview of an animation stands still, and that of a link may be of its page.
    let is_of_it = || {
        let of = preview_of(post)?.get("source")?.get("url")?.as_str()?;
        Some(original(&Url::parse(&unescape(of)).ok()?)? == url)
    };
    let is_animation = Path::new(&url)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gif"));
    if !is_animation
        && is_of_it() == Some(true)
        && let Some(smaller) = smaller_preview(post, size)
    {
        return Some(smaller);
    }
    Some(url)
}

/// The address of the file itself; `None` where `url` is not an image file.
fn original(url: &Url) -> Option<String> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = url.host_str()?;
    let file = url.path_segments()?.next_back()?;
    let (_, extension) = file.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    if !matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "webp" | "gif") {
        return None;
    }
    match host {
        // A preview is signed for its width; the original needs no signature, but its name is
        // only what follows the words of the title.
        "preview.redd.it" => {
            let name = file.rsplit_once("-v0-").map_or(file, |(_, name)| name);
            Some(format!("https://i.redd.it/{name}"))
        }
        "i.redd.it" => Some(format!("https://i.redd.it/{file}")),
        _ => Some(url.to_string()),
    }
}

/// The still image that Reddit shows for a link or a video. One that is blurred (the variant
/// `obfuscated`, which stands in the place of the source for who may not see it) is none.
fn preview(post: &Map<String, Value>, size: ImageSize) -> Option<String> {
    let source = preview_of(post)?.get("source")?.get("url")?.as_str()?;
    let source = shown(source)?;
    Some(smaller_preview(post, size).unwrap_or(source))
}

fn preview_of(post: &Map<String, Value>) -> Option<&Value> {
    post.get("preview")?.get("images")?.get(0)
}

fn smaller_preview(post: &Map<String, Value>, size: ImageSize) -> Option<String> {
    let of = preview_of(post)?.get("resolutions");
    smaller(of, ["url", "width", "height"], size)
}

/// The smallest of these previews that is large enough; `names` are those of address and sides.
fn smaller(previews: Option<&Value>, names: [&str; 3], size: ImageSize) -> Option<String> {
    let ImageSize::Preview(least) = size else {
        return None;
    };
    let [url, width, height] = names;
    let side = |preview: &Value| {
        let side = |name: &str| preview.get(name).and_then(Value::as_u64);
        Some(side(width)?.min(side(height)?))
    };
    let previews = previews.and_then(Value::as_array)?.iter();
    let large = previews.filter_map(|preview| {
        let side = side(preview).filter(|side| *side >= least)?;
        Some((side, shown(preview.get(url)?.as_str()?)?))
    });
    large.min_by_key(|(side, _)| *side).map(|(_, url)| url)
}

/// The address of a preview as it is written in a post; `None` where it is blurred or none.
fn shown(url: &str) -> Option<String> {
    let url = unescape(url);
    let parsed = Url::parse(&url).ok()?;
    let is_blurred = parsed.query_pairs().any(|(name, _)| name == "blur");
    (matches!(parsed.scheme(), "http" | "https") && !is_blurred).then_some(url)
}
