//! Tests of the parent.

use super::*;

const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

#[test]
fn an_odd_child_is_lost_alone() {
    let body = r#"{"kind": "Listing", "data": {"after": 7, "dist": "x", "children": [
        7, null, [], {}, {"kind": "t3"}, {"kind": "t3", "data": []},
        {"kind": "t5", "data": {"id": "pics", "title": "a community"}},
        {"kind": "t3", "data": {"id": "odd", "title": 3}},
        {"kind": "t3", "data": {"id": "a", "title": "b", "score": "12", "created_utc": "1767000000"}},
        {"kind": "t3", "data": {"id": "c", "title": "d", "score": 3.0, "num_reports": -1}},
        {"kind": "t3", "data": {"id": "e", "title": "f", "score": null, "preview": "none"}}]}}"#;
    let page = ListingPage::read(body.as_bytes()).unwrap();
    assert_eq!(page.after, None);
    let read: Vec<_> = page
        .children
        .iter()
        .filter_map(|child| read_child(child, AT, ImageSize::Original).ok())
        .map(|post| (post.record.id, post.observation.score))
        .collect();
    let wanted = [("a", Some(12.0)), ("c", Some(3.0)), ("e", None)];
    assert_eq!(read, wanted.map(|(id, score)| (id.to_owned(), score)));
}

#[test]
fn what_is_no_listing_is_told_from_an_empty_one() {
    let children = |body: &str| ListingPage::read(body.as_bytes()).map(|page| page.children.len());
    assert_eq!(children(r#"{"data": {}}"#).unwrap(), 0);
    assert_eq!(
        children(r#"{"data": {"children": null, "after": ""}}"#).unwrap(),
        0
    );
    for wrong in [
        "",
        "{}",
        "<html>",
        r#"{"error": 403}"#,
        r#"{"data": {"children": {}}}"#,
    ] {
        assert!(children(wrong).is_err(), "{wrong}");
    }
}

/// Real pages of ten years, where they are beside the project.
#[test]
fn no_post_of_a_real_page_is_lost() {
    let Some((_folder, path)) = crate::sources::real_tests::unpack("reddit/listings.tar.xz") else {
        return;
    };
    let (mut pages, mut children, mut posts, mut advertisements) = (0, 0, 0, 0);
    let mut lost = Vec::new();
    for file in fs_err::read_dir(path.join("listings")).unwrap() {
        let body = fs_err::read(file.unwrap().path()).unwrap();
        let page = ListingPage::read(&body).unwrap();
        pages += 1;
        children += page.children.len();
        for child in &page.children {
            let value: serde_json::Value = serde_json::from_str(child.get()).unwrap();
            match read_child(child, AT, ImageSize::Original) {
                Ok(post) => {
                    posts += 1;
                    assert_eq!(value["kind"], "t3", "{}", post.record.id);
                }
                Err(Reason::Promoted) => advertisements += 1,
                Err(reason) if value["kind"] == "t3" => lost.push(reason),
                Err(_) => {}
            }
        }
    }
    println!("{pages} pages, {children} children, {posts} posts, {advertisements} advertisements");
    assert_eq!((pages, lost.len()), (73, 0), "{lost:?}");
    assert_eq!((children, posts + advertisements), (6773, 4652));
}
