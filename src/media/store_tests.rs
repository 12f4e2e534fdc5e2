//! Tests of the parent.

use super::*;

fn image(seed: u8) -> (MediaInfo, Vec<u8>) {
    let bytes = vec![seed; 1000];
    let info = MediaInfo {
        content: ContentHash::of(&bytes),
        bytes: 1000,
        format: "png".to_owned(),
        width: 1,
        height: 1,
    };
    (info, bytes)
}

#[test]
fn holds_each_image_once_and_whole() {
    let home = tempfile::tempdir().unwrap();
    let store = MediaStore::new(home.path().join("media"));
    let images: Vec<_> = [1, 2, 1, 3].map(image).into();
    let batch: Vec<_> = images.iter().map(|(i, b)| (i, b.as_slice())).collect();
    store.put_all(&batch).unwrap();
    store.put_all(&batch).unwrap();
    for (info, bytes) in &images {
        assert_eq!(store.read(&info.content).unwrap(), *bytes);
        assert_eq!(
            store.find(&info.content),
            Some(store.path(&info.content, Format::Png))
        );
    }
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    store.put_all(&[]).unwrap();
}

#[test]
fn a_copy_stands_for_a_dropped_image() {
    let home = tempfile::tempdir().unwrap();
    let store = MediaStore::new(home.path()).with_copies(32, Limits::default());
    let picture = |side: u32| {
        let picture = RgbImage::from_pixel(side, side / 2, image::Rgb([9, 99, 199]));
        let bytes = crate::media::encode_png(&picture).unwrap();
        let info = crate::media::probe(&bytes, &Limits::default()).unwrap();
        (info, bytes)
    };
    let (small, large) = (picture(32), picture(64));
    for (info, bytes) in [&small, &large] {
        store.put(info, bytes).unwrap();
    }
    assert!(!store.copy_path(&small.0.content).exists());
    assert_eq!(store.drop_original(&small.0).unwrap(), None);
    let copy = store.copy_path(&large.0.content);
    assert_eq!(store.read(&large.0.content).unwrap(), large.1);
    // One that was lost is made again before the image goes.
    fs::remove_file(&copy).unwrap();
    assert_eq!(store.drop_original(&large.0).unwrap(), Some(large.0.bytes));
    assert_eq!(store.drop_original(&large.0).unwrap(), None);
    assert_eq!(store.find(&large.0.content), Some(copy.clone()));
    assert_eq!(
        store.read(&large.0.content).unwrap(),
        fs::read(&copy).unwrap()
    );
    store.put(&large.0, &large.1).unwrap();
    assert_eq!(store.find(&large.0.content), Some(copy));
}

#[test]
fn a_changed_file_is_told_and_mended() {
    let home = tempfile::tempdir().unwrap();
    let store = MediaStore::new(home.path());
    let (info, bytes) = image(7);
    assert_eq!(
        store.read(&info.content).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    store.put(&info, &bytes).unwrap();
    fs::write(store.path(&info.content, Format::Png), b"cut off").unwrap();
    let error = store.read(&info.content).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    store.put(&info, &bytes).unwrap();
    assert_eq!(store.read(&info.content).unwrap(), bytes);
}
